"""What results come from (model, versions, options), for files and data."""

import importlib.metadata
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

# start of the names in ``atoms.info``
PREFIX = "metatomic_"
_PACKAGES = ("metatomic-core", "metatomic-ase", "torch", "ase")
# what says where results go, not what they are
_NOT_RESULTS = ("prefix", "output", "force", "as_json", "debug")


def provenance(
    command: str, model: str, calculator: "MetatomicCalculator", options: Mapping[str, Any]
) -> dict[str, Any]:
    """Give what results come from, as plain data.

    Parameters
    ----------
    command
        Name of the command.
    model
        Path of the model file.
    calculator
        Calculator of the model.
    options
        Options of the command, by name; those that are None or empty are left out.

    Returns
    -------
    dict
        "command"; "model" with "name", "file", "sha256" and "kernel", what runs it; "versions" by package; "options".
    """
    from ._restart import file_hash

    return {
        "command": f"metatomic {command}",
        "model": {
            "name": calculator.metadata().name,
            "file": os.fspath(model),
            "sha256": file_hash(model),
            "kernel": calculator.kernel,
        },
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "options": {
            name: value
            for name, value in options.items()
            if name not in _NOT_RESULTS and value is not None and value is not False and value not in ((), "")
        },
    }


def header(data: Mapping[str, Any]) -> list[str]:
    """Give what `provenance` gave as lines of text, without marks of comments."""
    model = data["model"]
    source = f"file {json.dumps(model['file'])}, sha256 {model['sha256']}, kernel {model['kernel']}"
    return [
        f"{data['command']}, {_joined(data['versions'], ' ')}",
        f"model: {model['name'] or 'unnamed'}, {source}",
        f"options: {_joined(data['options'], '=')}",
    ]


def _joined(values: Mapping[str, Any], sign: str) -> str:
    return ", ".join(f"{name}{sign}{value}" for name, value in values.items())


def as_info(data: Mapping[str, Any]) -> dict[str, str]:
    """Give what `provenance` gave as entries of ``atoms.info``, each a line of text."""
    first, _, options = header(data)
    return {
        f"{PREFIX}model": data["model"]["name"] or data["model"]["file"],
        f"{PREFIX}sha256": data["model"]["sha256"],
        f"{PREFIX}command": first,
        f"{PREFIX}options": options.partition(": ")[2],
    }


def without_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """Give the entries of ``atoms.info`` without those of an earlier command."""
    return {name: value for name, value in info.items() if name not in _INFO_NAMES}


_INFO_NAMES = tuple(f"{PREFIX}{name}" for name in ("model", "sha256", "command", "options"))
