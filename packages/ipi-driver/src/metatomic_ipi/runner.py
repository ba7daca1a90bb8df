"""``metatomic-ipi input`` and ``run``: prepare a simulation; start, watch and stop i-PI and clients."""

import dataclasses
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from metatomic_core import load_atomistic_model
from metatomic_core.adapters.console import console
from metatomic_core.adapters.text_options import arguments_of, text_from_options

from ._console import pes_file, say
from .evaluation import Evaluator
from .input_xml import CASES, Settings, check_case, check_structure, standard_form, write_input
from .options import OPTIONS
from .output import THZ, draw, draw_frequencies, frequencies, last_row
from .processes import PATIENCE, Processes
from .restart import make_permanent, write_continuation
from .session import Stopped, stop_on_signals
from .template import read_structure

_POLL = 0.2
_CONVERGED = "Geometry optimization converged"
_IPI_PAPER = "i-PI 3.0: Y. Litman et al., J. Chem. Phys. 161, 062504 (2024), doi:10.1063/5.0215869"
_STATIC = ("geop", "phonons")
# option: cases in which it would change nothing
_NOT_FOR = {
    "pressure": tuple(name for name, case in CASES.items() if not case.needs_cell),
    "temperature": _STATIC,
    "temperatures": tuple(name for name in CASES if name != "remd"),
    "timestep": _STATIC,
    "tau": ("nve", *_STATIC),
    "steps": ("phonons",),
    "beads": ("phonons",),
}
# Characters with a meaning in the dictionaries of i-PI, and in XML.
_NOT_IN_PARAMETERS = set(",{}<&")


@dataclasses.dataclass
class Prepared:
    """A simulation on disk.

    Attributes
    ----------
    directory
        Where it is.
    files
        What was written.
    settings
        The numbers.
    model
        The model file.
    options
        Options of `evaluation.Evaluator`.
    input_file
        What i-PI reads.
    references
        What to cite for the model.
    """

    directory: Path
    files: list[Path]
    settings: Settings
    model: Path
    options: dict[str, Any]
    input_file: str = "input.xml"
    references: Sequence[str] = ()

    def client_arguments(self) -> list[str]:
        """Give the arguments of the client."""
        settings = self.settings
        where = (
            ["--host", settings.address, "--port", str(settings.port)]
            if settings.mode == "inet"
            else ["--unix", settings.address]
        )
        shm = ["--shm"] if settings.mode == "shm" else []
        return [str(self.model), "template.xyz", *where, *shm, *arguments_of(self.options, OPTIONS)]

    def shell_lines(self) -> list[str]:
        """Give the commands that run it."""
        lines = [] if self.directory.resolve() == Path.cwd() else [f"cd {shlex.quote(str(self.directory))}"]
        if self.settings.mode == "ffdirect":
            return [*lines, "i-pi input.xml"]
        return [*lines, "i-pi input.xml &", shlex.join(["metatomic-ipi", *self.client_arguments()])]


def prepare(
    model: str, structure: str, options: Mapping[str, Any], given: Mapping[str, Any], clients: int = 1
) -> Prepared:
    """Check model and structure together, and write the input.

    Raises
    ------
    ValueError
        If the model can not run the structure, or files exist already.
    """
    force = given["force"]
    directory = Path(given["output"])
    options = dict(options)
    path = Path(model).resolve()
    settings = _settings(given, options, path, clients)
    _check_used(given, options, settings, clients)
    names = ["input.xml", "init.xyz", "template.xyz", f"{settings.prefix}.out"]
    existing = [name for name in names if (directory / name).exists()]
    if existing and not force:
        raise ValueError(
            f"expected no '{existing[0]}' in '{directory}', got one; choose another directory with -o, or add --force"
        )
    atoms = read_structure(structure)
    check_structure(atoms)
    atoms = standard_form(atoms)
    check_case(settings, atoms)
    # loads the model and checks types, inputs and outputs before anything is written
    evaluator = Evaluator(load_atomistic_model(path, options["extensions_directory"]), atoms, **options)
    directory.mkdir(parents=True, exist_ok=True)
    files = write_input(settings, atoms, directory)
    return Prepared(directory, files, settings, path, options, references=_references(evaluator))


def prepare_to_go_on(model: str, options: Mapping[str, Any], directory: Path, steps: int | None) -> Prepared:
    """Prepare to go on from the RESTART in a directory.

    Raises
    ------
    ValueError
        If there is nothing to go on from, or the model does not fit.
    """
    path = Path(model).resolve()
    options = dict(options)
    fixed = write_continuation(directory, steps)
    atoms = read_structure(directory / "template.xyz")
    evaluator = Evaluator(load_atomistic_model(path, options["extensions_directory"]), atoms, **options)
    return Prepared(directory, [], Settings(**fixed), path, options, "continue.xml", _references(evaluator))


def _references(evaluator: Evaluator) -> list[str]:
    found = evaluator.engine.model.metadata().references
    return list(dict.fromkeys(text for texts in found.values() for text in texts))


def _check_used(given: Mapping[str, Any], options: Mapping[str, Any], settings: Settings, clients: int) -> None:
    """Refuse options that would change nothing, or do not go together.

    Raises
    ------
    ValueError
        If there is one.
    """
    case, mode = settings.case, settings.mode
    for name in given["explicit"]:
        flag = "--thermostat-time" if name == "tau" else f"--{name}"
        if case in _NOT_FOR.get(name, ()):
            users = ", ".join(other for other in CASES if other not in _NOT_FOR[name])
            raise ValueError(f"expected {flag} only for {users}, got it with --case {case}; leave it out")
        if name == "port" and mode != "inet":
            raise ValueError(f"expected --port only with --mode inet, got it with {mode}; leave it out")
        if name == "address" and mode == "ffdirect":
            raise ValueError("expected no --address with --mode ffdirect, got one; leave it out")
    if case == "remd" and "temperature" in given["explicit"] and given["temperatures"] is not None:
        raise ValueError("expected either --temperature or --temperatures for remd, got both")
    if clients > 1 and mode == "ffdirect":
        raise ValueError(f"expected no --clients with --mode ffdirect, which has none, got {clients}")
    if CASES[case].needs_cell and not options["virial"]:
        raise ValueError(f"expected virials for '{case}', got --no-virial; leave it out")
    if CASES[case].needs_cell and set(options["pbc"]) != set("xyz") and options["pbc"] != "template":
        raise ValueError(f"expected all directions to be periodic for '{case}', got --pbc {options['pbc']}")


def _settings(given: Mapping[str, Any], options: Mapping[str, Any], model: Path, clients: int) -> Settings:
    numbers = {name: given[name] for name in ("case", "temperature", "pressure", "timestep", "tau", "steps", "seed")}
    temperatures = _temperatures(given["temperatures"])
    settings = Settings(
        **numbers,
        temperatures=temperatures,
        n_beads=given["beads"],
        batch_size=given["batch_size"],
        stride=given["stride"],
        prefix=given["prefix"],
        mode=given["mode"],
        address="localhost" if given["mode"] == "inet" and given["address"] == "metatomic" else given["address"],
        port=given["port"],
        extras=options["extras"],
        parameters=_parameters(options, model) if given["mode"] == "ffdirect" else {},
        pes_path=str(pes_file()),
    )
    if given["batch_size"] is None and clients > 1:
        settings.batch_size = -(-(settings.batch_size or 1) // clients)
    return settings


def _temperatures(text: str | None) -> Sequence[float]:
    if text is None:
        return ()
    try:
        return [float(item) for item in text.split(",")]
    except ValueError:
        raise ValueError(f"expected `--temperatures` as numbers separated by commas, got '{text}'") from None


def _parameters(options: Mapping[str, Any], model: Path) -> dict[str, str]:
    """Give the parameters of the PES, with lists as it reads them."""
    parameters = {"model": str(model), "template": "template.xyz", **text_from_options(options, OPTIONS)}
    for name, text in parameters.items():
        if set(text) & _NOT_IN_PARAMETERS:
            raise ValueError(
                f"expected `{name}` without any of {' '.join(sorted(_NOT_IN_PARAMETERS))} for --mode ffdirect, where "
                f"i-PI has no way to write them, got '{text}'; rename it, or choose another mode"
            )
    return parameters


def find_ipi() -> str:
    """Give the path of ``i-pi``: the one beside this Python, or else on the PATH.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    found = shutil.which("i-pi", path=str(Path(sys.executable).parent)) or shutil.which("i-pi")
    if found is None:
        raise RuntimeError("expected the command i-pi, got none; run `pip install ipi`")
    return found


def run_all(prepared: Prepared, clients: int, patience: float = PATIENCE) -> int:
    """Start i-PI and clients, show progress until they end, and draw the results.

    Returns
    -------
    int
        Exit status: 0 if i-PI has finished all steps.
    """
    directory = prepared.directory
    processes = Processes(directory, patience)
    names = [] if prepared.settings.mode == "ffdirect" else [f"client-{i + 1}" for i in range(clients)]
    start = time.perf_counter()
    # a socket of its own for each run, so that a file that an earlier one has left is not in the way
    private = tempfile.mkdtemp(prefix="metatomic-")
    try:
        with stop_on_signals(again=True):
            done = _run_and_stop(prepared, processes, names, f"{private}/ipi_")
    except Stopped as stopped:
        return stopped.status
    finally:
        shutil.rmtree(private, ignore_errors=True)
        make_permanent(directory / "RESTART")
    seconds = time.perf_counter() - start
    if not done:
        _explain(processes, ["i-pi", *names])
        return 1
    for name in names[:1]:
        for line in processes.last_lines(name):
            click.echo(line, err=True)
    say(f"finished in {seconds:.1f} s; everything is in {directory}")
    _say_references(prepared)
    picture = _draw(prepared)
    if picture is not None:
        click.echo(picture)
    if prepared.settings.case == "geop" and _CONVERGED not in _log_text(processes):
        say(f"not converged after {prepared.settings.steps} steps; go on from the last structure, or with more --steps")
        return 1
    return 0


def _say_references(prepared: Prepared) -> None:
    say("please cite")
    for text in (*prepared.references, _IPI_PAPER):
        say(f"  {text}")


def _draw(prepared: Prepared) -> Path | None:
    """Draw what the case is about; print frequencies."""
    directory, settings = prepared.directory, prepared.settings
    picture = directory / f"{settings.prefix}.png"
    with (directory / "template.xyz").open(encoding="utf-8") as file:
        n_atoms = int(file.readline())
    beads = f", {settings.n_beads} beads" if (settings.n_beads or 1) > 1 else ""
    title = f"{prepared.model.name}: {CASES[settings.case].help}, {n_atoms} atoms{beads}"
    if settings.case == "phonons":
        values = frequencies(directory, settings.prefix)
        if len(values) == 0:
            return None
        click.echo("frequency / cm^-1   / THz   (imaginary below zero)")
        for value in values:
            click.echo(f"{value:17.3f} {value * THZ:9.4f}")
        draw_frequencies(values, picture, title)
        return picture
    targets: dict[str, Sequence[float]] = {}
    if settings.case != "nve" and prepared.input_file == "input.xml":
        targets["temperature"] = settings.temperatures or [settings.temperature]
        targets["pressure_md"] = [1000.0 * settings.pressure]
    tables = _tables(prepared)
    labels = [f"{value:.0f} K at first" for value in settings.temperatures] or [path.name for path in tables]
    return draw(dict(zip(labels, tables, strict=False)), picture, title, n_atoms, targets)


def _tables(prepared: Prepared) -> list[Path]:
    """Give the tables of properties, one for each replica."""
    name = f"{prepared.settings.prefix}.out"
    if prepared.settings.case != "remd":
        return [prepared.directory / name]
    return sorted(prepared.directory.glob(f"*_{name}"), key=lambda path: int(path.name.partition("_")[0]))


def _run_and_stop(prepared: Prepared, processes: Processes, names: Sequence[str], prefix: str) -> bool:
    """Run i-PI and clients until they end or a signal comes, and leave none behind; tell whether i-PI has finished."""
    client = [sys.executable, "-m", "metatomic_ipi", *prepared.client_arguments(), "-S", prefix]
    try:
        processes.start("i-pi", [sys.executable, find_ipi(), "-S", prefix, prepared.input_file])
        for name in names:
            processes.start(name, client)
        return _watch(prepared, processes, names)
    except Stopped as stopped:
        say(f"{stopped}; stopping i-PI, which writes RESTART when its step is done, and the clients")
        raise
    finally:
        processes.stop_all()


def _watch(prepared: Prepared, processes: Processes, names: Sequence[str]) -> bool:
    """Show progress until i-PI ends; tell whether it has finished."""
    import rich.progress

    told = 0
    fields = (
        "{task.description}",
        rich.progress.BarColumn(),
        "{task.completed:.0f}/{task.total:.0f}",
    )
    screen = console(stderr=True)
    with rich.progress.Progress(
        *fields,
        rich.progress.TimeRemainingColumn(),
        "{task.fields[state]}",
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as progress:
        task = progress.add_task(prepared.settings.case, total=prepared.settings.steps, state="starting")
        while processes.status("i-pi") is None:
            time.sleep(_POLL)
            if names and all(processes.status(name) not in (None, 0) for name in names):
                # nobody is left to answer i-PI, which would wait for ever
                return False
            tables = _tables(prepared)
            row = last_row(tables[0]) if tables else {}
            if row:
                progress.update(task, completed=row["step"], state=_state(row))
                tenth = int(10 * row["step"] / prepared.settings.steps)
                if not screen.is_terminal and tenth > told:
                    told = tenth
                    say(f"step {row['step']:.0f} of {prepared.settings.steps}, {_state(row)}")
    return processes.status("i-pi") == 0 and _succeeded(processes)


def _state(rows: Mapping[str, float]) -> str:
    parts = [f"{rows['potential']:.4f} eV"]
    if "temperature" in rows:
        parts.append(f"{rows['temperature']:.0f} K")
    return ", ".join(parts)


def _succeeded(processes: Processes) -> bool:
    """Tell from its log whether i-PI has ended well: its exit status is 0 in any case."""
    text = _log_text(processes)
    return "I-PI reports a problem" not in text and "Traceback" not in text


def _log_text(processes: Processes) -> str:
    return processes.log("i-pi").read_text(encoding="utf-8", errors="replace")


def _explain(processes: Processes, names: Sequence[str]) -> None:
    for name in names:
        say(f"the end of {processes.log(name)}:")
        for line in processes.last_lines(name):
            click.echo(f"  {line}", err=True)
    say("i-PI has not finished")
