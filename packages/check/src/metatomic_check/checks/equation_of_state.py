"""Energy by volume of simple crystals: lengths, stiffness, and whether it is smooth."""

from collections.abc import Iterator

import numpy as np
from ase import units
from ase.eos import EquationOfState

from metatomic_check.asking import energies, lacking
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, Line, Plot
from metatomic_check.structures import best_crystal, chosen_species, scaled
from metatomic_check.table import check
from metatomic_core.adapters import symbols

_N_SPECIES = {False: 2, True: 6}
# volumes relative to that of least energy
_VOLUMES = np.linspace(0.9, 1.1, 21)
# how far energies may be from the fitted curve, in parts of their spread; a Birch-Murnaghan curve of a real solid is
# off by 1e-4 over these volumes, and one of a solid of pairs by less
_ROUGH = 0.03


@check("equation of state", "physics", quick=False)
def equation_of_state(bench: Bench) -> Iterator[Finding]:
    """The energy of a crystal by its volume has no minimum, or is not smooth.

    Pressures, bulk moduli and elastic constants are then wrong.  Compare volume and bulk modulus with what is known.
    """
    if lack := lacking(bench, "equation of state", "energy", own_structures=True):
        yield from lack
        return
    for number in chosen_species(bench, _N_SPECIES[bench.full]):
        yield _of(bench, number)


def _of(bench: Bench, number: int) -> Finding:
    name = symbols([number])[0]
    found = best_crystal(bench, number)
    if not found.bound:
        text = f"No simple crystal of {name} has a volume of least energy."
        return Finding("equation of state", Grade.INFORMATION, text, part=name)
    n_atoms = len(found.structure.types)
    start = abs(float(np.linalg.det(found.structure.cell))) / n_atoms
    volumes = start * _VOLUMES
    energy = energies(bench.engine, [scaled(found.structure, v ** (1 / 3)) for v in _VOLUMES]) / n_atoms
    try:
        fit = EquationOfState(volumes, energy, eos="birchmurnaghan")
        v0, e0, bulk_modulus = fit.fit(warn=False)
        rough = float(np.abs(fit.func(volumes, *fit.eos_parameters) - energy).max() / np.ptp(energy))
    except (ValueError, RuntimeError):
        v0, e0, bulk_modulus, rough = start, float(energy.min()), np.nan, np.inf
    in_gpa = bulk_modulus / units.GPa
    text = f"{name} ({found.lattice}): {v0:.3f} angstrom^3/atom, {e0:.4f} eV/atom, bulk modulus {in_gpa:.1f} GPa."
    odd = not rough <= _ROUGH or not volumes[0] < v0 < volumes[-1] or not bulk_modulus > 0
    if odd:
        text += " Energies are off from a Birch-Murnaghan curve: look at the plot."
    plot = Plot(
        f"Equation of state of {name} ({found.lattice})",
        "volume (angstrom^3/atom)",
        "energy (eV/atom)",
        (Line("model", volumes, energy),),
        marks=((float(v0), "least energy"),),
        points=True,
    )
    grade = Grade.WARN if odd else Grade.INFORMATION
    return Finding(
        "equation of state", grade, text, part=name, number=float(in_gpa), unit="GPa", structures={}, plots=(plot,)
    )
