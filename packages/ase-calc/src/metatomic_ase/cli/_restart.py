"""Restart files of molecular dynamics: everything that a run needs to go on as if it had not stopped.

A restart file is a numpy archive (``.npz`` inside, whatever its name) of plain arrays and one JSON text; reading it
executes nothing.
"""

import dataclasses
import hashlib
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.io.jsonio import decode, encode

from metatomic_core.adapters import replaced_when_done

from ._dynamics import INTEGRATORS, Settings
from ._guard import Limits

_VERSION = 1
_ARRAY, _STATE = "array.", "state."


@dataclasses.dataclass
class Restart:
    """State of a run after a step.

    Attributes
    ----------
    step
        Number of steps that are done.
    total
        Number of steps of the whole run.
    settings
        Conditions.
    atoms
        Atoms with momenta, and without calculator.
    state
        Variables of thermostat and barostat.
    random
        State of the random generator.
    files
        Output files: path, and what was in them after this step; see `_output.OutputFile`.
    every
        Steps between lines of the log, frames of the trajectory, and restart files.
    model_hash
        Sha256 of the model file.
    limits
        Limits of `_guard.Limits` that differ from the defaults, by name.
    """

    step: int
    total: int
    settings: Settings
    atoms: ase.Atoms
    state: dict[str, np.ndarray]
    random: Mapping[str, Any]
    files: dict[str, dict[str, Any]]
    every: dict[str, int]
    model_hash: str
    limits: dict[str, float] = dataclasses.field(default_factory=dict)


def write_restart(path: Path, restart: Restart) -> None:
    """Write a restart file; it replaces the one before whole or not at all."""
    atoms = restart.atoms
    text = {
        "version": _VERSION,
        "step": restart.step,
        "total": restart.total,
        "settings": dataclasses.asdict(restart.settings),
        "random": restart.random,
        "files": restart.files,
        "every": restart.every,
        "model_hash": restart.model_hash,
        "limits": restart.limits,
        # what is no array, in the form of ASE
        "info": encode(_plain_info(atoms)),
        "constraints": encode([constraint.todict() for constraint in atoms.constraints]),
    }
    arrays = {_ARRAY + name: values for name, values in atoms.arrays.items()}
    arrays.update({"cell": atoms.cell.array, "pbc": atoms.pbc, "text": np.array(json.dumps(text))})
    arrays.update({_STATE + name: values for name, values in restart.state.items()})
    with replaced_when_done(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        # on disk before it takes the place of the one before
        file.flush()
        os.fsync(file.fileno())


def _plain_info(atoms: ase.Atoms) -> dict[str, Any]:
    """Give what of ``atoms.info`` can be written as text."""
    plain = {}
    for name, value in atoms.info.items():
        try:
            encode(value)
        except (TypeError, ValueError):
            continue
        plain[name] = value
    return plain


class _NewerError(ValueError):
    """A restart file of a newer version than this one reads."""


def read_restart(path: str) -> Restart:
    """Read a restart file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no restart file, is damaged, or of a newer version.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"expected a restart file, got '{path}', which does not exist")
    # a pipe or a device may never end
    if not Path(path).is_file() or not zipfile.is_zipfile(path):
        raise ValueError(f"expected a restart file of `metatomic md`, got '{path}', which is another kind of file")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        text = json.loads(str(arrays["text"]))
        if int(text["version"]) > _VERSION:
            raise _NewerError(
                f"expected a restart file of version {_VERSION} or older, got '{path}' of version {text['version']}; "
                "upgrade metatomic-ase"
            )
        atoms = _atoms(arrays, text)
        restart = Restart(
            step=int(text["step"]),
            total=int(text["total"]),
            settings=Settings(**text["settings"]),
            atoms=atoms,
            state={name[len(_STATE) :]: values for name, values in arrays.items() if name.startswith(_STATE)},
            random=text["random"],
            files=text["files"],
            every=text["every"],
            model_hash=text["model_hash"],
            limits=text.get("limits", {}),
        )
        _check(restart)
        return restart
    except _NewerError:
        raise
    except Exception as error:
        # what numpy, zipfile, json and ASE say of a file of another kind helps nobody, and comes in a dozen of types
        raise ValueError(
            f"expected a restart file of `metatomic md`, got '{path}', which is another kind of file, or damaged"
        ) from error


def _check(restart: Restart) -> None:
    """Check what a run takes for granted, as far as it can be told from the file alone.

    Raises
    ------
    ValueError, TypeError, KeyError
        If something is not what it should be; which one is of no use to anybody.
    """
    settings, every, files = restart.settings, restart.every, restart.files
    if set(restart.state) != set(INTEGRATORS[settings.method].state):
        raise ValueError("expected the state of the integrator")
    above_zero: list[Any] = [settings.timestep, settings.friction, settings.thermostat_time, settings.barostat_time]
    above_zero += [restart.total, *(every[name] for name in ("trajectory", "log", "restart"))]
    above_zero += [] if settings.ensemble == "nve" else [settings.temperature]
    above_zero += [getattr(Limits(**{"temperature": 1.0, **restart.limits}), name) for name in restart.limits]
    above_zero += [temperature for _, temperature in settings.ramp or []]
    numbers: list[Any] = [time for time, _ in settings.ramp or []]
    numbers += [settings.pressure] if settings.ensemble == "npt" else []
    counts: list[Any] = [
        restart.step,
        settings.seed,
        files["trajectory"]["frames"],
        *(file["bytes"] for file in files.values()),
    ]
    if not (
        all(0 < value < math.inf for value in above_zero) and all(-math.inf < value < math.inf for value in numbers)
    ):
        raise ValueError("expected finite numbers, and positive ones")
    if not all(isinstance(value, int) and 0 <= value < 2**63 for value in [*counts, *every.values()]):
        raise TypeError("expected counts")
    if set(files) != {"trajectory", "log"} or set(every) != {"trajectory", "log", "restart"}:
        raise ValueError("expected a trajectory and a log")
    if not all(isinstance(text, str) for text in [restart.model_hash, *(file["path"] for file in files.values())]):
        raise TypeError("expected texts")
    random_generator(settings.seed, restart.random)


def _atoms(arrays: dict[str, np.ndarray], text: dict[str, Any]) -> ase.Atoms:
    from ase.constraints import dict2constraint

    atoms = ase.Atoms(
        numbers=arrays[_ARRAY + "numbers"],
        positions=arrays[_ARRAY + "positions"],
        cell=arrays["cell"],
        pbc=arrays["pbc"],
        info=decode(text["info"]),
    )
    for name, values in arrays.items():
        if name.startswith(_ARRAY) and name[len(_ARRAY) :] not in ("numbers", "positions"):
            atoms.set_array(name[len(_ARRAY) :], values)
    atoms.set_constraint([dict2constraint(constraint) for constraint in decode(text["constraints"])])
    return atoms


def file_hash(path: str) -> str:
    """Give the sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def random_generator(seed: int, state: Mapping[str, Any] | None = None) -> np.random.Generator:
    """Give a random generator that starts from a seed, or goes on from a state."""
    generator = np.random.default_rng(seed)
    if state is not None:
        generator.bit_generator.state = state
    return generator
