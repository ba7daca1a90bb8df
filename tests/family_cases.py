"""What is asked of every family: structures, agreement with its own calculator, and files for the session `imported`.

That session has none of the packages of families: it runs the files that are kept here in all engines, and compares
with the results that the family's own calculator gave.
"""

import os
import shutil
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from metatomic_ase import MetatomicCalculator
from metatomic_core.engine import Engine, Structure

VACUUM = 12.0


def structures(a: str, b: str, c: str, lattice: float) -> dict[str, ase.Atoms]:
    """Give the structures of the acceptance: elements `a`, `b`, `c`, edge of a cubic fcc cell."""
    rng = np.random.default_rng(12)
    bulk = ase.build.bulk(a, "fcc", a=lattice, cubic=True).repeat(2)
    mixed = ase.build.bulk(b, "fcc", a=lattice, cubic=True).repeat(2)
    mixed.symbols[::2] = a
    mixed.symbols[1::4] = c
    triclinic = ase.build.bulk(b, "fcc", a=lattice, cubic=True).repeat((2, 1, 1))
    triclinic.symbols[1::2] = c
    triclinic.set_cell(triclinic.cell @ np.array([[1, 0.2, 0], [0.1, 1, 0.15], [-0.12, 0, 1]]), scale_atoms=True)
    triclinic.positions[::3] += 2 * triclinic.cell[0] - triclinic.cell[1]
    slab = ase.build.fcc111(a, (2, 2, 3), a=lattice)
    slab.symbols[::5] = b
    slab.cell[2] = [0.3, 0.2, 20.0]
    slab.pbc = (True, True, False)
    bond = lattice / np.sqrt(2)
    sites = bond * np.array([[0, 0, 0], [0.9, 0, 0], [0.1, 0.95, 0.1], [0.3, 0.2, 0.9], [-0.7, 0.6, -0.4]])
    found = {
        "bulk": bulk,
        "mixed": mixed,
        "triclinic": triclinic,
        "slab": slab,
        "molecule": ase.Atoms([c, a, b, a, c], positions=sites),
        "atom": ase.Atoms([b], positions=[[0.4, 0.1, -0.2]]),
        "small cell": ase.Atoms([c, a], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[bond * 1.1] * 3, pbc=True),
    }
    for atoms in found.values():
        atoms.positions += rng.normal(0, 0.05, (len(atoms), 3))
    return found


def in_vacuum(atoms: ase.Atoms) -> ase.Atoms:
    """Give a structure as calculators want it that know only cells that are periodic in all directions."""
    boxed = atoms.copy()
    for axis in np.nonzero(~boxed.pbc)[0]:
        boxed.center(vacuum=VACUUM, axis=int(axis))
    boxed.pbc = True
    return boxed


def assert_agrees(
    file: Path, own, cases: dict[str, ase.Atoms], energy: float, forces: float, stress: float, boxed: bool = False
) -> None:
    """Compare a file with the own calculator: energies per atom (eV), forces (eV/A) and stresses (eV/A^3).

    The file gets the structures as they are; the own calculator, if ``boxed``, with vacuum around them.
    """
    ours = MetatomicCalculator(file)
    for name, atoms in cases.items():
        expected = in_vacuum(atoms) if boxed else atoms.copy()
        got = atoms.copy()
        expected.calc, got.calc = own, ours
        difference = got.get_potential_energy() - expected.get_potential_energy()
        assert abs(difference) / len(atoms) < energy, name
        np.testing.assert_allclose(got.get_forces(), expected.get_forces(), rtol=0, atol=forces, err_msg=name)
        if atoms.pbc.all():
            np.testing.assert_allclose(got.get_stress(), expected.get_stress(), rtol=0, atol=stress, err_msg=name)


def engine_structure(atoms: ase.Atoms) -> Structure:
    """Give a structure as engines take it."""
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def assert_adds_up(engine: Engine, own, atoms: list[ase.Atoms]) -> None:
    """Check energies of atoms of a model of float64, on structures of at least 6 and 3 atoms.

    They are those of the own calculator, add up, are the same in a batch as alone, and can be selected.
    """
    batch = [engine_structure(frame) for frame in atoms]
    together = engine.evaluate(batch, ["energy", "forces", "atomic_energies"])
    each = [engine.evaluate([structure], ["energy", "forces", "atomic_energies"]) for structure in batch]
    for name in ("energy", "forces", "atomic_energies"):
        expected = np.concatenate([getattr(single, name) for single in each])
        np.testing.assert_allclose(getattr(together, name), expected, rtol=0, atol=1e-12, err_msg=name)
    own_energies = np.concatenate([own.get_property("energies", frame) for frame in atoms])
    np.testing.assert_allclose(together.atomic_energies, own_energies, rtol=0, atol=1e-9)
    sums = np.add.reduceat(together.atomic_energies, np.cumsum([0, *map(len, atoms[:-1])]))
    np.testing.assert_allclose(sums, together.energy, rtol=0, atol=1e-12)
    chosen = np.array([[0, 5], [0, 1], [1, 2]])
    selected = engine.evaluate(batch, ["energy"], selected_atoms=chosen).energy
    n = len(atoms[0])
    np.testing.assert_allclose(selected[0], together.atomic_energies[[5, 1]].sum(), atol=1e-12)
    np.testing.assert_allclose(selected[1], together.atomic_energies[n + 2], atol=1e-12)


def keep(file: Path, name: str, own, cases: dict[str, ase.Atoms], boxed: bool = False) -> None:
    """Keep a file for the session `imported`, with structures and what the own calculator gives for them."""
    folder = kept_folder()
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / f"{name}.pt")
    frames = []
    for case, atoms in cases.items():
        calculated = in_vacuum(atoms) if boxed else atoms.copy()
        calculated.calc = own
        frame = atoms.copy()
        frame.info = {"case": case}
        results = {"energy": calculated.get_potential_energy(), "forces": calculated.get_forces()}
        if atoms.pbc.all():
            results["stress"] = calculated.get_stress()
        frame.calc = SinglePointCalculator(frame, **results)
        frames.append(frame)
    ase.io.write(folder / f"{name}.extxyz", frames)


def kept_folder() -> Path | None:
    """Give where files are kept; the session of nox says it."""
    folder = os.environ.get("METATOMIC_IMPORTED")
    return None if folder is None else Path(folder)


def assert_refused(message: str, function, *arguments, **options) -> None:
    """Check that an import is refused with a sentence, and writes nothing."""
    output = Path(arguments[2])
    with pytest.raises(ValueError, match=message):
        function(*arguments, **options)
    assert not output.exists()
