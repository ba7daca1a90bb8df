"""TorchScript extensions: what is recorded, collected and loaded, with vesin-torch as a real one."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict, List, Optional

import models
import pytest
import torch
import vesin_torch
from metatensor.torch import Labels, TensorMap
from models import as_map, system_samples, wrap

from metatomic_core import ModelOutput, System, load_atomistic_model, load_model_extensions
from metatomic_core.files import extension_discovery as _extension_discovery
from metatomic_core.files import extensions
from metatomic_core.files.extension_discovery import is_registered, libraries_of
from metatomic_core.files.extensions import Extension, Library
from metatomic_core.files.reading import read_header
from metatomic_core.files.shared_libraries import (
    dependencies_of,
    find_in_distribution,
    is_system_library,
    library_stem,
    needed_libraries,
    owner_of,
)
from metatomic_core.foundation.hashes import file_sha256

VESIN = next(Path(path) for path in torch.ops.loaded_libraries if "vesin" in path)
HASH = file_sha256(VESIN)
VERSION = importlib.metadata.version("vesin-torch")

# runs an exported model without the package of its extension; prints its energy and what was loaded
RUN = """
import sys, torch
import metatomic_core
from metatomic_core import load_atomistic_model
{before}
model = load_atomistic_model({path!r}, {directory!r})
structure = {{
    "types": torch.tensor([14, 14]), "positions": torch.tensor([[0.0, 0, 0], [1.1, 0.3, 0.2]], dtype=torch.float64),
    "cell": torch.eye(3, dtype=torch.float64) * 4, "pbc": torch.ones(3, dtype=torch.bool),
}}
results, _, _ = model.evaluate(
    [structure], [[]], None, {{"energy": "energy"}}, {{}}, {{"engine": {{"length": "angstrom", "energy": "eV"}}}}
)
assert "vesin_torch" not in sys.modules
print(repr(float(results["energy"])), *[p for p in torch.ops.loaded_libraries if "vesin" in p])
{after}
"""
BLOCK = """
import importlib.metadata
original = importlib.metadata.distribution
def blocked(name):
    if name == "vesin-torch":
        raise importlib.metadata.PackageNotFoundError(name)
    return original(name)
importlib.metadata.distribution = blocked
"""


class UsesVesin(torch.nn.Module):
    """Sum of squared distances from vesin's own neighbor list."""

    def __init__(self):
        super().__init__()
        self.neighbors = vesin_torch.NeighborList(3.0, False)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            distances = self.neighbors.compute(system.positions, system.cell, system.pbc, "d")[0]
            energies.append(distances.square().sum())
        return {"energy": as_map(torch.stack(energies).unsqueeze(1), system_samples(systems), [], "energy")}


class HoldsVesin(models.NoLists):
    """Has the extension class as an attribute that its code never uses."""

    def __init__(self):
        super().__init__()
        self.unused = vesin_torch.NeighborList(3.0, False)


class UsesTorchOnly(models.NoLists):
    """Uses an operator of torch in a namespace of its own."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        torch.ops.quantized.relu6(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8))
        values = torch.stack([system.positions.sum() for system in systems]).unsqueeze(1)
        return {"energy": as_map(values, system_samples(systems), [], "energy")}


@torch.library.custom_op("metatomic_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return 2.0 * x


class UsesPythonOperator(torch.nn.Module):
    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        values = torch.stack([torch.ops.metatomic_tests.twice(system.positions).sum() for system in systems])
        return {"energy": as_map(values.unsqueeze(1), system_samples(systems), [], "energy")}


def per_system(module):
    return wrap(module, {"energy": ModelOutput(unit="eV", sample_kind="system")})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model that uses vesin-torch, in a file, with its collected extensions."""
    folder = tmp_path_factory.mktemp("extensions")
    per_system(UsesVesin()).save(str(folder / "vesin.pt"), collect_extensions=str(folder / "collected"))
    return folder / "vesin.pt"


def edited(source, target, change):
    """Copy a model file with a change to the recorded extensions."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("metatomic-core.json"):
                content = json.loads(data)
                change(content)
                data = json.dumps(content).encode()
            new.writestr(name, data)
    return target


def run(path, directory=None, before="", after=""):
    code = RUN.format(path=str(path), directory=directory and str(directory), before=before, after=after)
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)


@pytest.fixture
def fresh(monkeypatch):
    """Stand for a process that has not loaded vesin-torch; gives the list of what would be loaded."""
    loaded = []
    monkeypatch.setattr(extensions, "is_registered", lambda name: False)
    monkeypatch.setattr(extensions, "loaded_extensions", list)
    monkeypatch.setattr(extensions, "_load", lambda library, path: loaded.append(path))
    return loaded


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setattr(extensions, "find_in_distribution", lambda distribution, name: ([], None))


# --- what is recorded


def test_extension_recorded_with_hash_and_distribution(exported):
    expected = Extension(VESIN.name, HASH, "vesin-torch", VERSION, registers=["vesin._NeighborList"], dependencies=[])
    assert read_header(exported).extensions == [expected]


def test_extension_record_has_no_path(exported):
    with zipfile.ZipFile(exported) as archive:
        header = next(name for name in archive.namelist() if name.endswith("metatomic-core.json"))
        assert str(VESIN.parent) not in archive.read(header).decode()
    assert "/" not in json.dumps([vars(e) for e in read_header(exported).extensions])


def test_extension_of_unused_attribute_is_recorded(tmp_path):
    wrap(HoldsVesin()).save(str(tmp_path / "m.pt"))
    assert [e.registers for e in read_header(tmp_path / "m.pt").extensions] == [["vesin._NeighborList"]]


def test_defect_unrelated_libraries_are_not_recorded(tmp_path):
    assert "vesin_torch" in sys.modules
    wrap(models.TwoLists()).save(str(tmp_path / "m.pt"))
    assert read_header(tmp_path / "m.pt").extensions == []


def test_extension_of_torch_itself_is_not_recorded():
    scripted = torch.jit.script(UsesTorchOnly().eval())
    assert extensions.needed_extensions(scripted) == []


def test_extension_found_again_in_loaded_model(exported):
    loaded = load_atomistic_model(exported)
    assert extensions.needed_extensions(loaded.module) == read_header(exported).extensions


def test_extension_without_library_is_refused_on_save(tmp_path):
    expected = "expected a library loaded by `torch.ops.load_library` that registers 'metatomic_tests::twice'"
    with pytest.raises(RuntimeError, match=expected):
        per_system(UsesPythonOperator()).save(str(tmp_path / "m.pt"))
    assert list(tmp_path.iterdir()) == []


def test_libraries_of_operator_and_class():
    found = libraries_of(["metatensor.TensorMap", "metatensor::load", "vesin._NeighborList"])
    assert {path.name: names for path, names in found.items()} == {
        "libmetatensor_torch.so": ["metatensor.TensorMap", "metatensor::load"],
        "libvesin_torch.so": ["vesin._NeighborList"],
    }


@pytest.mark.parametrize(
    ("other_name", "other_content", "chosen"),
    [
        # texts that only contain the name of the class
        ("a.so", b"\0ns\0MyClass\0", "libns.so"),
        ("z_ns.so", b"\0ns\0MyClassic\0", "libns.so"),
        # a library that knows of another one's class, as one that depends on it does
        ("other.so", b"\0ns\0Class\0", "libns.so"),
        ("z_other.so", b"\0ns\0Class\0", "libns.so"),
        ("ns_without.so", b"\0ns\0", "libns.so"),
    ],
)
def test_libraries_of_name_that_several_hold(monkeypatch, tmp_path, other_name, other_content, chosen):
    (tmp_path / "libns.so").write_bytes(b"\x7fELF\0ns\0Class\0op(Tensor x) -> Tensor\0")
    (tmp_path / other_name).write_bytes(other_content)
    paths = [tmp_path / other_name, tmp_path / "libns.so"]
    monkeypatch.setattr(_extension_discovery, "loaded_extensions", lambda: paths)
    assert libraries_of(["ns.Class"]) == {tmp_path / chosen: ["ns.Class"]}
    assert libraries_of(["ns::op"]) == {tmp_path / chosen: ["ns::op"]}


def test_is_registered_for_classes_and_operators():
    assert is_registered("vesin._NeighborList")
    assert is_registered("metatensor::load")
    assert not is_registered("vesin.Other")
    assert not is_registered("vesin::other")
    assert not is_registered("nobody.Has")


# --- libraries on disk


def test_needed_libraries_of_elf():
    needed = needed_libraries(VESIN)
    assert {"libtorch.so", "libtorch_cpu.so", "libc10.so", "libc.so.6"} <= set(needed)
    assert dependencies_of(VESIN) == []


def test_needed_libraries_of_other_files(tmp_path):
    (tmp_path / "text.so").write_text("not a library")
    assert needed_libraries(tmp_path / "text.so") == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_dependencies_are_found_deepest_first(tmp_path):
    import ctypes

    (tmp_path / "f.c").write_text("int NAME(void) { return 1; }\n")
    needs = []
    for name in ("deep", "middle", "top"):
        library = tmp_path / f"libmetatomic_{name}.so"
        command = ["cc", "-shared", "-fPIC", f"-DNAME={name}", "-o", str(library), str(tmp_path / "f.c")]
        options = ["-Wl,--no-as-needed", f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}"]
        subprocess.run([*command, *options, *needs], check=True)
        needs = [f"-lmetatomic_{name}"]
    ctypes.CDLL(str(library))
    names = [path.name for path in dependencies_of(library)]
    assert names == ["libmetatomic_deep.so", "libmetatomic_middle.so"]


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("libc10.so", Path(torch.__file__).parent / "lib" / "libc10.so", True),
        ("libfoo.so", Path("/usr/lib/libfoo.so"), True),
        ("libstdc++.so.6", Path("/opt/conda/lib/libstdc++.so.6"), True),
        ("libfoo.so", Path("/opt/conda/lib/libfoo.so"), False),
        ("libmfoo.so", Path("/home/someone/libmfoo.so"), False),
    ],
)
def test_is_system_library(name, path, expected):
    assert is_system_library(name, path) is expected


@pytest.mark.parametrize(
    "name", ["libvesin_torch.so", "libvesin_torch.dylib", "vesin_torch.dll", "libvesin_torch.so.2"]
)
def test_library_stem_on_all_platforms(name):
    assert library_stem(name) == "vesin_torch"


def test_owner_of_file_outside_of_distributions(tmp_path):
    shutil.copy(VESIN, tmp_path)
    assert owner_of(tmp_path / VESIN.name) == (None, None)


def test_find_in_distribution_takes_the_build_for_this_torch(monkeypatch):
    assert find_in_distribution("vesin-torch", VESIN.name) == ([VESIN], VERSION)
    monkeypatch.setattr(torch, "__version__", "2.12.1+cpu")
    (candidate,), _ = find_in_distribution("vesin-torch", VESIN.name)
    assert "torch-2.12" in candidate.parts
    monkeypatch.setattr(torch, "__version__", "3.7.0")
    assert find_in_distribution("vesin-torch", VESIN.name) == ([], VERSION)
    assert find_in_distribution("not-installed-anywhere", VESIN.name) == ([], None)


# --- collecting


def test_collect_copies_the_library(exported):
    collected = exported.parent / "collected"
    assert [path.name for path in collected.iterdir()] == [VESIN.name]
    assert file_sha256(collected / VESIN.name) == HASH


def test_collect_twice_and_from_loaded_model(exported, tmp_path):
    model = load_atomistic_model(exported)
    for _ in range(2):
        model.save(str(tmp_path / "copy.pt"), collect_extensions=str(tmp_path / "collected"))
    assert file_sha256(tmp_path / "collected" / VESIN.name) == HASH


def test_collect_refuses_to_overwrite_a_different_file(exported, tmp_path):
    (tmp_path / VESIN.name).write_text("mine")
    with pytest.raises(ValueError, match=r"expected no other file 'libvesin_torch.so' in `collect_extensions`"):
        extensions.collect(read_header(exported).extensions, tmp_path)
    assert (tmp_path / VESIN.name).read_text() == "mine"


def test_collect_refuses_other_builds_and_files(exported, tmp_path):
    other = Extension(VESIN.name, "0" * 64, "vesin-torch", VERSION)
    with pytest.raises(ValueError, match="loaded or installed, got another build of it; save the model again"):
        extensions.collect([other], tmp_path / "new")
    with pytest.raises(ValueError, match="loaded or installed, got none"):
        extensions.collect([Extension("libnobody.so", "0" * 64)], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="expected `collect_extensions` to be a directory, got the file"):
        extensions.collect([], exported)
    with pytest.raises(TypeError, match="expected `collect_extensions` to be a path, got int"):
        extensions.collect([], 3)


# --- finding


def test_load_does_nothing_when_loaded_already(exported, not_installed):
    before = set(torch.ops.loaded_libraries)
    load_model_extensions(exported)
    load_model_extensions(exported)
    assert set(torch.ops.loaded_libraries) == before


def test_load_from_installed_distribution(exported, fresh):
    load_model_extensions(exported)
    assert fresh == [VESIN]


def test_load_from_directory(exported, fresh, not_installed):
    load_model_extensions(exported, exported.parent / "collected")
    assert fresh == [exported.parent / "collected" / VESIN.name]


def test_load_prefers_identical_installed_library(exported, fresh):
    load_model_extensions(exported, str(exported.parent / "collected"))
    assert fresh == [VESIN]


def test_load_from_directory_refuses_another_hash(exported, fresh, tmp_path):
    (tmp_path / VESIN.name).write_bytes(VESIN.read_bytes() + b"tampered")
    expected = rf"to be the library that the model was saved with, with sha256 {HASH[:12]}..., got [0-9a-f]{{12}}..."
    with pytest.raises(ValueError, match=expected):
        load_model_extensions(exported, tmp_path)
    assert fresh == []


def test_load_missing_says_what_to_do(exported, fresh, not_installed, tmp_path):
    expected = (
        f"expected the TorchScript extension 'libvesin_torch.so' of vesin-torch {VERSION}, which this model needs, got "
        f"none; run `pip install vesin-torch=={VERSION}`, or name the directory that has it in `extensions_directory`"
    )
    for directory in (None, tmp_path):
        with pytest.raises(ValueError, match="expected the TorchScript extension") as error:
            load_model_extensions(exported, directory)
        assert str(error.value) == expected


def test_load_missing_without_distribution(exported, fresh, tmp_path):
    def change(content):
        content["extensions"][0].update(distribution=None, version=None)

    path = edited(exported, tmp_path / "m.pt", change)
    with pytest.raises(ValueError, match=r"got none; name the directory that has it in `extensions_directory`$"):
        load_model_extensions(path)


def test_load_other_version_warns(exported, fresh, tmp_path):
    def change(content):
        content["extensions"][0].update(version="0.1.0", sha256="0" * 64)

    path = edited(exported, tmp_path / "m.pt", change)
    with pytest.warns(UserWarning, match=rf"expected vesin-torch 0.1.0, .* got {VERSION} with another build"):
        load_model_extensions(path)
    assert fresh == [VESIN]


def test_load_same_version_for_other_torch_is_silent(exported, fresh, tmp_path):
    def change(content):
        content["torch_version"] = "2.9.1"
        content["extensions"][0].update(sha256="0" * 64)

    load_model_extensions(edited(exported, tmp_path / "m.pt", change))
    assert fresh == [VESIN]


@pytest.mark.parametrize("name", ["/tmp/evil.so", "../evil.so", "a\\evil.so", "..", ""])
@pytest.mark.parametrize("where", ["extension", "dependency"])
def test_load_refuses_paths_in_the_model_file(exported, fresh, tmp_path, name, where):
    def change(content):
        extension = content["extensions"][0]
        if where == "extension":
            extension["name"] = name
        else:
            extension["dependencies"] = [{"name": name, "sha256": HASH}]

    path = edited(exported, tmp_path / "m.pt", change)
    with pytest.raises(ValueError, match="expected the plain file name of a library in a model file, got"):
        load_model_extensions(path, tmp_path)
    assert fresh == []


def test_load_dependencies_first(exported, fresh, not_installed, tmp_path):
    def change(content):
        content["extensions"][0]["dependencies"] = [{"name": "libdeep.so", "sha256": file_sha256(deep)}]

    deep = tmp_path / "libdeep.so"
    deep.write_text("a library")
    shutil.copy(VESIN, tmp_path)
    path = edited(exported, tmp_path / "m.pt", change)
    load_model_extensions(path, tmp_path)
    assert fresh == [deep, tmp_path / VESIN.name]


def needs_missing_library(path):
    """Write a library that is linked to one which no machine has, as those for GPUs are on a machine without one."""
    name = next(name for name in needed_libraries(VESIN) if name.startswith("libtorch")).encode()
    missing = b"libm" + b"x" * (len(name) - 4)
    path.write_bytes(VESIN.read_bytes().replace(b"\0" + name + b"\0", b"\0" + missing + b"\0"))
    return path


def with_dependencies(*paths):
    def change(content):
        content["extensions"][0]["dependencies"] = [{"name": p.name, "sha256": file_sha256(p)} for p in paths]

    return change


def test_defect_dependency_that_does_not_load_and_is_not_needed(exported, tmp_path):
    """Files of a machine with a GPU list libraries that need its driver; one that is gone is as harmless."""
    gone = tmp_path / "libgone.so"
    gone.write_text("removed below")
    change = with_dependencies(needs_missing_library(tmp_path / "libneedy.so"), gone)
    path = edited(exported, tmp_path / "m.pt", change)
    gone.unlink()
    done = run(path, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[0]) == pytest.approx(ENERGY)


def test_load_names_dependencies_that_failed(exported, tmp_path, monkeypatch, not_installed):
    monkeypatch.setattr(extensions, "is_registered", lambda name: False)
    monkeypatch.setattr(extensions, "loaded_extensions", list)
    change = with_dependencies(needs_missing_library(tmp_path / "libneedy.so"))
    path = edited(exported, tmp_path / "m.pt", change)
    expected = (
        "expected the TorchScript extension 'libvesin_torch.so' .* of what it depends on: expected 'libneedy.so' to "
        "load with torch .*, got an error: libm.*: cannot open shared object file"
    )
    with pytest.raises(ValueError, match=expected) as error:
        load_model_extensions(path, tmp_path)
    assert "\n" not in str(error.value)


def test_load_refuses_loaded_library_that_lacks_something(exported, tmp_path):
    def change(content):
        content["extensions"][0]["registers"].append("vesin.New")

    path = edited(exported, tmp_path / "m.pt", change)
    with pytest.raises(ValueError, match=r"expected a loaded 'libvesin_torch.so' that registers 'vesin.New', got"):
        load_model_extensions(path)


def test_load_reports_library_that_does_not_load(exported, tmp_path):
    (tmp_path / "libbroken.so").write_text("not a library" * 100)
    broken = Extension("libbroken.so", file_sha256(tmp_path / "libbroken.so"), registers=["broken.Class"])
    with pytest.raises(ValueError, match=r"expected 'libbroken.so' to load with torch .*, got an error: .*invalid ELF"):
        extensions._load(broken, tmp_path / "libbroken.so")


def test_load_reports_library_that_registers_nothing():
    with pytest.raises(ValueError, match=r"to register 'vesin.New', got a library that does not"):
        extensions._load(Extension(VESIN.name, HASH, registers=["vesin.New"]), VESIN)


def test_load_checks_the_directory(exported, tmp_path):
    with pytest.raises(ValueError, match="expected `extensions_directory` to be a directory, got"):
        load_model_extensions(exported, tmp_path / "missing")
    with pytest.raises(TypeError, match="expected `extensions_directory` to be a path or None, got int"):
        load_model_extensions(exported, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 1, "sha256": HASH}, "expected `name` of a library to be a string, got 1"),
        ({"name": "a.so", "sha256": None}, "expected `sha256` of a library to be a string, got None"),
        ({"name": "a.so", "sha256": "", "version": 2}, "expected `version` of a library to be a string or None, got 2"),
        ({"name": "a.so", "sha256": "", "registers": [1]}, "expected `registers` of an extension to be strings, got 1"),
        ({"name": "a.so", "sha256": "", "dependencies": ["b"]}, "expected `dependencies` of an extension to be obj"),
    ],
)
def test_records_check_their_types(arguments, message):
    kind = Extension if {"registers", "dependencies"} & set(arguments) else Library
    with pytest.raises(TypeError, match=message):
        kind(**arguments)


# --- in a fresh process

# sum of the squared distances below 3 in a cubic cell of 4: the pair itself, and no images
ENERGY = 1.1**2 + 0.3**2 + 0.2**2 + (4 - 1.1) ** 2 + 0.3**2 + 0.2**2


def test_fresh_process_with_installed_package(exported):
    result = run(exported, after="import vesin_torch")
    assert result.returncode == 0, result.stderr
    energy, path = result.stdout.split()
    assert float(energy) == pytest.approx(ENERGY, rel=1e-14)
    assert path == str(VESIN)


def test_fresh_process_with_directory_and_twice(exported):
    collected = exported.parent / "collected"
    again = f"load_atomistic_model({str(exported)!r}, {str(collected)!r})"
    result = run(exported, collected, before=BLOCK, after=again)
    assert result.returncode == 0, result.stderr
    energy, path = result.stdout.split()
    assert float(energy) == pytest.approx(ENERGY, rel=1e-14)
    assert path == str(collected / VESIN.name)


def test_defect_extension_loaded_twice_does_not_abort(exported):
    # the collected copy and the installed library: two copies of one library abort the process
    result = run(exported, exported.parent / "collected", after="import vesin_torch; print('alive')")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("alive\n")


def test_fresh_process_without_extension(exported):
    result = run(exported, before=BLOCK)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.partition(": ")[2].startswith("expected the TorchScript extension 'libvesin_torch.so' of vesin-torch")
