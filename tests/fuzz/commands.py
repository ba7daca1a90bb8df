"""Target: command lines of all commands, with options and values that nobody meant."""

import contextlib
import copy
import io
import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple
from unittest import mock

import click
import numpy as np
from click.testing import CliRunner, Result
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from metatomic_core.cli import metatomic

from . import seeds
from .foreign_files import model_headers, restarts
from .harness import FindingError, Target
from .mutations import NUMBER_TEXTS, ODD_TEXTS, mutated_json, one_of, zipped

_MODEL = "model.pt"
_START = "metatomic: error: "
# What takes long, or does not come back: what is before it has read all that was given.
_LONG = {
    "metatomic_ipi.session.run_client": 0,
    "metatomic_ipi.runner.run_all": 0,
    "metatomic_lammps.cli._build": Path("/plugin.so"),
    "metatomic_core.diagnosis.examination.examine": (),
    "metatomic_lammps.cli.subprocess.run": mock.Mock(returncode=0),
}
_FILES = [
    "model.pt",
    "damaged.pt",
    "empty",
    "start.xyz",
    "damaged.xyz",
    "missing",
    ".",
    "md.restart",
    "potential.eam",
    "/dev/null",
    "/dev/zero",
    "fifo",
]
_OUTPUTS = ["new.pt", "new.traj", "new.extxyz", "new.what", "model.pt", "no/folder/x.pt", ".", "", "/proc/x/y", "-"]
_QUANTITIES = ["1 fs", "300 K", "1 bar", "0.5", "1 eV", "nan fs", "1e999 K", "-1 fs", "2 parsec", "1 fs fs"]
_TEXTS = [
    "energy=pbe",
    "energy",
    "energy,forces",
    "Ar",
    "cpu",
    "cuda",
    "meta",
    "100,200",
    "100,x",
    "xyz",
    "float32",
    "0:1",
    ":",
]


@cache
def _commands() -> List[Tuple[Tuple[str, ...], click.Command]]:
    """List all commands with their names, those of groups in groups too."""
    found: List[Tuple[Tuple[str, ...], click.Command]] = []

    def walk(command: click.Command, path: Tuple[str, ...]) -> None:
        if not isinstance(command, click.Group):
            found.append((path, command))
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                walk(inner, (*path, name))

    walk(metatomic, ())
    return found


def _value(parameter: click.Parameter) -> SearchStrategy[str]:
    kinds = [st.sampled_from(_FILES), st.sampled_from(_OUTPUTS), st.sampled_from(_TEXTS), st.sampled_from(_QUANTITIES)]
    odd = st.one_of(one_of(NUMBER_TEXTS), one_of(ODD_TEXTS), *kinds)
    likely: List[SearchStrategy[str]] = []
    if isinstance(parameter.type, click.Choice):
        likely = [st.sampled_from([str(choice) for choice in parameter.type.choices])]
    elif parameter.type in (click.INT, click.FLOAT) or isinstance(parameter.type, (click.IntRange, click.FloatRange)):
        likely = [st.sampled_from(["0", "1", "2", "0.5"])]
    elif isinstance(parameter, click.Argument):
        likely = [st.sampled_from(_FILES[:1]), st.sampled_from(_FILES[:4])]
    return st.one_of(*likely, *likely, *likely, odd)


def _lines() -> SearchStrategy[List[str]]:
    return st.one_of([_line(path, command) for path, command in _commands()])


@st.composite
def _line(draw: Any, path: Tuple[str, ...], command: click.Command) -> List[str]:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option)]
    line: List[str] = []
    for argument in arguments:
        # mostly all of them, in their order
        if draw(st.integers(0, 9)) > 0:
            line.append(draw(_value(argument)))
    chosen = draw(st.lists(st.sampled_from(options), max_size=4)) if options else []
    chosen += [option for option in options if option.required and draw(st.integers(0, 9)) > 0]
    for option in chosen:
        flag = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
        line += [flag] if option.is_flag else [flag, draw(_value(option))]
    if draw(st.integers(0, 19)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(one_of([*ODD_TEXTS, "--hepl", "--", "-x", "--steps=", "=1"])))
    # whatever else is asked: few steps
    few = [option.opts[0] for option in options if option.name == "steps" and option not in chosen]
    return [*path, *line, *(word for flag in few for word in (flag, "2"))]


@contextlib.contextmanager
def _place(folder: Path) -> Iterator[None]:
    """Work in a folder with some files."""
    model = seeds.model_file().read_bytes()
    contents: Dict[str, bytes] = {
        "model.pt": model,
        "damaged.pt": model[: len(model) // 2],
        "empty": b"",
        "start.xyz": seeds.structure().read_bytes(),
        "damaged.xyz": seeds.structure().read_bytes()[:150],
        "md.restart": seeds.restart_file().read_bytes(),
        "potential.eam": seeds.SETFL.encode(),
    }
    place = folder / "work"
    place.mkdir()
    for name, content in contents.items():
        (place / name).write_bytes(content)
    os.mkfifo(place / "fifo")
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def _run(line: List[str], folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(_place(folder))
        stack.enter_context(mock.patch.dict(os.environ, {"METATOMIC_CACHE": str(folder / "cache")}))
        for name, value in _LONG.items():
            stack.enter_context(mock.patch(name, return_value=value))
        stack.enter_context(mock.patch("metatomic_core.kernels.compiling.compile_model", _refuse_to_compile))
        stack.enter_context(mock.patch("metatomic_check.checking.check_model", _refuse_to_check))
        # a NUL byte never reaches a program
        result = CliRunner().invoke(metatomic, [word.replace("\0", "") for word in line])
    _check_result(result)


def _check_result(result: Result) -> None:
    """Check what a command said; a `ValueError` if it failed as it should."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code not in (0, 1, 2):
        raise FindingError(f"expected the status 0, 1 or 2, got {result.exit_code}")
    if "Traceback" in result.output:
        raise FindingError(f"expected no traceback, got {result.output[-500:]}")
    errors = [text for text in result.stderr.split("\n") if text.startswith(_START)]
    if result.exit_code == 0:
        if errors:
            raise FindingError(f"expected no error of a command that succeeds, got {errors[0][:300]}")
        return
    if len(errors) != 1 or not result.stderr.endswith(f"{errors[0]}\n"):
        # help is what a command without any arguments gives
        if "Usage: " in result.stderr and not errors:
            raise ValueError("expected arguments, got none")
        raise FindingError(f"expected one line of an error at the end, got {result.stderr[-500:]!r}")
    text = errors[0].removeprefix(_START)
    if any(not (letter.isprintable() or letter == " ") for letter in text):
        raise FindingError(f"expected a line that a terminal shows as it is, got {text[:300]!r}")
    raise ValueError(text if text.startswith("expected") else f"expected another command line, got: {text}")


def _inspect(content: bytes, folder: Path) -> None:
    """Show what a header says, for people and for programs."""
    path = folder / _MODEL
    path.write_bytes(content)
    for options in ([], ["--json"]):
        result = CliRunner().invoke(metatomic, ["inspect", str(path), *options])
        _check_result(result)
        odd = [letter for letter in result.stdout if not letter.isprintable() and letter != "\n"]
        if odd:
            raise FindingError(f"expected text that a terminal shows as it is, got {odd[0]!r}")
    json.loads(result.stdout)


def _go_on(content: bytes, folder: Path) -> None:
    """Go on from a restart file, beside the log and the trajectory that it was written with."""
    with _place(folder), mock.patch.dict(os.environ, {"METATOMIC_CACHE": str(folder / "cache")}):
        for path in (*seeds.folder().glob("md.log"), *seeds.folder().glob("md.traj")):
            shutil.copy(path, path.name)
        Path("md.restart").write_bytes(content)
        Path("precious").write_text("kept")
        result = CliRunner().invoke(metatomic, ["md", _MODEL, "--restart", "md.restart", "--steps", "4"])
        if Path("precious").read_text() != "kept":
            raise FindingError("expected the files of others to be left alone")
        _check_result(result)


def _restarts() -> SearchStrategy[bytes]:
    entries = seeds.restart_entries()
    text = json.loads(str(np.load(io.BytesIO(dict(entries)["text.npy"]))))

    def written(content: bytes) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, np.array(content.decode("utf-8", "replace")))
        return zipped([(name, buffer.getvalue() if name == "text.npy" else kept) for name, kept in entries])

    cuts = copy.deepcopy(text)
    for state in cuts["files"].values():
        state.update(path="precious", bytes=1)
    texts = mutated_json([text, text, text, cuts], [*text["settings"], *text["files"]], 2).map(written)
    return st.one_of(texts, restarts())


def _prepare() -> None:
    seeds.restart_file()


def _refuse_to_compile(*arguments: Any, **options: Any) -> None:
    raise ValueError("expected a test that does not compile, got one that would")


def _refuse_to_check(*arguments: Any, **options: Any) -> None:
    raise ValueError("expected a test that asks no checks, got one that would")


COMMAND_TARGETS = [
    Target("inspect", st.deferred(model_headers), _inspect, 40, executes=True),
    Target("md_continue", st.deferred(_restarts), _go_on, 40, executes=True, prepare=_prepare),
    Target("command_line", st.deferred(_lines), _run, 150, executes=True, prepare=_prepare),
]
