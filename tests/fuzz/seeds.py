"""Files that are right, small, and made once in a process: what is damaged by `mutations`."""

import dataclasses
import io
import json
import pickle
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Dict, List, Tuple

import ase.build
import ase.io
import torch
from command_line import succeed
from models import NoLists, TwoLists, wrap
from system_cases import bare_system, full_system

from metatomic_core import save_buffer
from metatomic_core.files.extension_records import Extension, Library
from metatomic_core.files.programs import OutputLabels, ProgramRecord, TensorRecord
from metatomic_core.kernels.cache import About
from metatomic_core.loading import header_of
from metatomic_core.potentials import lennard_jones

from .mutations import Entries, unzipped

SHA = 64 * "a"


class Malicious:
    """Runs a program when a pickle of it is loaded."""

    def __reduce__(self) -> Tuple[Any, ...]:
        import os

        return os.system, ("true",)


@cache
def folder() -> Path:
    """Give a folder that lasts as long as the process."""
    made = tempfile.TemporaryDirectory(prefix="fuzz-seeds-")
    _KEPT.append(made)
    return Path(made.name)


_KEPT: List[Any] = []


@cache
def model_file() -> Path:
    """A model file without exported programs."""
    path = folder() / "model.pt"
    lennard_jones(["Ar", "Si"], {"Ar": 3.4, "Si": 2.1}, {"Ar": 0.01, "Si": 0.02}).save(path, exported=False)
    return path


@cache
def exported_entries() -> Entries:
    """Entries of a model file with exported programs."""
    path = folder() / "exported.pt"
    lennard_jones(["Ar"], 3.4, 0.01).save(path, exported=True)
    return unzipped(path.read_bytes())


@cache
def model_entries() -> Entries:
    """Entries of a model file."""
    return unzipped(model_file().read_bytes())


@cache
def headers() -> List[Dict[str, Any]]:
    """Headers with everything that one can have."""
    plain = header_of(wrap(NoLists())).to_dict()
    rows = (TensorRecord("vectors/0", "float64", ("pairs", 3)), TensorRecord("types", "int64", ("atoms",), False))
    labels = OutputLabels("atom", (("xyz", 3),), ("dipole",), ((0,), (1,)))
    program = ProgramRecord(
        "programs/a.pt2", SHA, "energy", True, False, True, rows, rows, {"dipole": labels}, "2.13.0"
    )
    library = Library("libb.so", SHA, "b", "1.0")
    extension = Extension("liba.so", SHA, "a", "1.0", ["ns.Class", "ns::operator"], [library])
    full = dataclasses.replace(header_of(wrap(TwoLists())), programs=(program,), extensions=[extension])
    full.metadata.references = {"model": ["a paper"]}
    full.metadata.extra = {"a": "b"}
    return [plain, json.loads(full.to_json())]


@cache
def header_entries() -> List[Entries]:
    """Entries of archives with a header and next to nothing else."""
    other = [("m/constants.pkl", b"x"), ("m/code/__torch__.py", b"x = 1\n")]
    return [[*other, ("m/extra/metatomic-core.json", json.dumps(header).encode())] for header in headers()]


@cache
def systems() -> List[Entries]:
    """Entries of files of systems; the second without what only ours have."""
    found = [unzipped(save_buffer(system).numpy().tobytes()) for system in (full_system(), bare_system(torch.float32))]
    return [*found, [entry for entry in found[0] if entry[0] != "info.json"]]


@cache
def checkpoints() -> List[bytes]:
    """Checkpoints in the formats of torch, and pickles, that run something when they are loaded."""
    content = {"format": "toy-morse", "species": [18, 14], "model": torch.nn.Linear(1, 2), "trap": Malicious()}
    found = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=new)
        found.append(buffer.getvalue())
    small = {"format": "toy-morse", "nested": [("a", 1.5, None)], "trap": Malicious()}
    return found + [pickle.dumps(small, protocol=protocol) for protocol in range(6)]


@cache
def structure() -> Path:
    """Two atoms in a box."""
    path = folder() / "start.xyz"
    atoms = ase.build.bulk("Ar", "fcc", 5.3, cubic=True)
    atoms.rattle(0.05, seed=1)
    ase.io.write(path, atoms, format="extxyz")
    return path


@cache
def restart_file() -> Path:
    """A restart file of molecular dynamics."""
    prefix = folder() / "md"
    arguments = [
        "--ensemble",
        "npt",
        "--temperature",
        "30",
        "--pressure",
        "1 bar",
        "--steps",
        "2",
        "--restart-every",
        "1",
    ]
    succeed("md", model_file(), structure(), "-o", prefix, *arguments)
    (path,) = folder().glob("md*restart*")
    return path


@cache
def restart_entries() -> Entries:
    """Entries of a restart file."""
    return unzipped(restart_file().read_bytes())


@cache
def ipi_inputs() -> Dict[str, str]:
    """Inputs of i-PI, by the case."""
    found = {}
    for case in ("nvt", "npt", "remd"):
        made = folder() / f"ipi-{case}"
        succeed("ipi", "input", model_file(), structure(), "--case", case, "-o", made)
        found[case] = (made / "input.xml").read_text("utf-8")
        shutil.copy(made / "template.xyz", folder() / "template.xyz")
        shutil.copy(made / "init.xyz", folder() / "init.xyz")
    return found


@cache
def about() -> Dict[str, Any]:
    """What is said of a compiled package."""
    rows = (TensorRecord("vectors/0", "float64", ("pairs", 3)), TensorRecord("types", "int64", ("atoms",)))
    made_for = {"torch": torch.__version__, "device": "cpu", "dtype": "float64", "march": "x86-64-v3"}
    values = About(
        program=SHA,
        flavor="forces",
        **made_for,
        cpu_flags=("avx2",),
        inputs=rows,
        outputs=rows,
        per_atom=True,
        model="model.pt",
        seconds=1.0,
        bytes=1,
        checked={"energy": 1e-9},
    )
    return json.loads(json.dumps(dataclasses.asdict(values)))


SETFL = """\
first comment
second comment
third comment
2 Cu Au
6 0.1 7 0.5 3.0
29 63.546 3.615 fcc
0.0 -0.1 -0.2 -0.25 -0.3 -0.3
0.5 0.4 0.3 0.2 0.1 0.05 0.0
79 196.97 4.08 fcc
0.0 -0.2 -0.3 -0.35
-0.4 -0.4
0.6 0.5 0.4 0.3 0.2 0.1 0.0
9.0 5.0 3.0 2.0 1.0 0.5 0.0
9.1 5.1 3.1 2.1 1.1 0.6 0.0
9.2 5.2 3.2 2.2 1.2 0.7 0.0
"""
FUNCFL = """\
comment
29 63.55 3.615 FCC
6 0.1 7 0.5 3.0
0.0 -0.1 -0.2 -0.25 -0.3 -0.3
11.0 9.0 7.0 5.0 3.0 1.0 0.0
0.5 0.4 0.3 0.2 0.1 0.05 0.0
"""
STILLINGER_WEBER = """\
# comment
Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333
         7.049556277 0.6022245584 4.0 0.0 0.0
"""
TWO_SPECIES = "\n".join(
    f"{a} {b} {c} 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0"
    for a in ("Si", "C")
    for b in ("Si", "C")
    for c in ("Si", "C")
)
XYZ = [
    '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"\nAr 0 0 0\nAr 1.5 2.5 2.5\n',
    "3\na comment\nSi 0 0 0\nAr 1 1 1\nH 2 2 2\n",
    "2\n# CELL(abcABC): 5.0 5.0 5.0 90.0 90.0 90.0 cell{angstrom} positions{angstrom}\nAr 0 0 0\nAr 2.5 2.5 2.5\n",
    "2\n# CELL{H}: 5 0 0 0 5 0 0 0 5 Step: 0 positions{atomic_unit} cell{atomic_unit}\nAr 0 0 0\nAr 2.5 2.5 2.5\n",
]
