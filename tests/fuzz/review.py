"""What outside tests of the first version found in readers, as inputs of targets: each row once more, for ever.

The rows are those of a list that is not in this repository; what was wrong is said here.
"""

import json
import struct
from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

import numpy as np

from . import seeds
from .foreign_files import own_header
from .harness import ACCEPTED, REFUSED
from .mutations import zipped

_DEFLATED = 8
_MODEL, _START = "model.pt", "start.xyz"
_NPT = ["ipi", "input", _MODEL, _START, "--case", "npt", "-o", "new"]
_NVT = ["ipi", "input", _MODEL, _START, "-o", "new"]
_REMD = ["ipi", "input", _MODEL, _START, "--case", "remd", "-o", "new"]


class Row(NamedTuple):
    """A finding: its number in the list, what was wrong, the target, an input, and what must come of it."""

    number: str
    wrong: str
    target: str
    value: Callable[[], Any]
    outcome: str = REFUSED


def _header(**changes: Any) -> bytes:
    header = seeds.headers()[0]
    entries = [(name, content) for name, content in seeds.header_entries()[0] if not name.endswith(".json")]
    changed = json.dumps({**header, **changes}).encode()
    return zipped([*entries, ("m/extra/metatomic-core.json", changed)])


def _raw_header(text: bytes, method: int = 0, more: Sequence[Tuple[str, bytes]] = ()) -> bytes:
    entries = [(name, content) for name, content in seeds.header_entries()[0] if not name.endswith(".json")]
    return zipped([*entries, ("m/extra/metatomic-core.json", text), *more], method)


def _queries(**changes: Any) -> bytes:
    return _header(queries={**seeds.headers()[0]["queries"], **changes})


def _half_of_a_character() -> bytes:
    header = seeds.headers()[0]
    return json.dumps({**header, "metadata": {**header["metadata"], "name": "\ud800"}}).encode()


def _program(**changes: Any) -> bytes:
    (program,) = seeds.headers()[1]["programs"]
    return _header(programs=[{**program, **changes}])


def _system(name: str, content: bytes, method: int = 0) -> bytes:
    entries = dict(seeds.systems()[0])
    return zipped([*{**entries, name: content}.items()], method)


def _array(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + np.zeros(9).tobytes()


def _code() -> bytes:
    entries = dict(seeds.model_entries())
    name = next(name for name in entries if name.endswith(".py"))
    return zipped([*{**entries, name: b"\xff" + entries[name]}.items()])


def _structure(text: str) -> Callable[[], str]:
    return lambda: text


def _line(*words: str) -> Callable[[], List[str]]:
    return lambda: list(words)


def _pair_lines(*lines: str) -> Callable[[], List[Any]]:
    return lambda: [list(lines), json.dumps(own_header())]


def _funcfl(number: str) -> Callable[[], str]:
    return lambda: seeds.FUNCFL.replace("29 63.55", f"{number} 63.55")


_NEEDED = ["pair_coeff * * Ar Si", "run 0"]
_BLANKS, _LETTERS = 200_000_000 * b" ", b'{"format_version": 3, "core_version": "' + 200_000_000 * b"a" + b'"}'

REVIEW: List[Row] = [
    # what fuzzing found with files that are too large to keep
    Row("fuzzing", "half of a character", "model_header", lambda: _raw_header(_half_of_a_character())),
    Row("fuzzing", "name of a program that is a list", "model_header", lambda: _program(entry=[1])),
    Row("fuzzing", "name of a program with a line break", "model_header", lambda: _program(entry="\n")),
    Row("1.4.9", "types beyond 32 bits wrapped", "model_header", lambda: _queries(atomic_types=[14 + 2**32])),
    Row("L3", "crash after a pair style that failed", "lammps", _pair_lines("pair_style metatomic no.pt", *_NEEDED)),
    Row(
        "L3",
        "crash of `fix pair` after a pair style that failed",
        "lammps",
        _pair_lines("pair_style metatomic no.pt", "fix p all pair 1 metatomic charge 0"),
    ),
    Row("L10", "damaged file without its name", "lammps", _pair_lines("pair_style metatomic damaged.pt", *_NEEDED)),
    Row(
        "L11",
        "NULL without hybrid",
        "lammps",
        _pair_lines("pair_style metatomic model.pt", "pair_coeff * * NULL Si", "run 0"),
    ),
    Row("3 bad input", "restart that is a structure", "command_line", _line("md", _MODEL, "--restart", _START)),
    Row("3 bad input", "device that is none", "command_line", _line("eval", _MODEL, _START, "--device", "gpu")),
    Row("3 bad input", "directory as input of LAMMPS", "command_line", _line("lammps", "-in", ".")),
    Row("3 bad input", "typo of a command of i-PI", "command_line", _line("ipi", "rnu", _MODEL, _START)),
    Row("3 bad input", "index that is none", "command_line", _line("eval", _MODEL, _START, "--index", "a")),
    Row(
        "3 bad input", "unit that is none", "command_line", _line("export", "lj", "--length-unit", "foo", "-o", "x.pt")
    ),
    Row(
        "3 bad input",
        "unit of another dimension",
        "command_line",
        _line("export", "lj", "--energy-unit", "angstrom", "-o", "x.pt"),
    ),
    Row("3 bad input", "steps that explode", "command_line", _line("md", _MODEL, _START, "--timestep", "1e6")),
    Row("3 bad input", "no steps", "command_line", _line("ipi", "input", _MODEL, _START, "--steps", "0")),
    Row("3 bad input", "typo of an option", "command_line", _line("inspect", _MODEL, "--jsn")),
    Row("R-M1", "one temperature of replica exchange", "command_line", _line(*_REMD, "--temperatures", "100")),
    *[
        Row("R-M2", "temperatures that are none", "command_line", _line(*_REMD, "--temperatures", text))
        for text in ("100,-5", "100,nan", "100,inf", "100,0")
    ],
    Row("R-M2", "infinite temperature", "command_line", _line(*_NVT, "--temperature", "inf")),
    Row("R-M2", "time step of ages", "command_line", _line(*_NVT, "--timestep", "1e300")),
    Row("R-M2", "infinite pressure", "command_line", _line(*_NPT, "--pressure", "inf")),
    Row("R-M2", "pressure that is no number", "command_line", _line(*_NPT, "--pressure", "nan")),
    Row("R-M2", "constant pressure without virials", "command_line", _line(*_NPT, "--no-virial")),
    Row("R-M2", "constant pressure without periodicity", "command_line", _line(*_NPT, "--pbc", "none")),
    Row("R-M2", "beads of phonons", "command_line", _line(*_NVT, "--case", "phonons", "--beads", "4")),
    *[
        Row("R-M2", "names that break the XML", "command_line", _line(*_NVT, option, text))
        for option, text in (("--prefix", "<x>"), ("--prefix", "a'b"), ("--address", "a&b"), ("--address", "a/b"))
    ],
    Row("R-M2", "temperatures that are ignored", "command_line", _line(*_NVT, "--temperatures", "100,200")),
    Row("R-M2", "pressure that is ignored", "command_line", _line(*_NVT, "--pressure", "1 bar")),
    Row("R-M6", "header of blanks", "model_archive", lambda: _raw_header(_BLANKS, _DEFLATED)),
    Row("R-M6", "header with a long text", "model_archive", lambda: _raw_header(_LETTERS, _DEFLATED)),
    Row(
        "R-M6",
        "another entry that is large",
        "model_archive",
        lambda: _raw_header(b"{}", _DEFLATED, [("m/data/0", _BLANKS)]),
    ),
    Row("R-M6", "system with an entry that is large", "system_file", lambda: _system("x", _BLANKS, _DEFLATED)),
    Row("R-L1", "array whose header ends early", "system_file", lambda: _system("cell.npy", _array("{'descr': ("))),
    Row("R-L1", "deep nesting in a system", "system_file", lambda: _system("info.json", b"[" * 100_000)),
    Row("R-L1", "infinity in a system", "system_file", lambda: _system("info.json", b'{"version": 1e999}')),
    Row(
        "R-L1",
        "array of a huge shape",
        "system_file",
        lambda: _system("cell.npy", _array("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 3), }")),
    ),
    Row("R-L2", "deep nesting in a header", "model_header", lambda: _raw_header(b"[" * 100_000)),
    Row("R-L2", "infinity in a header", "model_header", lambda: _raw_header(b'{"format_version": 1e999}')),
    Row("R-L2", "integer beyond the floats", "model_header", lambda: _queries(interaction_range=10**400)),
    Row(
        "R-L3",
        "extension without the name of a class",
        "model_header",
        lambda: _header(extensions=[{"name": "a.so", "sha256": seeds.SHA, "registers": ["x"], "dependencies": []}]),
    ),
    Row("R-L4", "code that is no text", "model_load", _code),
    Row("R-L6", "huge integer in funcfl", "eam_file", _funcfl("9" * 400)),
    Row("R-L6", "huge power in sw", "sw_file", lambda: seeds.STILLINGER_WEBER.replace("4.0 0.0", "1e6 0.0")),
    Row("R-L7", "unit of many letters", "unit", lambda: 1_000_000 * "x"),
    Row("R-L8", "white space of Python alone", "unit", lambda: "eV\x85"),
    Row("R-L14", "i-PI's own structures", "ipi_structure", lambda: seeds.XYZ[3], ACCEPTED),
    Row("R-L18", "structure of too many atoms", "structure_file", _structure("99999999999\n\nAr 0 0 0\n")),
    Row(
        "R-L18",
        "i-PI's structure of too many atoms",
        "ipi_structure",
        _structure("99999999999\n# CELL{H}: 5 0 0 0 5 0 0 0 5\nAr 0 0 0\n"),
    ),
]
