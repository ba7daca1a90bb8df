"""The file of an unfinished study: arrays of what is done, and what it is a study of."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metatomic_core.adapters import replaced_when_done

_TEXT = "settings"


def as_text(settings: Mapping[str, Any]) -> str:
    """Give settings as a text that is the same for the same ones."""
    return json.dumps(dict(settings), sort_keys=True, default=str)


def write_kept(path: Path, settings: str, done: Mapping[int, Mapping[str, np.ndarray]]) -> None:
    """Write what is done: arrays by name, for each number; the file appears whole or not at all."""
    arrays = {f"{number}.{name}": value for number, one in done.items() for name, value in one.items()}
    with replaced_when_done(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{_TEXT: np.array(settings)}, **arrays)  # type: ignore[arg-type]


def read_kept(path: Path, settings: str) -> dict[int, dict[str, np.ndarray]]:
    """Read what is done.

    Raises
    ------
    ValueError
        If the file is another one, or that of another model or other options.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise ValueError(f"expected results of an unfinished run in '{path}', got another kind of file; delete it")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        before = str(arrays.pop(_TEXT))
        done: dict[int, dict[str, np.ndarray]] = {}
        for name, value in arrays.items():
            number, _, key = name.partition(".")
            done.setdefault(int(number), {})[key] = value
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected results of an unfinished run in '{path}', got a damaged file; delete it") from error
    if before != settings:
        raise ValueError(
            f"expected a run of the same model, structure and options in '{path}', got another one; use --force to "
            "begin anew"
        )
    return done
