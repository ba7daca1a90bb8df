"""Units: the same model in other units gives the same numbers times the factors of CODATA."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from ase import units as codata

from metatomic_check.asking import ask, available, lacking, rounding, usable, worst
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, graded
from metatomic_check.table import check
from metatomic_core.engine import Engine, Structure

# energy and length units of other engines, as ASE has them, which takes them from CODATA: in eV and angstrom
_OTHERS = {
    "kJ/mol, nm": ("kJ/mol", codata.kJ / codata.mol, "nm", codata.nm),
    "kcal/mol, angstrom": ("kcal/mol", codata.kcal / codata.mol, "angstrom", codata.Angstrom),
    "Hartree, bohr": ("Hartree", codata.Hartree, "bohr", codata.Bohr),
}
# Constants of 2014 and 2022 differ by less. Lengths that are off by as much change energies, too.
_EDITIONS = 1e-7


@check("units", "contract")
def units(bench: Bench) -> Iterator[Finding]:
    """Energies or forces in other units are not those in eV and angstrom times the factor.

    The unit that the model states for its energy, or for its lengths, is probably one that cannot be converted, or is
    converted twice.  A wrong statement of units can not be seen here: compare with published numbers.
    """
    if lack := lacking(bench, "units", "energy"):
        yield from lack
        return
    name = bench.engine.source("energy")
    stated = (bench.engine.capabilities.outputs[name].unit, bench.engine.capabilities.length_unit)
    if "" in stated:
        what = "energy" if not stated[0] else "lengths"
        yield Finding("units", Grade.NOT_APPLICABLE, f"The model states no unit of its {what}: nothing is converted.")
        return
    entries = [entry for system in _OTHERS for entry in _compared(bench, system)]
    number, limit, (system, structure_name) = worst(entries)
    is_right = number <= limit
    text = f"The same energies and forces in {'; '.join(_OTHERS)} (the model is in {', '.join(stated)})."
    if not is_right:
        text = f"Energies or forces of '{structure_name}' in {system} are others: engines with these units go wrong."
    shown = {} if is_right else {structure_name: bench.structures[structure_name]}
    yield graded("units", number, limit, text, unit="eV/angstrom", structures=shown)


def _compared(bench: Bench, system: str) -> Iterator[tuple[float, float, tuple[str, str]]]:
    energy_unit, energy, length_unit, length = _OTHERS[system]
    # the model as it is: reading the file takes long, and engines convert
    options = {"kernel": "script", **bench.options, "energy_unit": energy_unit, "length_unit": length_unit}
    other = Engine(bench.engine.model, **options)
    structures = usable(bench)
    wanted = available(bench, "energy", "forces")
    expected = ask(bench.engine, list(structures.values()), *wanted)
    found = ask(other, [_in_unit(each, length) for each in structures.values()], *wanted)
    for name, a, b in zip(structures, expected, found, strict=True):
        n_atoms = max(len(a.forces), 1)
        differences = (
            float(np.abs(a.forces - b.forces * energy / length).max(initial=0.0)),
            abs(a.energy - b.energy * energy) / n_atoms,
        )
        # forces change with lengths by their derivative, some tens of their size for each angstrom
        limit = rounding(bench, a.size) + 30 * _EDITIONS * a.size
        yield max(differences), limit, (system, name)


def _in_unit(structure: Structure, length: float) -> Structure:
    return dataclasses.replace(structure, positions=structure.positions / length, cell=structure.cell / length)
