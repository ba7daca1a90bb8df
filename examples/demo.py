"""Silicon with the Stillinger-Weber potential, from model file to molecular dynamics, through ASE.

Exports the model, relaxes the crystal, computes cohesive energy and elastic constants beside the published values,
runs 512 atoms at 600 K and then at constant energy, and draws energy and temperature.  With --quick it is 64 atoms and
few steps, to see that it works.
"""

import argparse
import os
from pathlib import Path
from typing import Callable

# small matrices gain nothing from threads, and lose much where the machine is busy; must be set before numpy comes
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import ase
import matplotlib as mpl
import numpy as np
from ase import units
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.io import Trajectory
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import stillinger_weber

mpl.use("Agg")
import matplotlib.pyplot as plt

CONSOLE = Console()
TIMESTEP_FS = 1.0
TEMPERATURE_K = 600.0
# F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985): the energy of the perfect crystal is -2 epsilon per
# atom, with epsilon = 2.1683 eV, at the density of silicon (a = 5.431 angstrom).
# E. R. Cowley, Phys. Rev. Lett. 60, 2379 (1988): elastic constants of this potential at zero temperature.
PUBLISHED = {
    "lattice constant (Å)": (5.431, "Stillinger & Weber 1985"),
    "cohesive energy (eV/atom)": (4.3366, "Stillinger & Weber 1985"),
    "C11 (GPa)": (151.4, "Cowley 1988"),
    "C12 (GPa)": (76.4, "Cowley 1988"),
    "C44 (GPa)": (56.4, "Cowley 1988"),
}


def relaxed_crystal(calculator: MetatomicCalculator) -> ase.Atoms:
    """Relax the conventional cell of silicon, starting from a wrong lattice constant."""
    atoms = bulk("Si", "diamond", a=5.3, cubic=True)
    atoms.calc = calculator
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-6, steps=200)
    return atoms


def strained_stress(crystal: ase.Atoms, strain: np.ndarray) -> np.ndarray:
    """Stress (Voigt, GPa) under a strain (3, 3), with the atoms relaxed inside the strained cell."""
    atoms = crystal.copy()
    atoms.calc = crystal.calc
    atoms.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    BFGS(atoms, logfile=None).run(fmax=1e-7, steps=500)
    return atoms.get_stress() / units.GPa


def elastic_constants(crystal: ase.Atoms, step: float = 1e-4) -> dict[str, float]:
    """C11, C12 and C44 in GPa, by central differences of the stress."""
    stretch, shear = np.zeros((3, 3)), np.zeros((3, 3))
    stretch[0, 0] = step
    shear[1, 2] = shear[2, 1] = step / 2
    stretched = (strained_stress(crystal, stretch) - strained_stress(crystal, -stretch)) / (2 * step)
    sheared = (strained_stress(crystal, shear) - strained_stress(crystal, -shear)) / (2 * step)
    return {"C11 (GPa)": stretched[0], "C12 (GPa)": stretched[1], "C44 (GPa)": sheared[3]}


def crystal_table(crystal: ase.Atoms, computed: dict[str, float]) -> Table:
    """Put computed values beside the published ones."""
    table = Table(title="Stillinger-Weber silicon")
    for column, justify in (("", "left"), ("computed", "right"), ("published", "right"), ("source", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, (published, source) in PUBLISHED.items():
        digits = len(str(published).partition(".")[2])
        table.add_row(name, f"{computed[name]:.{digits}f}", f"{published}", source)
    return table


def run_dynamics(
    atoms: ase.Atoms, make: Callable[[ase.Atoms], MolecularDynamics], steps: int, trajectory: Path, what: str
) -> np.ndarray:
    """Run molecular dynamics; rows of time (ps), potential, kinetic and total energy (eV/atom), temperature (K)."""
    dynamics = make(atoms)
    rows: list[tuple[float, ...]] = []
    columns = (TextColumn(f"{what:4}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Trajectory(trajectory, "w", atoms) as writer, Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task(what, total=steps)

        def record() -> None:
            potential, kinetic = atoms.get_potential_energy() / len(atoms), atoms.get_kinetic_energy() / len(atoms)
            time = dynamics.nsteps * TIMESTEP_FS / 1000
            rows.append((time, potential, kinetic, potential + kinetic, atoms.get_temperature()))
            progress.update(task, completed=dynamics.nsteps)

        dynamics.attach(record, interval=5)
        dynamics.attach(writer.write, interval=20)
        dynamics.run(steps)
    return np.array(rows)


def draw(nvt: np.ndarray, nve: np.ndarray, n_atoms: int, files: list[Path]) -> None:
    """Draw energy and temperature of both runs, in the format of each file's suffix."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.6), sharex="col", constrained_layout=True)
    for column, (rows, title) in enumerate(((nvt, f"thermostat at {TEMPERATURE_K:.0f} K"), (nve, "constant energy"))):
        time, potential, _, total, temperature = rows.T
        top, bottom = axes[0, column], axes[1, column]
        top.plot(time, 1000 * (potential - total[0]), color="tab:blue", label="potential")
        top.plot(time, 1000 * (total - total[0]), color="tab:orange", label="total")
        top.set_title(f"{n_atoms} silicon atoms, {title}")
        top.legend(frameon=False, loc="best")
        bottom.plot(time, temperature, color="tab:red")
        if column == 0:
            bottom.axhline(TEMPERATURE_K, color="0.5", linestyle="--", linewidth=1)
        bottom.set_xlabel("time (ps)")
    axes[0, 0].set_ylabel("energy relative to the\ninitial total energy (meV/atom)")
    axes[1, 0].set_ylabel("temperature (K)")
    for file in files:
        figure.savefig(file, dpi=200)
    plt.close(figure)


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for all files")
    parser.add_argument("--steps", type=int, help="steps of each run of molecular dynamics, 20 or more (default: 2000)")
    parser.add_argument("--quick", action="store_true", help="64 atoms, and 100 steps by default")
    arguments = parser.parse_args()
    steps = arguments.steps if arguments.steps is not None else 100 if arguments.quick else 2000
    if steps < 20:
        parser.error(f"expected 20 or more for --steps, got {steps}")
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)

    model = output / "silicon.pt"
    stillinger_weber().save(str(model))
    CONSOLE.print(f"exported {model}")
    calculator = MetatomicCalculator(model)

    crystal = relaxed_crystal(calculator)
    computed = {
        "lattice constant (Å)": crystal.cell.volume ** (1 / 3),
        "cohesive energy (eV/atom)": -crystal.get_potential_energy() / len(crystal),
        **elastic_constants(crystal),
    }
    CONSOLE.print(crystal_table(crystal, computed))

    atoms = crystal.repeat(2 if arguments.quick else 4)
    atoms.calc = calculator
    generator = np.random.default_rng(2026)
    # half of the kinetic energy of the perfect crystal goes into potential energy
    width = np.sqrt(2 * TEMPERATURE_K * units.kB * atoms.get_masses())[:, None]
    atoms.set_momenta(width * generator.normal(size=(len(atoms), 3)))
    Stationary(atoms)
    nvt = run_dynamics(
        atoms,
        lambda a: Bussi(a, TIMESTEP_FS * units.fs, TEMPERATURE_K, taut=100 * units.fs, rng=generator),
        steps,
        output / "nvt.traj",
        "NVT",
    )
    nve = run_dynamics(atoms, lambda a: VelocityVerlet(a, TIMESTEP_FS * units.fs), steps, output / "nve.traj", "NVE")
    slope = np.polyfit(nve[:, 0], nve[:, 3], 1)[0]
    half = len(nvt) // 2
    mean = nvt[half:, 4].mean()
    CONSOLE.print(f"NVT: mean temperature of the second half {mean:.0f} K (thermostat {TEMPERATURE_K:.0f} K)")
    CONSOLE.print(f"NVE: drift of the total energy {10 * slope:+.1e} eV per atom in 10 ps")
    pictures = [output / f"silicon.{suffix}" for suffix in ("png", "pdf", "svg")]
    draw(nvt, nve, len(atoms), pictures)
    CONSOLE.print(f"wrote {output}/silicon.png (.pdf, .svg), nve.traj and nvt.traj")
    CONSOLE.print(f"look with `ase gui {output}/nvt.traj`")


if __name__ == "__main__":
    main()
