"""``metatomic neb``: minimum energy path and barrier between two structures."""

import time
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.adapters.console import columns, print_table
from metatomic_core.adapters.quantity import Quantity

from ._common import StopOnSignal
from ._study import RESUME_HELP, Study, output_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import ase

    from metatomic_ase import MetatomicCalculator
    from metatomic_ase.properties.nudged_elastic_band import EnergyPath

_EPILOG = f"""STRUCTURES are the two ends, and structures between them if there are any: two files or more, of which the
last structure counts, or one file with all of them.  They have the same atoms in the same order, and the same cell.
All images are evaluated in one call of the model at each step.

Files: PREFIX.extxyz (the path with energies and forces), PREFIX.json (barriers, energies along the path), and the
picture.  A path that does not converge is written, and the exit status is 1; to go on, give PREFIX.extxyz.

{RESUME_HELP}

\b
Examples:
  metatomic neb argon.pt before.extxyz after.extxyz
  metatomic neb argon.pt before.extxyz after.extxyz --images 11 --fmax 0.01 --picture png
  metatomic neb argon.pt before.extxyz middle.extxyz after.extxyz --no-relax-ends
  metatomic neb argon.pt neb.extxyz -o further --steps 1000"""

# steps between lines where output is no terminal, and seconds between files of what is done
_LINE_EVERY, _KEEP_EVERY = 20, 10.0


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structures", nargs=-1, required=True)
@click.option(
    "--images",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Number of images between the ends.  [default: 7, or as many as there are in one file]",
)
@click.option(
    "--interpolation",
    type=click.Choice(["idpp", "linear"]),
    default="idpp",
    show_default=True,
    help="How the first path is made.",
)
@click.option("--climb/--no-climb", default=True, show_default=True, help="Whether the highest image climbs.")
@click.option("--relax-ends/--no-relax-ends", default=True, show_default=True, help="Whether to relax the ends first.")
@click.option(
    "--fmax", type=Quantity("eV/A", "0.05 eV/A"), default="0.05", show_default=True, help="Largest force left, in eV/Å."
)
@click.option(
    "--spring",
    type=Quantity("eV/A^2", "0.1 eV/A^2"),
    default="0.1",
    show_default=True,
    help="Constant of the springs, in eV/Å^2.",
)
@click.option(
    "--method",
    type=click.Choice(["improvedtangent", "aseneb", "eb", "spline", "string"]),
    default="improvedtangent",
    show_default=True,
    help="Method, as ASE names it.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["fire", "bfgs", "lbfgs"]),
    default="fire",
    show_default=True,
    help="Optimizer of ASE.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="N", default=500, show_default=True, help="Largest number of steps."
)
@output_options("neb")
def neb(**given: Any) -> None:
    """Find the path of lowest energy between two of STRUCTURES with MODEL, and its barrier.

    STRUCTURES are files of any format that ASE reads.
    """
    study = Study("neb", given, (".json", ".extxyz"))

    from metatomic_ase.properties.nudged_elastic_band import relax_path

    from ._pictures import energy_path
    from ._structures import check_species

    calc = study.calculator(given["model"])
    stops = _read(given)
    for path, one in stops:
        check_species([one], calc.capabilities().atomic_types, path)
    origin = study.origin(given["model"], calc)
    with StopOnSignal() as stop:
        work = _Work(study, study.settings(origin, *(one for _, one in stops)), stop)
        images = work.first_path([one for _, one in stops], calc, given)
        names = ("climb", "fmax", "steps", "spring", "method", "optimizer")
        found = relax_path(images, calc, **{name: given[name] for name in names}, on_step=work.after_step)
        if stop.number:
            work.keep(found.images)
            study.stopped(f"stopped after {found.n_steps} steps", stop)
    data = {"origin": origin, **_data(found)}
    study.write_structures(found.images, origin)
    study.draw(lambda: energy_path(found))
    study.write_json(data)
    study.finish(data, lambda: _report(data, study), calc)
    if not found.converged:
        raise RuntimeError(
            f"expected forces of the band below {given['fmax']:g} eV/Å within {given['steps']} steps, got "
            f"{found.largest_force:.3g} eV/Å; go on with `metatomic neb {given['model']} "
            f"{study.paths['.extxyz']} -o FURTHER`, or raise --steps"
        )


def _read(given: dict[str, Any]) -> "list[tuple[str, ase.Atoms]]":
    """Read all structures, each with its file."""
    from ._structures import read_structure, read_structures

    paths, file_format = given["structures"], given["file_format"]
    if len(paths) == 1:
        index = ":" if given["index"] == "-1" else given["index"]
        found = [(paths[0], one) for one in read_structures(paths[0], file_format, index)]
    else:
        found = [(path, read_structure(path, file_format, given["index"])) for path in paths]
    if len(found) < 2:
        raise ValueError(f"expected two structures at least, got one in '{paths[0]}'; name the file of the other end")
    return found


class _Work:
    """The path on its way: what is kept, and what is shown."""

    def __init__(self, study: Study, settings: dict[str, Any], stop: StopOnSignal):
        from metatomic_ase.properties.kept import as_text
        from metatomic_core.adapters.console import console

        self._path: Path = study.kept()
        self._resumes = study.resumes and self._path.exists()
        self._settings = as_text(settings)
        self._stop = stop
        self._kept_at = time.monotonic()
        self._terminal = console(stderr=True).is_terminal

    def first_path(
        self, stops: "Sequence[ase.Atoms]", calc: "MetatomicCalculator", given: dict[str, Any]
    ) -> "list[ase.Atoms]":
        """Give the path of an unfinished run, or a new one."""
        import warnings

        from metatomic_ase.properties.path_ends import check_ends, initial_path, relax_ends, swapped_atoms

        for one in stops[1:]:
            check_ends(stops[0], one)
        if self._resumes:
            return self._read(stops[0])
        n_swapped = swapped_atoms(stops[0], stops[-1])
        if n_swapped:
            warnings.warn(
                f"expected the same order of atoms at both ends, got {n_swapped} atoms in the place of others of their "
                "kind: if the path does not exchange them, sort them",
                stacklevel=2,
            )
        ends = [stops[0], stops[-1]]
        if given["relax_ends"]:
            ends = relax_ends(ends, calc, given["fmax"] / 5)
        between = stops[1:-1]
        n_images = given["images"] or (len(between) if len(given["structures"]) == 1 and between else _N_IMAGES)
        return initial_path(ends[0], ends[1], n_images, between=between, interpolation=given["interpolation"])

    def after_step(self, step: int, images: "Sequence[ase.Atoms]", largest: float) -> bool:
        """Keep the path from time to time, say how far it is, and whether to stop."""
        now = time.monotonic()
        if now - self._kept_at > _KEEP_EVERY:
            self.keep(images)
            self._kept_at = now
        if self._terminal or (step % _LINE_EVERY == 0 and step > 0):
            energies = [atoms.get_potential_energy() for atoms in images]
            barrier = max(energies) - energies[0]
            text = f"step {step}, barrier {barrier:.4f} eV, largest force {largest:.3g} eV/Å"
            # on a terminal, each line in the place of the one before
            click.echo(f"\r{text}\x1b[K" if self._terminal else text, nl=not self._terminal, err=True)
        return bool(self._stop.number)

    def keep(self, images: "Sequence[ase.Atoms]") -> None:
        """Write the file of an unfinished run."""
        from metatomic_ase.properties.kept import write_kept

        write_kept(self._path, self._settings, {k: {"positions": atoms.positions} for k, atoms in enumerate(images)})

    def _read(self, template: "ase.Atoms") -> "list[ase.Atoms]":
        from metatomic_ase.properties.kept import read_kept

        kept = read_kept(self._path, self._settings)
        images = [template.copy() for _ in kept]
        for number, atoms in enumerate(images):
            atoms.arrays["positions"] = kept[number]["positions"].copy()
        return images


_N_IMAGES = 7


def _data(found: "EnergyPath") -> dict[str, Any]:
    return {
        "formula": found.images[0].get_chemical_formula(),
        "converged": found.converged,
        "steps": found.n_steps,
        "largest_force_eV_per_A": found.largest_force,
        "barrier_eV": found.barrier,
        "reverse_barrier_eV": found.reverse_barrier,
        "reaction_energy_eV": found.reaction_energy,
        "highest_image": int(found.energies.argmax()),
        "energies_eV": found.energies,
        "path_A": found.curve().path,
    }


def _report(data: dict[str, Any], study: Study) -> None:
    table = columns("image", "path [Å]", "energy [eV]")
    for number, (way, energy) in enumerate(zip(data["path_A"], data["energies_eV"], strict=True)):
        table.add_row(str(number), f"{way:.4f}", _energy(energy))
    print_table(table)
    table = columns()
    table.add_row("barrier [eV]", f"{data['barrier_eV']:.6f}")
    table.add_row("barrier of the way back [eV]", f"{data['reverse_barrier_eV']:.6f}")
    table.add_row("energy of the last above the first [eV]", _energy(data["reaction_energy_eV"]))
    state = "converged" if data["converged"] else "NOT converged"
    table.add_row(state, f"in {data['steps']} steps, largest force {data['largest_force_eV_per_A']:.3g} eV/Å")
    table.add_row("written", study.written())
    print_table(table)


def _energy(value: float) -> str:
    # no "-0.000000"
    return f"{round(value, 6) + 0.0:.6f}"
