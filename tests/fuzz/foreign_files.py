"""Targets: model files of all kinds, checkpoints, systems, restart files, and packages in the cache."""

import json
import os
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from nequip_cases import TEXTS

from metatomic_ase.cli._restart import read_restart
from metatomic_core import AtomisticModel, System, check_atomistic_model, load_atomistic_model, load_system
from metatomic_core.engine import Engine, Structure
from metatomic_core.files.header import HEADER_FILE, ModelHeader
from metatomic_core.foreign import nequip_files
from metatomic_core.gromacs.convert import convert
from metatomic_core.kernels.cache import fitting, packages
from metatomic_core.kernels.running import compiled
from metatomic_core.loading import read_model_header, reader_of
from metatomic_importers.checkpoints import checked_checkpoint
from metatomic_importers.family import Family

from . import seeds
from .harness import REFUSED, FindingError, Target
from .mutations import ODD_VALUES, Entries, mutated_bytes, mutated_json, mutated_zip, one_of, unzipped, zipped

_KEYS = ["format_version", "queries", "outputs", "unit", "quantity", "cutoff", "requestors", "entry", "shape", "values"]


def _written(content: bytes, folder: Path, name: str = "model.pt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _with_header(header: bytes, entries: Entries) -> bytes:
    return zipped([(name, header if name.endswith(f"/{HEADER_FILE}") else content) for name, content in entries])


def _read_header(content: bytes, folder: Path) -> None:
    header = read_model_header(_written(content, folder))
    if ModelHeader.from_dict(json.loads(header.to_json())).to_json() != header.to_json():
        raise FindingError("expected a header that says the same when it is written and read again")
    check_atomistic_model(folder / "model.pt")


def _headers() -> SearchStrategy[bytes]:
    return mutated_json(seeds.headers(), _KEYS)


def model_headers() -> SearchStrategy[bytes]:
    return _headers().map(lambda header: _with_header(header, seeds.header_entries()[0]))


def _model_archives() -> SearchStrategy[bytes]:
    names = [name for name, _ in seeds.header_entries()[0]]
    return mutated_zip(seeds.header_entries(), {names[-1]: _headers()})


def _load(content: bytes, folder: Path) -> None:
    model = load_atomistic_model(_written(content, folder))
    # a model may know no species: it refuses all atoms
    if not isinstance(model, AtomisticModel) or not isinstance(model.capabilities().atomic_types, list):
        raise FindingError(f"expected a model, got {type(model).__name__}")


def _whole_models() -> SearchStrategy[bytes]:
    """A model with another header; or with damage that its archive tells of, or code that is no text."""
    headers = mutated_json([own_header()], _KEYS).map(model_with_header)
    damaged = mutated_bytes([seeds.model_file().read_bytes()], most=3)
    codes = [name for name, _ in seeds.model_entries() if "/code/" in name and name.endswith(".py")]

    def with_code(name: str, place: int, byte: int) -> bytes:
        entries = dict(seeds.model_entries())
        i = place * len(entries[name]) // 10000
        entries[name] = entries[name][:i] + bytes([byte]) + entries[name][i + 1 :]
        return zipped([*entries.items()])

    codes_damaged = st.builds(with_code, one_of(codes), st.integers(0, 9999), st.integers(128, 255))
    return st.one_of(headers, headers, headers, damaged, codes_damaged)


def model_with_header(header: bytes) -> bytes:
    """Give a model file with another header."""
    return _with_header(header, seeds.model_entries())


def _run_exported(content: bytes, folder: Path) -> None:
    """Run the exported program in a file, by what the header says of it."""
    engine = Engine(
        load_atomistic_model(_written(content, folder)), length_unit="angstrom", energy_unit="eV", kernel="eager"
    )
    positions = np.array([[0.0, 0.0, 0.0], [3.6, 0.4, 0.2]])
    structure = Structure(np.array([18, 18]), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    found = engine.evaluate([structure], ["energy", "forces"]).forces
    if found.shape != (2, 3):
        raise FindingError(f"expected forces of two atoms, got {found}")


def _exported() -> SearchStrategy[bytes]:
    """A program that was damaged, or is of another file, version or name than the header says."""
    entries = seeds.exported_entries()
    (text,) = [content for name, content in entries if name.endswith(f"/{HEADER_FILE}")]

    def with_record(key: str, value: Any) -> bytes:
        header = json.loads(text)
        header["programs"][0][key] = value
        return _with_header(json.dumps(header).encode(), entries)

    def with_program(place: int, byte: int) -> bytes:
        def changed(content: bytes) -> bytes:
            i = place * len(content) // 10000
            return content[:i] + bytes([byte]) + content[i + 1 :]

        return zipped([(name, changed(content) if "/programs/" in name else content) for name, content in entries])

    records = st.builds(with_record, st.sampled_from(["entry", "sha256", "seam", "torch", "selects"]), ODD_VALUES)
    return st.one_of(records, st.builds(with_program, st.integers(0, 9999), st.integers(0, 255)))


def own_header() -> Dict[str, Any]:
    """Give the header of that file as it is."""
    (text,) = [content for name, content in seeds.model_entries() if name.endswith(f"/{HEADER_FILE}")]
    header: Dict[str, Any] = json.loads(text)
    return header


def _to_gromacs(content: bytes, folder: Path) -> None:
    report = convert(_written(content, folder), folder / "out" / "gromacs.pt")
    if not report.file.is_file():
        raise FindingError("expected a file for GROMACS, got none")


def _recognise(content: bytes, folder: Path) -> None:
    """Ask what can be asked of a file of others before it is loaded: nothing of it may run."""
    path = _written(content, folder)
    name = reader_of(path)
    if name is not None and name not in ("metatomic-torch", "nequip"):
        raise FindingError(f"expected a known reader, got {name}")
    if name != "metatomic-torch":  # of which nothing is known before it is loaded
        read_model_header(path)


def _read_nequip(content: bytes, folder: Path) -> None:
    file = nequip_files.read(_written(content, folder, "model.nequip.pt2"))
    header = nequip_files.header(file)
    if not header.capabilities.atomic_types or not 0 < header.neighbor_lists[0].cutoff < float("inf"):
        raise FindingError(f"expected types and a cutoff, got {file}")
    nequip_files.check_machine(file)


def _nequip_entries(texts: Dict[str, str]) -> Entries:
    folder = "model/data/aotinductor/model"
    described = json.dumps(texts).encode()
    return [("model/archive_format", b"pt2"), (f"{folder}/a.so", b"code"), (f"{folder}/a_metadata.json", described)]


_CUTOFFS = {**TEXTS, "per_edge_type_cutoff": "4.0 3.0 3.0 2.0", "nequip_custom_ops_libs": "os.path sys"}


def _nequip_archives() -> SearchStrategy[bytes]:
    plain = [_nequip_entries(TEXTS), _nequip_entries(_CUTOFFS)]
    return mutated_zip(plain, {plain[0][-1][0]: mutated_json([TEXTS, _CUTOFFS], [*_CUTOFFS])})


def _reference_archives() -> SearchStrategy[bytes]:
    listed = json.dumps([{"name": "a", "path": "/tmp/liba.so", "sha256": seeds.SHA}]).encode()
    code = b"import __torch__\nops.metatomic.version()\n"
    plain = [("m/constants.pkl", b"x"), ("m/data.pkl", seeds.checkpoints()[2]), ("m/code/__torch__.py", code)]
    extra = [("m/extra/metatomic-version", b"0.1.19"), ("m/extra/extensions", listed)]
    former = [("m/extra/metatensor-version", b"0.7"), ("m/extra/extensions-deps", listed)]
    lists = mutated_json([json.loads(listed)], ["name", "path", "sha256"])
    contents = {"m/extra/extensions": lists, "m/extra/extensions-deps": lists}
    contents["m/extra/metatomic-version"] = mutated_bytes([b"0.1.19"], [b".", b"9", b"\n"])
    return mutated_zip([[*plain, *extra], [*plain, *former]], contents)


_FAMILY = Family(
    "toy",
    "of the tests",
    ("torch",),
    lambda request: None,
    lambda found: "toy-morse" in found.names,
)


def _find_checkpoint(content: bytes, folder: Path) -> None:
    path = _written(content, folder, "toy.ckpt")
    if checked_checkpoint(_FAMILY, str(path)) != path:
        raise FindingError("expected the file that was given")


def _checkpoints() -> SearchStrategy[bytes]:
    tokens = [
        b"\x8d" + b"\xff" * 8,
        b"\x8c\x05posix",
        b"cos\nsystem\n",
        b"\x8b\xff\xff\xff\x7f",
        b"(" * 10000,
        b"2" * 1000,
    ]
    files = seeds.checkpoints()
    archive = unzipped(files[0])
    (pickled,) = [name for name, _ in archive if name.endswith("data.pkl")]
    contents = {pickled: mutated_bytes(files[2:], tokens)}
    return st.one_of(mutated_bytes(files, tokens), mutated_zip([archive], contents))


def _load_system(content: bytes, folder: Path) -> None:
    system = load_system(_written(content, folder, "system.mta"))
    if not isinstance(system, System) or tuple(system.positions.shape) != (len(system), 3):
        raise FindingError("expected a system with positions of its atoms")
    if not bool(torch.isfinite(system.positions).all()):
        raise FindingError("expected finite positions")


def _systems() -> SearchStrategy[bytes]:
    contents: Dict[str, SearchStrategy[bytes]] = {}
    for entries in seeds.systems():
        for name, content in entries:
            if name.endswith(".json"):
                contents[name] = mutated_json([json.loads(content)], ["cutoff", "version"])
            elif name.endswith(".npy"):
                tokens = [b"(3, 3)", b"(99999999999, 3)", b"|O", b"<f8", b"True", b"9" * 5000, b"(" * 200]
                contents[name] = mutated_bytes([content], tokens, 3)
            else:
                inner = unzipped(content)
                parts = {part: mutated_bytes([value], [b"(99999999999,)", b"<i4"], 3) for part, value in inner}
                contents[name] = mutated_zip([inner], parts, 2)
    return mutated_zip(seeds.systems(), contents)


def _read_restart(content: bytes, folder: Path) -> None:
    restart = read_restart(str(_written(content, folder, "md.restart")))
    if restart.atoms.positions.shape != (len(restart.atoms), 3):
        raise FindingError("expected positions of all atoms")


def restarts() -> SearchStrategy[bytes]:
    import io

    import numpy as np

    entries = seeds.restart_entries()
    contents = {name: mutated_bytes([content], [b"(9999999999, 3)", b"|O"], 3) for name, content in entries}
    (text,) = [content for name, content in entries if name == "text.npy"]
    plain = json.loads(str(np.load(io.BytesIO(text))))

    def as_array(content: bytes) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, np.array(content.decode("utf-8", "replace")))
        return buffer.getvalue()

    contents["text.npy"] = mutated_json([plain], ["version", "settings"]).map(as_array)
    return mutated_zip([entries], contents)


def _read_cache(content: bytes, folder: Path) -> None:
    """Look for a package where one is damaged: it is not there, or does not load."""
    place = folder / "cache" / "kernels" / seeds.SHA[:16] / "forces-torch"
    (place / "package").mkdir(parents=True)
    (place / "about.json").write_bytes(content)
    with mock.patch.dict(os.environ, {"METATOMIC_CACHE": str(folder / "cache")}):
        found = list(packages(seeds.SHA))
        if len(found) > 1:
            raise FindingError(f"expected one package at most, got {len(found)}")
        best = fitting(seeds.SHA, "forces", "cpu", "float64")
        if best is not None:
            compiled(*best)
    if not found:
        raise ValueError("expected a package, got one that is passed over")


FILE_TARGETS: List[Target] = [
    Target("model_header", st.deferred(model_headers), _read_header, 300),
    Target("model_archive", st.deferred(_model_archives), _read_header, 300),
    Target("model_load", st.deferred(_whole_models), _load, 40),
    Target("gromacs_convert", st.deferred(_whole_models), _to_gromacs, 15, executes=True),
    Target(
        "exported_program",
        st.deferred(_exported),
        _run_exported,
        8,
        (ValueError, TypeError, RuntimeError),
        executes=True,
        outcomes=(REFUSED,),
    ),
    Target("reference_file", st.deferred(_reference_archives), _recognise, 200),
    Target("nequip_file", st.deferred(_nequip_archives), _recognise, 200),
    Target("nequip_texts", st.deferred(_nequip_archives), _read_nequip, 200),
    Target("checkpoint", st.deferred(_checkpoints), _find_checkpoint, 300),
    Target("system_file", st.deferred(_systems), _load_system, 300),
    Target("md_restart", st.deferred(restarts), _read_restart, 150),
    Target(
        "compiled_cache",
        st.deferred(lambda: mutated_json([seeds.about()], ["march"])),
        _read_cache,
        150,
        (ValueError, TypeError, OSError, RuntimeError),
    ),
]
