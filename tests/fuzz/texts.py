"""Targets: units, potential files, structures, options as texts, and quantities with units."""

import io
import math
from functools import cache
from pathlib import Path
from typing import Any, Dict, List, Tuple

import click
import numpy as np
import torch
from hypothesis import strategies as st
from unit_cases import PUBLISHED

from metatomic_ase.cli._structures import read_structures
from metatomic_core.adapters.console import house_style
from metatomic_core.adapters.options import ENGINE_OPTIONS, checked_options
from metatomic_core.adapters.quantity import Quantity
from metatomic_core.adapters.text_options import options_from_text, variants_from_flags
from metatomic_core.potentials import embedded_atom, stillinger_weber
from metatomic_core.potentials._eam_files import read_eam
from metatomic_core.units import conversion_factor, parse_unit, unit_conversion_factor, unit_table
from metatomic_ipi.options import OPTIONS
from metatomic_ipi.template import read_structure

from . import seeds
from .harness import FindingError, Target
from .mutations import NUMBER_TEXTS, ODD_TEXTS, mutated_text, one_of

_TABLE = unit_table()
_NAMES = [*sorted(_TABLE), *(row[0] for row in PUBLISHED)]
_OPERATORS = [
    *"*/^()-.",
    "**",
    " ",
    "·",
    "⁻",
    "¹",
    "²",
    "³",
    "⁹",
    "−",
    "×",
    "μ",
    "\u00b5",
    "\u212b",
    "\u00a0",
    "\t",
    "\x85",
]


class _Converter(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = unit_table()

    def forward(self, from_unit: str, to_unit: str, dimension: str) -> float:
        return conversion_factor(from_unit, to_unit, dimension, self.table)

    @torch.jit.export
    def parse(self, unit: str) -> List[float]:
        return parse_unit(unit, self.table)


@cache
def _scripted() -> torch.jit.ScriptModule:
    """The parser as it is in model files, compiled with the names of this module alone."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(_Converter()), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def _units() -> Any:
    parts = st.one_of(one_of(_NAMES), one_of(_OPERATORS), one_of(_OPERATORS), one_of(NUMBER_TEXTS))
    made = st.lists(parts, max_size=12).map("".join)
    return st.one_of(made, made, mutated_text([row[0] for row in PUBLISHED], _OPERATORS), st.text(max_size=12))


def _parse_unit(unit: str, folder: Path) -> None:
    """Parse in Python and in TorchScript, which models in C++ programs do, and compare."""
    # surrogates are no text that TorchScript takes
    unit = unit.encode("utf-8", "replace").decode()
    try:
        scripted: Any = _scripted().parse(unit)
    except torch.jit.Error as error:
        scripted = str(error).strip().splitlines()[-1]
    try:
        eager = parse_unit(unit, _TABLE)
        if not (math.isfinite(eager[0]) and eager[0] > 0):
            raise FindingError(f"expected a factor, got {eager}")
        if eager != scripted:
            raise FindingError(f"expected the same in TorchScript, got {scripted} for {eager}")
    except ValueError as error:
        if not isinstance(scripted, str):
            raise FindingError(f"expected the same in TorchScript, got {scripted!r} for {error}") from error
        raise
    factor = unit_conversion_factor(unit, unit) if unit else 1.0
    if not math.isclose(factor, 1.0):
        raise FindingError(f"expected a factor of one, got {factor}")


def _read_eam(text: str, folder: Path) -> None:
    path = _text_file(text, folder / "potential.eam")
    tables = read_eam([path])
    arrays = (tables.embedding, tables.density, tables.pair)
    if not all(bool(np.isfinite(array).all()) for array in arrays):
        raise FindingError("expected finite tables")
    model = embedded_atom(path)
    if sorted(model.capabilities().atomic_types) != sorted(tables.species):
        raise FindingError("expected the species of the file")


def _read_sw(text: str, folder: Path) -> None:
    model = stillinger_weber(_text_file(text, folder / "potential.sw"))
    if not 0 < model.capabilities().interaction_range < math.inf:
        raise FindingError(f"expected a range, got {model.capabilities().interaction_range}")
    if not all(bool(torch.isfinite(buffer).all()) for buffer in model.module.buffers()):
        raise FindingError("expected finite parameters")


def _text_file(text: str, path: Path) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def _read_structures(text: str, folder: Path) -> None:
    for atoms in read_structures(str(_text_file(text, folder / "start.xyz"))):
        if atoms.positions.shape != (len(atoms), 3):
            raise FindingError("expected positions of all atoms")


def _read_template(text: str, folder: Path) -> None:
    if len(read_structure(_text_file(text, folder / "template.xyz"))) == 0:
        raise FindingError("expected atoms")


_VALUES = st.one_of(
    one_of([*NUMBER_TEXTS, *ODD_TEXTS]),
    one_of(["energy=pbe", "energy=off", "=", "a=b=c", "a;b=c;", "true", "TRUE", "cpu", "cuda:99", "auto", "on"]),
    st.text(max_size=8),
)


def _read_options(given: Dict[str, str], folder: Path) -> None:
    for table in (ENGINE_OPTIONS, OPTIONS):
        values = checked_options("the test", options_from_text("the test", given, table), table)
        if set(values) != set(table):
            raise FindingError(f"expected all options, got {sorted(values)}")
    try:
        variants_from_flags(click.Context(click.Command("test")), click.Option(["--variant"]), list(given.values()))
    except click.UsageError as error:
        raise ValueError(house_style(error.message)) from error


def _read_quantity(given: Tuple[str, str, bool, bool], folder: Path) -> None:
    text, unit, positive, needs_unit = given
    try:
        value = Quantity(unit, f"1 {unit}", positive=positive, needs_unit=needs_unit).convert(text, None, None)
    except click.UsageError as error:
        raise ValueError(house_style(error.message)) from error
    if not math.isfinite(value) or (positive and value <= 0):
        raise FindingError(f"expected a number that is allowed, got {value}")


_QUANTITIES = st.tuples(
    st.one_of(st.builds("{}{}{}".format, one_of(NUMBER_TEXTS), one_of(["", " ", "\n"]), _units()), _VALUES),
    one_of(["fs", "K", "GPa", "1/ps", "eV/angstrom"]),
    st.booleans(),
    st.booleans(),
)
_NAMES_OF_OPTIONS = st.one_of(one_of([*ENGINE_OPTIONS, *OPTIONS]), one_of(ODD_TEXTS))

TEXT_TARGETS: List[Target] = [
    Target("unit", _units(), _parse_unit, 500),
    Target("eam_file", mutated_text([seeds.SETFL, seeds.FUNCFL], ["Cu", "H", "6", "7"]), _read_eam, 150),
    Target("sw_file", mutated_text([seeds.STILLINGER_WEBER, seeds.TWO_SPECIES], ["Si", "C"]), _read_sw, 150),
    Target("structure_file", mutated_text(seeds.XYZ, ["Ar", "2", "Lattice=", "pbc="]), _read_structures, 150),
    Target("ipi_structure", mutated_text(seeds.XYZ, ["Ar", "2", "CELL{H}:", "cell{angstrom}"]), _read_template, 150),
    Target("text_options", st.dictionaries(_NAMES_OF_OPTIONS, _VALUES, max_size=3), _read_options, 300),
    Target("quantity", _QUANTITIES, _read_quantity, 300),
]
