"""Target: arguments of the pair style in LAMMPS, and headers that the plugin reads, in a process of its own."""

import json
import select
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, List, Optional, Tuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from metatomic_lammps import build_plugin
from metatomic_lammps.running import environment

from . import seeds
from .foreign_files import model_with_header, own_header
from .harness import FindingError, Target
from .mutations import NUMBER_TEXTS, mutated_bytes, mutated_json, one_of

_SECONDS = 60.0
_SERVER = Path(__file__).with_name("lammps_server.py")
_KEYWORDS = ["device", "extensions", "check_consistency", "kernel", "scale"]
_KEYWORDS += [
    "uncertainty_threshold",
    "non_conservative",
    "output",
    "variant",
    "variant/energy",
    "variant/",
    "variant/x",
    "skael",
]
_RIGHT = [["device", "cpu"], ["scale", "0.5"], ["check_consistency", "on"], ["kernel", "script"], ["output", "energy"]]
_VALUES = ["cpu", "cuda", "cuda:99", "on", "off", "auto", "compiled", "forces", "energy", "charge", "pbe", "x"]
_NUMBERS = [text for text in NUMBER_TEXTS if len(text) < 2000]
_ODD = ["\x1b[31m", "ü", "${x}", "$x", "%s%n", "a" * 3000, "'", '"a b"', "&", "#", "v_x", "../x", "/dev/zero", "*"]
_FILES = [*9 * ["model.pt"], "odd.pt", "odd.pt", "damaged.pt", "missing.pt", ".", "start.xyz", "/dev/null"]
_FIX = "fix p all pair 1 metatomic {} {}"
_ATOMS = ["Ar", "Si", "18", "14", "NULL", "ar", "99", "-1", "*", "1", "Xx"]


class _Server:
    """The process; started again when it is gone."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen[str]] = None

    def answers(self, lines: List[str], folder: Path) -> List[Optional[str]]:
        """Run lines; raise a `FindingError` if the process ends or hangs."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([f"shell cd {folder}", *lines, "shell cd /"]) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
        text = process.stdout.readline() if ready else ""
        if not text:
            self._process = None
            process.kill()
            status = process.wait()
            raise FindingError(f"expected LAMMPS to go on, got {f'status {status}' if ready else 'no answer'}")
        answers: List[Optional[str]] = json.loads(text)
        return answers[1:-1]

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(_SERVER)],
                env=environment(build_plugin()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )


@cache
def _server() -> _Server:
    return _Server()


def _prepare() -> None:
    _server().start()


def _texts() -> SearchStrategy[str]:
    # what ends a line, or is no text for LAMMPS at all, is not an argument
    return st.one_of(st.sampled_from(_VALUES), one_of(_NUMBERS), one_of(_ODD))


@st.composite
def _lines(draw: Any) -> List[str]:
    words = ["pair_style", "metatomic"]
    if draw(st.integers(0, 19)) > 0:
        words.append(draw(st.sampled_from(_FILES)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        words += draw(st.sampled_from(_RIGHT))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        words += [draw(st.one_of(st.sampled_from(_KEYWORDS), _texts())), draw(_texts())]
    if draw(st.integers(0, 9)) == 0:
        words.append(draw(st.sampled_from(_KEYWORDS)))
    others = st.lists(st.one_of(st.sampled_from(_ATOMS), _texts()), max_size=4)
    types = draw(st.one_of(st.just(["Ar", "Si"]), st.just(["Ar", "Si"]), others))
    coefficients = [["pair_coeff", draw(st.sampled_from(["*", "*", "*", "1", "2*"])), "*", *types]]
    fixes = draw(st.sampled_from([[], [], [], [_FIX.format("energy", 0)], [_FIX.format("charge", 1)]]))
    order = [" ".join(words), *(" ".join(row) for row in coefficients), *fixes, "run 0"]
    if draw(st.integers(0, 9)) == 0:
        order = draw(st.permutations([*order, order[0]]))
    return order


def _inputs() -> SearchStrategy[Tuple[List[str], str]]:
    headers = st.one_of(st.just(b""), mutated_json([own_header()]), mutated_bytes([json.dumps(own_header()).encode()]))
    return st.tuples(_lines(), headers.map(lambda header: header.decode("latin-1")))


def _run(given: Tuple[List[str], str], folder: Path) -> None:
    lines, header = given
    model = seeds.model_file().read_bytes()
    (folder / "model.pt").write_bytes(model)
    (folder / "damaged.pt").write_bytes(model[: len(model) // 2])
    (folder / "odd.pt").write_bytes(model_with_header(header.encode("latin-1")))
    (folder / "start.xyz").write_bytes(seeds.structure().read_bytes())
    errors = [error for error in _server().answers(lines, folder) if error is not None]
    if errors:
        raise ValueError(f"expected lines that LAMMPS takes, got {len(errors)} errors")


LAMMPS_TARGETS = [Target("lammps", st.deferred(_inputs), _run, 40, (ValueError,), executes=True, prepare=_prepare)]
