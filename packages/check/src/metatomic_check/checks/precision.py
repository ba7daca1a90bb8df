"""Single against double precision, and how much of the numbers is noise."""

import copy
import dataclasses
import warnings
from collections.abc import Iterator

import numpy as np
import torch

from metatomic_check.agreement import (
    NO_ENERGY,
    Differences,
    evaluated,
    not_applicable,
    reason,
    results_of,
    sentence,
    size,
)
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, graded
from metatomic_check.table import check
from metatomic_core import ModelCapabilities
from metatomic_core.data.checks import DTYPES
from metatomic_core.engine import Engine, Structure
from metatomic_core.model.loaded import LoadedModel, installed

# Displacements in angstrom whose effect is smooth, but larger than that of rounding.
_STEP = {"float64": 1e-7, "float32": 1e-4}
# Noise of forces, relative to their size: of double precision it is 1e-13 or so, of single precision 1e-6, which is
# what a model of double precision has that takes something through single precision.
_NOISE = {"float64": 3e-9, "float32": 1e-4}
_N_POINTS = 9
# Where a user would notice: of results that are right to 1e-3 eV/angstrom and 1 meV per atom.
_NOTICED = 1e-3
_OTHER = {"float64": "float32", "float32": "float64"}


@check("noise", "numerics")
def check_noise(bench: Bench) -> Iterator[Finding]:
    """Forces jitter as atoms move by almost nothing: by more than the precision that the model states.

    Something goes through single precision that should not, or is random.  Finite differences, phonons and tight
    relaxations of such a model are wrong.
    """
    if not bench.engine.can_give("forces"):
        yield not_applicable("noise", NO_ENERGY)
        return
    found = Differences(1.0)
    step, limit = _STEP[bench.dtype], _NOISE[bench.dtype]
    for name, structure, evaluation in evaluated(bench, ["energy", "forces"]):
        direction = bench.random().normal(size=structure.positions.shape)
        direction /= np.abs(direction).max(initial=1e-300)
        forces = [bench.evaluate(_along(structure, k * step * direction), "forces").forces for k in range(_N_POINTS)]
        # what is smooth is a straight line over such a distance
        noise = float(np.abs(_residue(np.array(forces))).max(initial=0.0))
        found.add_gap(
            "forces",
            name,
            structure,
            noise,
            limit * size("forces", evaluation.forces, len(structure.types)),  # type: ignore[arg-type]
        )
    yield found.finding(
        "noise",
        f"forces are as smooth as numbers of {bench.dtype}",
        f"forces have more noise than numbers of {bench.dtype}: something has a lower precision, or is random; "
        "compute no phonons or finite differences with it",
        wrong_is=Grade.FAIL if bench.dtype == "float64" else Grade.WARN,
    )


def _along(structure: Structure, by: np.ndarray) -> Structure:
    return dataclasses.replace(structure, positions=structure.positions + by)


def _residue(values: np.ndarray) -> np.ndarray:
    """Take the parabola that fits best off values at points at equal distances, along the first axis."""
    points = np.linspace(-1.0, 1.0, len(values))
    design = np.stack([np.ones_like(points), points, points**2], axis=1)
    flat = values.reshape(len(values), -1)
    residue: np.ndarray = flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0]
    return residue


@check("precision", "numerics")
def check_precision(bench: Bench) -> Iterator[Finding]:
    """Results in single and in double precision differ by more than a user can ignore.

    The model adds numbers that are far larger than its results, such as energies of free atoms, in single precision.
    """
    name = "precision"
    results = results_of(bench)
    if "energy" not in results:
        yield not_applicable(name, NO_ENERGY)
        return
    other = _OTHER[bench.dtype]
    try:
        engine = _cast(bench, other)
        # one that can not run in the other precision says so at the first call
        pairs = [(*each, engine.evaluate([each[1]], results)) for each in evaluated(bench, results)]
    except Exception as error:  # noqa: BLE001  (whatever code raises that has the precision written into it)
        text = f"the model can not be cast to {other}: {_short(reason(error))}"
        yield not_applicable(name, text)
        return
    largest = {"energy": 0.0, "forces": 0.0}
    worst = {"energy": ("", None), "forces": ("", None)}
    for each, structure, expected, found in pairs:
        n_atoms = len(structure.types)
        for quantity in [result for result in largest if result in results]:
            per = n_atoms if quantity == "energy" else 1
            scale = size(quantity, getattr(expected, quantity), n_atoms) / per if quantity == "forces" else 1.0
            number = float(np.abs(getattr(found, quantity) - getattr(expected, quantity)).max()) / per / scale
            if not number <= largest[quantity]:
                largest[quantity], worst[quantity] = number, (each, structure)  # type: ignore[assignment]
    for quantity, unit in (("energy", "eV per atom"), ("forces", "of the largest")):
        if quantity in results:
            yield _of_precision(quantity, unit, largest[quantity], worst[quantity], bench.dtype)


def _of_precision(quantity: str, unit: str, number: float, worst: tuple[str, Structure | None], dtype: str) -> Finding:
    right = sentence(f"{quantity} in single and in double precision agree")
    found = graded("precision", number, _NOTICED, right, unit=unit, part=quantity)
    if found.grade is Grade.PASS:
        return found
    label, structure = worst
    advice = "export it in float64 where that matters" if dtype == "float32" else "do not export it in float32"
    text = sentence(
        f"{quantity} of '{label}' in single and in double precision differ by more than most people ignore; {advice}"
    )
    shown = {} if structure is None else {label: structure}
    return dataclasses.replace(found, grade=Grade.WARN, text=text, structures=shown)


def _cast(bench: Bench, dtype: str) -> Engine:
    """Give the model of a file in another precision."""
    model = bench.engine.model
    if not isinstance(model, LoadedModel):
        raise TypeError("it has no code of its own")
    before = model.header.capabilities
    with warnings.catch_warnings():
        # its author was warned when it was made
        warnings.simplefilter("ignore")
        capabilities = ModelCapabilities(
            before.outputs,
            before.atomic_types,
            before.interaction_range,
            before.length_unit,
            before.supported_devices,
            dtype,
        )
    header = dataclasses.replace(model.header, capabilities=capabilities, programs=())
    script = copy.deepcopy(model.script)
    _cast_constants(script, DTYPES[before.dtype], DTYPES[dtype])
    return bench.new_engine(model=LoadedModel(installed(script, header), header, model.path))


def _cast_constants(script: torch.jit.ScriptModule, before: torch.dtype, after: torch.dtype) -> None:
    """Cast parameters and buffers of one type: those of another one are so on purpose."""
    for tensor in (*script.parameters(), *script.buffers()):
        if tensor.dtype == before:
            tensor.data = tensor.data.to(after)


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}..."
