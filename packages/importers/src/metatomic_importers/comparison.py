"""The comparison of a model file with the family's own calculator."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metatomic_core.engine import Engine, Structure

from .family import Imported
from .quiet import quiet_package
from .structures import trial_structures

if TYPE_CHECKING:
    import ase
    from ase.calculators.calculator import Calculator

_UNITS = {"energy": "eV/atom", "forces": "eV/A", "stress": "eV/A^3"}


@dataclasses.dataclass(frozen=True)
class Row:
    """Differences for one structure.

    Attributes
    ----------
    structure
        Its name.
    n_atoms
        Number of atoms.
    differences
        Largest absolute difference by property of ASE: energy per atom; NaN if only one side is finite.
    """

    structure: str
    n_atoms: int
    differences: dict[str, float]


class DifferentResultsError(ValueError):
    """Raised for a model file that does not give what the calculator of its family gives."""


def compared(file: Path, imported: Imported) -> list[Row]:
    """Evaluate structures with both.

    Parameters
    ----------
    file
        The model file.
    imported
        What it was made from.

    Raises
    ------
    DifferentResultsError
        If results differ by more than the tolerances, or one side fails where the other does not.
    ValueError
        If there is no structure that the calculator can compute.
    """
    with quiet_package():
        own = imported.calculator()
    ours = Engine(file, length_unit="angstrom", energy_unit="eV")
    rows = [
        Row(name, len(atoms), _differences(_expected(atoms, own, imported, name), _got(atoms, ours, imported, name)))
        for name, atoms in trial_structures(imported.capabilities.atomic_types, imported.periodic_only).items()
        if name not in imported.unable
    ]
    if not rows:
        raise ValueError(f"expected a structure that {type(own).__name__} can compute, to compare results, got none")
    problems = [_problem(row, imported) for row in rows]
    found = [problem for problem in problems if problem]
    if found:
        raise DifferentResultsError(f"expected the results of {type(own).__name__}, got {'; '.join(found)}")
    return rows


def in_words(rows: list[Row], imported: Imported) -> str:
    """Say in a line what was compared, and how far the results are at most from each other."""
    names = ", ".join(row.structure for row in rows)
    largest: dict[str, float] = {}
    for row in rows:
        largest |= {name: max(value, largest.get(name, 0.0)) for name, value in row.differences.items()}
    text = ", ".join(f"{name} {value:.1e}{_unit(name)}" for name, value in largest.items())
    left_out = "".join(f"; not {name}: {reason}" for name, reason in imported.unable.items())
    return f"with the calculator of the package, on {len(rows)} structures ({names}): off by up to {text}{left_out}"


def _unit(name: str) -> str:
    return f" {_UNITS[name]}" if name in _UNITS else ""


def _expected(atoms: "ase.Atoms", own: "Calculator", imported: Imported, name: str) -> dict[str, np.ndarray]:
    """Give what the family's own calculator computes, in the layout of the engine."""
    calculated = atoms.copy()
    calculated.calc = own
    try:
        with quiet_package():
            found = {"energy": np.array(calculated.get_potential_energy()), "forces": calculated.get_forces()}
            if atoms.pbc.all():
                found["stress"] = calculated.get_stress(voigt=False)
            return found | {each: np.array(own.get_property(each, calculated)) for each in imported.others}
    except Exception as error:
        raise DifferentResultsError(
            f"expected {type(own).__name__} to compute the structure '{name}', got an error: {_reason(error)}"
        ) from error


def _got(atoms: "ase.Atoms", ours: Engine, imported: Imported, name: str) -> dict[str, np.ndarray]:
    """Give the same from the model file."""
    structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    results = ["energy", "forces", *(["stress"] if atoms.pbc.all() else [])]
    try:
        evaluated = ours.evaluate(
            [structure],
            results,
            outputs={other.output: "atom" for other in imported.others.values()},
            output_units={other.output: other.unit for other in imported.others.values()},
        )
    except Exception as error:
        raise DifferentResultsError(
            f"expected the model file to compute the structure '{name}', got an error: {_reason(error)}"
        ) from error
    found = {each: np.asarray(getattr(evaluated, each)) for each in results}
    found = {each: values if each == "forces" else values[0] for each, values in found.items()}
    for each, other in imported.others.items():
        found[each] = evaluated.outputs[other.output].reshape(len(atoms), -1).squeeze(1)
    return found


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _differences(expected: dict[str, np.ndarray], got: dict[str, np.ndarray]) -> dict[str, float]:
    largest = {name: _largest(expected[name] - got[name]) for name in expected}
    return largest | {"energy": largest["energy"] / len(expected["forces"])}


def _largest(differences: np.ndarray) -> float:
    return float(np.max(np.abs(differences), initial=0.0))


def _problem(row: Row, imported: Imported) -> str:
    """Say what differs too much; empty if nothing does."""
    tolerances = imported.tolerances
    allowed = {"energy": tolerances.energy, "forces": tolerances.forces, "stress": tolerances.stress}
    allowed |= {name: other.tolerance for name, other in imported.others.items()}
    # a difference that is not a number is none that is small
    wrong = [name for name, value in row.differences.items() if not value <= allowed[name]]
    texts = [f"{name} off by {row.differences[name]:.2g}{_unit(name)} (up to {allowed[name]:g})" for name in wrong]
    return f"'{row.structure}' with {', '.join(texts)}" if texts else ""
