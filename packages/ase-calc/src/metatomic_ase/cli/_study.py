"""What the commands for properties share: names of files, going on after a kill, provenance, pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from metatomic_core.adapters.console import checked_output, force_option, json_option, json_text, print_json
from metatomic_core.adapters.quantity import Quantity
from metatomic_core.adapters.text_options import text_from_options

from ._common import (
    MODEL_OPTIONS,
    StopOnSignal,
    bibtex_option,
    calculator,
    checked_bibtex,
    model_options,
    structure_options,
)

if TYPE_CHECKING:
    import ase
    from matplotlib.figure import Figure

    from metatomic_ase import MetatomicCalculator

Function = TypeVar("Function", bound=Callable[..., Any])

PICTURES = ("pdf", "png", "svg", "none")
UNFINISHED = ".unfinished"

RESUME_HELP = f"""Ctrl-C and SIGTERM end the work after the current step: PREFIX{UNFINISHED} has what is done, of a run
that was killed as well, and the same command with --resume goes on."""


def output_options(default: str, index: str = "-1") -> Callable[[Function], Function]:
    """Decorator that adds what all commands for properties have: output files, options of structures and models.

    Parameters
    ----------
    default
        Start of the names of output files.
    index
        Which structures of the input are read if nobody says.
    """
    options = (
        click.option("--index", default=index, show_default=True, help="Which structures of the input."),
        click.option(
            "-o",
            "--output",
            "prefix",
            metavar="PREFIX",
            default=default,
            show_default=True,
            help="Start of the names of output files.",
        ),
        click.option(
            "--picture",
            type=click.Choice(PICTURES),
            default="pdf",
            show_default=True,
            help="Format of the picture PREFIX.pdf.",
        ),
        click.option("--resume", is_flag=True, help="Go on with what an unfinished run has done."),
        bibtex_option,
        structure_options,
        model_options,
        force_option,
        json_option,
    )
    return _adding(options)


def relaxation_options(where: str, fmax: str) -> Callable[[Function], Function]:
    """Decorator that adds options of the relaxation of atoms at each point.

    Parameters
    ----------
    where
        When atoms relax, for the help.
    fmax
        Largest force that is left if nobody says, in eV/angstrom.
    """
    options = (
        click.option("--relax/--no-relax", default=True, show_default=True, help=f"Whether atoms relax {where}."),
        click.option(
            "--fmax",
            type=Quantity("eV/A", "0.001 eV/A"),
            default=fmax,
            show_default=True,
            help="Largest force left, in eV/Å.",
        ),
        click.option(
            "--steps",
            type=click.IntRange(min=1),
            metavar="N",
            default=500,
            show_default=True,
            help="Largest number of steps of a relaxation.",
        ),
    )
    return _adding(options)


def _adding(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorated(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


class Study:
    """One run of a command for a property.

    Parameters
    ----------
    command
        Name of the command.
    given
        What the command was called with, by name; options of the model, `prefix`, `force`, `resume` and `picture` are
        among them.
    suffixes
        What follows PREFIX in the names of the files that are written, but for the picture.
    """

    def __init__(self, command: str, given: Mapping[str, Any], suffixes: Sequence[str]):
        self.command = command
        self.prefix: str = given["prefix"]
        self.resumes: bool = given["resume"]
        self._picture: str = given["picture"]
        self._own = {name: value for name, value in given.items() if name not in MODEL_OPTIONS}
        self._of_model = {name: given[name] for name in MODEL_OPTIONS}
        pictures = [] if self._picture == "none" else [f".{self._picture}"]
        if not Path(self.prefix).name or self.prefix.endswith("/"):
            raise ValueError(f"expected `-o` to be the start of names of files, got '{self.prefix}'")
        self.paths = {
            suffix: checked_output(f"{self.prefix}{suffix}", given["force"]) for suffix in (*suffixes, *pictures)
        }
        self._bibtex = checked_bibtex(given["bibtex"], given["force"])
        self._kept: set[Path] = set()

    def kept(self, label: str = "") -> Path:
        """Give the file of what is done."""
        path = Path(f"{self.prefix}{'.' + label if label else ''}{UNFINISHED}")
        if path.exists() and not self.resumes and not self._own["force"]:
            raise ValueError(
                f"expected no unfinished run, got '{path}'; go on with it with --resume, or begin anew with --force"
            )
        self._kept.add(path)
        return path

    def calculator(self, model: str) -> "MetatomicCalculator":
        """Make the calculator of a model file."""
        return calculator(model, self._of_model, uncertainty_threshold=None)

    def read(self) -> "tuple[MetatomicCalculator, ase.Atoms, dict[str, Any]]":
        """Give the calculator, the structure, and what results come from."""
        from ._structures import check_species, read_structure

        calc = self.calculator(self._own["model"])
        path = self._own["structure"]
        atoms = read_structure(path, self._own["file_format"], self._own["index"])
        check_species([atoms], calc.capabilities().atomic_types, path)
        return calc, atoms, self.origin(self._own["model"], calc)

    def origin(self, model: str, calc: "MetatomicCalculator") -> dict[str, Any]:
        """Give what results come from, as `_provenance.provenance`."""
        from ._provenance import provenance

        hidden = ("model", "models", "resume", "picture", "bibtex")
        options = {name: value for name, value in self._own.items() if name not in hidden}
        return provenance(self.command, model, calc, {**options, **text_from_options(self._of_model, MODEL_OPTIONS)})

    def settings(self, origin: Mapping[str, Any], *structures: "ase.Atoms") -> dict[str, Any]:
        """Give what must be the same in a run that goes on."""
        from ase.io.jsonio import encode

        # all that a model or an optimizer may look at: boundaries, constraints, charges and other data, too
        read = [encode(one.todict()) for one in structures]
        return {"sha256": origin["model"]["sha256"], "options": origin["options"], "structures": read}

    def computed(
        self,
        structures: "Sequence[ase.Atoms]",
        calc: "MetatomicCalculator",
        settings: Mapping[str, Any],
        what: str,
        label: str = "",
    ) -> "list[ase.Atoms]":
        """Compute structures, relaxed or as they are, keep what is done, and end the command on a signal."""
        from metatomic_ase.properties.points import Points, StoppedError
        from metatomic_core.adapters.progress import Progress

        with StopOnSignal() as stop, Progress(what, len(structures)) as progress:
            points = Points(
                calc,
                kept=self.kept(label),
                resume=self.resumes,
                settings=settings,
                on_progress=lambda done, _: progress.update(done, f"{progress.rate(done):.3g} per s"),
                stopped=lambda: bool(stop.number),
            )
            try:
                if self._own.get("relax"):
                    return points.relax(structures, self._own["fmax"], self._own["steps"])
                return points.evaluate(structures)
            except StoppedError as error:
                self.stopped(str(error), stop)

    def finish(
        self, data: Mapping[str, Any], report: "Callable[[], None]", *calculators: "MetatomicCalculator"
    ) -> None:
        """Drop what was kept, print the results, and what to cite."""
        from ._citations import cite

        for path in self._kept:
            path.unlink(missing_ok=True)
        if self._own["as_json"]:
            print_json(data)
        else:
            report()
        cite(calculators, [self.command, self._own.get("optimizer")], self._bibtex)

    def stopped(self, text: str, stop: StopOnSignal) -> NoReturn:
        """Say what was done until a signal, how to go on, and end the command."""
        click.echo(f"metatomic: {text}; go on with the same command and --resume", err=True)
        click.get_current_context().exit(stop.exit_status)

    def write_json(self, data: Mapping[str, Any], suffix: str = ".json") -> None:
        """Write data."""
        self.write_with(suffix, lambda path: path.write_text(json_text(data) + "\n", encoding="utf-8"))

    def write_with(self, suffix: str, write: Callable[[Path], Any]) -> None:
        """Let a function write a file, which appears whole or not at all."""
        from metatomic_core.adapters import replaced_when_done

        with replaced_when_done(self.paths[suffix]) as temporary:
            write(temporary)

    def write_structures(
        self, structures: "Sequence[ase.Atoms]", origin: Mapping[str, Any], suffix: str = ".extxyz"
    ) -> None:
        """Write structures with their results, and what they come from."""
        from ._provenance import as_info, without_info
        from ._structures import write_structures

        for atoms in structures:
            atoms.info = {**without_info(atoms.info), **as_info(origin)}
        write_structures(self.paths[suffix], structures)

    def draw(self, make: "Callable[[], Figure]") -> None:
        """Write the picture, if one is wanted."""
        if self._picture == "none":
            return
        from ._pictures import save

        save(make, self.paths[f".{self._picture}"])

    def written(self) -> str:
        """Give the names of the files."""
        return ", ".join(str(path) for path in self.paths.values() if path.exists())
