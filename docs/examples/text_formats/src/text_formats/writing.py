"""Writes the energies of two atoms of one type: a line for each distance."""

from pathlib import Path

from metatomic_core.writing import Writer, WriterOption


def write(source: Path, output: Path, points: int = 10) -> str:
    """Write the table, distances in angstrom and energies in eV."""
    # here, so that `metatomic convert --help`, which lists all writers, imports no torch
    import numpy as np

    from metatomic_core.adapters import replaced_when_done
    from metatomic_core.engine import Engine, Structure

    engine = Engine(str(source), length_unit="angstrom", energy_unit="eV")
    atom = engine.capabilities.atomic_types[0]
    distances = np.linspace(3.0, 6.0, points)
    dimers = [
        Structure(types=np.array([atom, atom]), positions=np.array([[0, 0, 0], [r, 0, 0]]), cell=np.zeros((3, 3)),
                  pbc=np.zeros(3, dtype=bool))
        for r in distances
    ]  # fmt: skip
    energies = engine.evaluate(dimers, ["energy"]).energy
    with replaced_when_done(output) as temporary:
        np.savetxt(temporary, np.column_stack([distances, energies]))
    return f"{output}: {points} distances"


writer = Writer(
    "energies of a dimer as text",
    write,
    (WriterOption("--points", "points", "How many.", "N", int),),
)
