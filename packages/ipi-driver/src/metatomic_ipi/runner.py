"""``metatomic-ipi input`` and ``run``: prepare a simulation; start, watch and stop i-PI and clients."""

import dataclasses
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import click

from metatomic_core import load_atomistic_model
from metatomic_core.cli._common import console

from .cli import pes_file, say
from .evaluation import Evaluator
from .input_xml import Settings, standard_form, write_input
from .options import OPTIONS, arguments_of
from .output import columns, draw
from .processes import Processes
from .session import Stopped, stop_on_signals
from .template import read_structure

_POLL = 0.2
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
    """

    directory: Path
    files: List[Path]
    settings: Settings
    model: Path
    options: Dict[str, Any]

    def client_arguments(self) -> List[str]:
        """Give the arguments of the client."""
        settings = self.settings
        where = (
            ["--host", settings.address, "--port", str(settings.port)]
            if settings.mode == "inet"
            else ["--unix", settings.address]
        )
        shm = ["--shm"] if settings.mode == "shm" else []
        return [str(self.model), "template.xyz", *where, *shm, *arguments_of(self.options)]

    def shell_lines(self) -> List[str]:
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
    names = ["input.xml", "init.xyz", "template.xyz", f"{settings.prefix}.out"]
    existing = [name for name in names if (directory / name).exists()]
    if existing and not force:
        raise ValueError(
            f"expected no '{existing[0]}' in '{directory}', got one; choose another directory with -o, or add --force"
        )
    atoms = read_structure(structure)
    # loads the model and checks types, inputs and outputs before anything is written
    Evaluator(load_atomistic_model(path, options["extensions_directory"]), standard_form(atoms), **options)
    directory.mkdir(parents=True, exist_ok=True)
    files = write_input(settings, atoms, directory)
    return Prepared(directory, files, settings, path, options)


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


def _temperatures(text: Optional[str]) -> Sequence[float]:
    if text is None:
        return ()
    try:
        return [float(item) for item in text.split(",")]
    except ValueError:
        raise ValueError(f"expected `--temperatures` as numbers separated by commas, got '{text}'") from None


def _parameters(options: Mapping[str, Any], model: Path) -> Dict[str, str]:
    """Give the parameters of the PES, with lists as it reads them."""
    parameters = {"model": str(model), "template": "template.xyz"}
    for name, option in OPTIONS.items():
        value = options[name]
        if name == "variants":
            value = tuple(f"{output}:{variant}" for output, variant in value.items())
        if value != option.default:
            parameters[name] = ";".join(value) if option.multiple else str(value)
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


def run_all(prepared: Prepared, clients: int) -> int:
    """Start i-PI and clients, show progress until they end, and draw the results.

    Returns
    -------
    int
        Exit status: 0 if i-PI has finished all steps.
    """
    directory = prepared.directory
    processes = Processes(directory)
    # a socket of its own for each run, so that a file that an earlier one has left is not in the way
    private = tempfile.mkdtemp(prefix="metatomic-")
    prefix = f"{private}/ipi_"
    names = [] if prepared.settings.mode == "ffdirect" else [f"client-{i + 1}" for i in range(clients)]
    start = time.perf_counter()
    client = [sys.executable, "-m", "metatomic_ipi", *prepared.client_arguments(), "-S", prefix]
    try:
        with stop_on_signals():
            processes.start("i-pi", [sys.executable, find_ipi(), "-S", prefix, "input.xml"])
            for name in names:
                processes.start(name, client)
            done = _watch(prepared, processes, names)
    except Stopped as stopped:
        say(f"{stopped}; stopping i-PI, which writes RESTART, and the clients")
        return stopped.status
    finally:
        processes.stop_all()
        shutil.rmtree(private, ignore_errors=True)
    seconds = time.perf_counter() - start
    if not done:
        _explain(processes, ["i-pi", *names])
        return 1
    for name in names[:1]:
        for line in processes.last_lines(name):
            click.echo(line, err=True)
    say(f"finished in {seconds:.1f} s; everything is in {directory}")
    picture = draw(directory / f"{prepared.settings.prefix}.out", directory / f"{prepared.settings.prefix}.png")
    if picture is not None:
        click.echo(picture)
    return 0


def _watch(prepared: Prepared, processes: Processes, names: Sequence[str]) -> bool:
    """Show progress until i-PI ends; tell whether it has finished."""
    import rich.progress

    out = prepared.directory / f"{prepared.settings.prefix}.out"
    fields = (
        "[progress.description]{task.description}",
        rich.progress.BarColumn(),
        "{task.completed:.0f}/{task.total:.0f}",
    )
    with rich.progress.Progress(
        *fields,
        rich.progress.TimeRemainingColumn(),
        "{task.fields[state]}",
        console=console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(prepared.settings.case, total=prepared.settings.steps, state="starting")
        while processes.status("i-pi") is None:
            time.sleep(_POLL)
            if names and all(processes.status(name) not in (None, 0) for name in names):
                # nobody is left to answer i-PI, which would wait for ever
                return False
            rows = columns(out)
            if len(rows.get("step", [])) > 0:
                progress.update(task, completed=rows["step"][-1], state=_state(rows))
    return processes.status("i-pi") == 0 and _succeeded(processes)


def _state(rows: Mapping[str, Any]) -> str:
    parts = [f"{rows['potential'][-1]:.4f} eV"]
    if "temperature" in rows:
        parts.append(f"{rows['temperature'][-1]:.0f} K")
    return ", ".join(parts)


def _succeeded(processes: Processes) -> bool:
    """Tell from its log whether i-PI has ended well: its exit status is 0 in any case."""
    text = processes.log("i-pi").read_text(encoding="utf-8", errors="replace")
    return "I-PI reports a problem" not in text and "Traceback" not in text


def _explain(processes: Processes, names: Sequence[str]) -> None:
    for name in names:
        say(f"the end of {processes.log(name)}:")
        for line in processes.last_lines(name):
            click.echo(f"  {line}", err=True)
    say("i-PI has not finished")
