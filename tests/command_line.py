"""Running the ``metatomic`` command in tests."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Optional

from click.testing import CliRunner, Result

from metatomic_core.cli import metatomic
from metatomic_core.engine import engine


def invoke(*arguments: object) -> Result:
    """Run a command in this process; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    result = CliRunner().invoke(metatomic, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments: object) -> Result:
    """Run a command that must end well."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def fail(*arguments: object, status: int = 1) -> str:
    """Run a command that must end with an error of one line; give the line."""
    result = invoke(*arguments)
    assert result.exit_code == status, (result.exit_code, result.stdout, result.stderr)
    lines = result.stderr.splitlines()
    (error,) = [line for line in lines if line.startswith("metatomic: error: ")]
    assert lines[-1] == error, result.stderr
    return error


def process(*arguments: object, cwd: Optional[Path] = None) -> "subprocess.Popen[str]":
    """Start a command in a process of its own."""
    command = [sys.executable, "-m", "metatomic_core.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextlib.contextmanager
def load_models_once() -> Iterator[None]:
    """Keep loaded models, by path and time of change, for the commands of this process."""
    load, loaded = engine.load_atomistic_model, {}

    def cached(path, *arguments):
        changed = os.path.getmtime(path) if os.path.exists(path) else None
        key = (str(path), changed, *arguments)
        if key not in loaded:
            loaded[key] = load(path, *arguments)
        return loaded[key]

    engine.load_atomistic_model = cached
    try:
        yield
    finally:
        engine.load_atomistic_model = load
