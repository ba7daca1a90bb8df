"""A short run at a high temperature: atoms neither fall into each other nor fly away."""

import time
from collections.abc import Iterator

import numpy as np
from ase import Atoms, units
from ase.geometry import get_distances
from ase.md.langevin import Langevin

from metatomic_check.asking import lacking
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, Line, Plot
from metatomic_check.geometry import repeated
from metatomic_check.structures import best_crystal, chosen_species
from metatomic_check.table import check
from metatomic_check.trajectories import as_atoms
from metatomic_core.engine import Structure

from .dimers import alone

# Hot for what is weakly bound, in parts of the energy that binds an atom; at most that of a melt of most metals.
_HOT, _BOUND_PART = 1500.0, 0.04
_N_STEPS = 200
# of which the first one that has a bound crystal is heated
_N_SPECIES = 3
_SECONDS = {False: 5.0, True: 25.0}
_FEWEST_STEPS = 20
_MAX_ATOMS = 32
# in parts of the first distance of neighbors, and of the temperature aimed at
_COLLAPSED, _EXPLODED = 0.45, 8.0


@check("heating", "physics", quick=False)
def heating(bench: Bench) -> Iterator[Finding]:
    """Atoms of a hot crystal fall into each other or fly away.

    The model has holes: geometries that its data did not have and to which it gives energies that are much too low.
    Such runs end with an error or, worse, go on.  Stay at temperatures of the data, or train on hot structures.
    """
    if lack := lacking(bench, "heating", "energy", "forces", own_structures=True):
        yield from lack
        return
    crystals = (best_crystal(bench, number) for number in chosen_species(bench, _N_SPECIES))
    found = next((each for each in crystals if each.bound), None)
    if found is None:
        text = "No simple crystal of the model is bound: there is nothing to heat."
        yield Finding("heating", Grade.NOT_APPLICABLE, text)
        return
    n_cells = max(int((_MAX_ATOMS / len(found.structure.types)) ** (1 / 3) + 1e-9), 2)
    crystal = repeated(found.structure, (n_cells,) * 3)
    yield _run(bench, crystal, found.spacing)


def _temperature(bench: Bench, crystal: Structure) -> float:
    """Give the temperature to aim at: 1500 K, less where atoms are bound weakly."""
    energy = bench.energy(crystal) / len(crystal.types)
    binding = alone(bench, int(crystal.types[0])) - energy
    return float(np.clip(_BOUND_PART * binding / units.kB, 20.0, _HOT)) if binding > 0 else _HOT


def _run(bench: Bench, crystal: Structure, spacing: float) -> Finding:
    temperature = _temperature(bench, crystal)
    atoms = as_atoms(crystal, bench.engine)
    rng = np.random.RandomState(bench.seed)  # what ASE takes
    # half of it goes into displacements
    widths = np.sqrt(2 * temperature * units.kB * atoms.get_masses())
    atoms.set_momenta(widths[:, None] * rng.normal(size=atoms.positions.shape))
    step = float(np.clip(0.2 * np.sqrt(atoms.get_masses().min()), 0.2, 2.0)) * units.fs
    dynamics = Langevin(atoms, step, temperature_K=temperature, friction=0.02 / units.fs, fixcm=False, rng=rng)
    history: list[tuple[float, float, float]] = []
    start = time.perf_counter()
    trouble = ""
    for _ in range(_N_STEPS):
        try:
            dynamics.run(1)
        except ValueError as error:
            trouble = f"the model refuses it: {error}"
            break
        history.append((dynamics.get_time() / units.fs, atoms.get_temperature(), _closest(atoms)))
        trouble = _trouble(history[-1], temperature, spacing)
        too_long = time.perf_counter() - start > _SECONDS[bench.full] and len(history) >= _FEWEST_STEPS
        if trouble or too_long:
            break
    return _finding(atoms, crystal, history, temperature, trouble)


def _closest(atoms: Atoms) -> float:
    between = get_distances(atoms.positions, cell=atoms.cell, pbc=atoms.pbc)[1]
    return float(between[np.triu_indices(len(atoms), 1)].min())


def _trouble(last: tuple[float, float, float], temperature: float, spacing: float) -> str:
    _, hot, closest = last
    if closest < _COLLAPSED * spacing:
        return f"two atoms came as close as {closest:.2f} angstrom"
    if not hot < _EXPLODED * temperature:
        return f"the temperature rose to {hot:.0f} K"
    return ""


def _finding(
    atoms: Atoms,
    crystal: Structure,
    history: list[tuple[float, float, float]],
    temperature: float,
    trouble: str,
) -> Finding:
    x, hot, closest = np.array(history).reshape(-1, 3).T
    plot = Plot(
        f"A crystal held at {temperature:.0f} K", "time (fs)", "temperature (K)", (Line("temperature", x, hot),)
    )
    if trouble:
        text = (
            f"A crystal of {len(crystal.types)} atoms heated to {temperature:.0f} K broke after {len(x)} steps: "
            f"{trouble}."
        )
        now = Structure(crystal.types, atoms.positions.copy(), crystal.cell, crystal.pbc)
        return Finding("heating", Grade.WARN, text, structures={"hot crystal": now}, plots=(plot,))
    text = (
        f"A crystal of {len(crystal.types)} atoms stays together for {len(x)} steps at {temperature:.0f} K; "
        f"no two atoms were closer than {closest.min():.2f} angstrom."
    )
    return Finding("heating", Grade.PASS, text, number=float(closest.min()), unit="angstrom", plots=(plot,))
