"""Systems in files, buffers, pickles and copies."""

import copy
import io
import json
import os
import pickle
import stat
import struct
import zipfile

import metatensor.torch as mts
import numpy as np
import pytest
import torch
from system_cases import assert_same_system, bare_system, data_map, full_system, neighbor_block

from metatomic_core import (
    ModelCapabilities,
    ModelEvaluationOptions,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
    register_autograd_neighbors,
)
from metatomic_core.files.system_file import load_system, load_system_buffer, save, save_buffer

DTYPES = [torch.float32, torch.float64]


def archive_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def npy(tensor):
    buffer = io.BytesIO()
    np.save(buffer, tensor.numpy())
    return buffer.getvalue()


def reference_entries(system, names=()):
    """What metatomic-torch writes: float64 arrays, the dtype of blocks kept, plain names."""
    entries = {
        "positions.npy": npy(system.positions.to(torch.float64)),
        "cell.npy": npy(system.cell.to(torch.float64)),
        "types.npy": npy(system.types),
        "pbc.npy": npy(system.pbc),
    }
    for i, options in enumerate(system.known_neighbor_lists()):
        content = {
            "class": "NeighborListOptions",
            "cutoff": struct.unpack("<q", struct.pack("<d", options.cutoff))[0],
            "full_list": options.full_list,
            "strict": options.strict,
            "length_unit": options.length_unit,
            "requestors": options.requestors(),
        }
        entries[f"pairs/{i}/options.json"] = json.dumps(content, indent=4).encode()
        block = system.get_neighbor_list(options)
        entries[f"pairs/{i}/data.mts"] = block.save_buffer().numpy().tobytes()
    for name in names:
        entries[f"data/{name}.mts"] = mts.save_buffer(system.get_data(name)).numpy().tobytes()
    return entries


# --- what comes back


@pytest.mark.parametrize("dtype", [torch.float16, *DTYPES])
def test_file_gives_the_same_system(tmp_path, dtype):
    system = full_system(dtype)
    save(tmp_path / "s.mta", system)
    assert_same_system(system, load_system(str(tmp_path / "s.mta")))


@pytest.mark.parametrize("dtype", DTYPES)
def test_defect_float32_with_neighbor_list_and_data_reloads(dtype):
    system = full_system(dtype)
    loaded = load_system_buffer(save_buffer(system))
    assert loaded.dtype == dtype
    assert_same_system(system, loaded)


def test_buffer_as_tensor_bytes_and_file():
    system = full_system()
    buffer = save_buffer(system)
    assert (buffer.dtype, buffer.dim()) == (torch.uint8, 1)
    content = buffer.numpy().tobytes()
    for kind in (bytes, bytearray, memoryview):
        assert_same_system(system, load_system_buffer(kind(content)))
    file = io.BytesIO()
    save(file, system)
    file.seek(0)
    assert_same_system(system, load_system(file))
    assert file.getvalue() == content


def test_file_of_empty_and_non_periodic_system():
    for system in (bare_system(n_atoms=0), bare_system(pbc=False)):
        assert_same_system(system, load_system_buffer(save_buffer(system)))


def test_file_has_no_gradients():
    system = bare_system()
    system.positions.requires_grad_(True)
    neighbors = neighbor_block(system)
    register_autograd_neighbors(system, neighbors)
    system.add_neighbor_list(NeighborListOptions(3.0, True, True), neighbors)
    data = data_map()
    data.block(0).values.requires_grad_(True)
    system.add_data("mass", data)
    loaded = load_system_buffer(save_buffer(system))
    assert_same_system(system, loaded)
    blocks = [loaded.get_neighbor_list(loaded.known_neighbor_lists()[0]), loaded.get_data("mass").block(0)]
    assert not any(tensor.requires_grad for tensor in (loaded.positions, loaded.cell, *(b.values for b in blocks)))
    # and the system itself keeps its graph
    assert neighbors.values.requires_grad


def test_file_layout(tmp_path):
    save(tmp_path / "s.mta", full_system())
    assert sorted(archive_of(tmp_path / "s.mta")) == [
        "cell.npy",
        "data/charge%2Fof%20ions.mts",
        "data/masses.mts",
        "data/tests%3A%3Aa-b%2Fc%252F.mts",
        "info.json",
        "pairs/0/data.mts",
        "pairs/0/options.json",
        "pairs/1/data.mts",
        "pairs/1/options.json",
        "pbc.npy",
        "positions.npy",
        "types.npy",
    ]


def test_file_is_the_same_each_time():
    assert torch.equal(save_buffer(full_system()), save_buffer(full_system()))


# --- files of metatomic-torch


@pytest.mark.parametrize("dtype", DTYPES)
def test_reference_file_is_read(tmp_path, dtype):
    system = full_system(dtype)
    path = write_archive(tmp_path / "s.mta", reference_entries(system, system.known_data()))
    # also a float32 system with neighbor lists, which metatomic-torch writes and can not read
    assert_same_system(system, load_system(path))


def test_reference_file_without_blocks_is_float64(tmp_path):
    path = write_archive(tmp_path / "s.mta", reference_entries(bare_system(torch.float32)))
    assert load_system(path).dtype == torch.float64


# --- refusals


def test_save_writes_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "s.mta"
    save(path, bare_system())
    before = path.read_bytes()

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(path, full_system())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.mta"]


def test_save_respects_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        save(tmp_path / "s.mta", bare_system())
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmp_path / "s.mta").st_mode) == 0o640


def test_save_checks_its_arguments(tmp_path):
    with pytest.raises(TypeError, match="expected `system` to be a System, got str"):
        save(tmp_path / "s.mta", "system")
    with pytest.raises(TypeError, match="expected `file` to be a path or a binary file, got int"):
        save(3, bare_system())
    with pytest.raises(ValueError, match="expected `file` to be a file name, got the directory"):
        save(tmp_path, bare_system())
    with pytest.raises(ValueError, match="expected the directory of `file` to exist, got"):
        save(tmp_path / "no" / "s.mta", bare_system())
    with pytest.raises(ValueError, match=r"expected `system` in float16, float32 or float64, got torch.bfloat16"):
        save_buffer(bare_system(torch.bfloat16))
    assert os.listdir(tmp_path) == []


def test_load_checks_its_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a file with a system, got '.*no.mta', which does not exist"):
        load_system(tmp_path / "no.mta")
    with pytest.raises(ValueError, match="expected a file with a system, got the directory"):
        load_system(tmp_path)
    with pytest.raises(TypeError, match="expected `file` to be a path or a binary file, got int"):
        load_system(3)
    with pytest.raises(TypeError, match="expected `buffer` to be a tensor or bytes, got str"):
        load_system_buffer("abc")
    with pytest.raises(ValueError, match=r"expected `buffer` to be of dtype uint8 and shape \(n_bytes,\), got"):
        load_system_buffer(torch.zeros(3))


def test_load_refuses_empty_and_foreign_content(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("3\n\nH 0 0 0\n")
    write_archive(tmp_path / "zip", {"a.txt": "a"})
    for name, expected in [
        ("empty", "which is empty"),
        ("text", r"which is something else \(no zip archive\)"),
        ("zip", "another zip archive: it has no types.npy, positions.npy, cell.npy, pbc.npy"),
    ]:
        with pytest.raises(ValueError, match=f"^expected a system, got '.*{name}', {expected}$"):
            load_system(tmp_path / name)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_load_refuses_truncated_content(kept):
    content = save_buffer(full_system())
    with pytest.raises(ValueError, match="expected a system, got the buffer, which is truncated or damaged"):
        load_system_buffer(content[: int(kept * len(content))])


def test_load_refuses_changed_bytes(tmp_path):
    content = bytearray(save_buffer(full_system()).numpy().tobytes())
    position = content.index(b"\x93NUMPY") + 140
    content[position] ^= 0xFF
    with pytest.raises(ValueError, match="expected a system, got the buffer, which is truncated or damaged"):
        load_system_buffer(content)


@pytest.mark.parametrize(
    ("entry", "content", "expected"),
    [
        ("positions.npy", b"abc", "with damaged or wrong data: "),
        (
            "positions.npy",
            npy(torch.zeros(2, 3, dtype=torch.float64)),
            r"expected `positions` to have the shape \(3, 3\)",
        ),
        ("types.npy", npy(torch.tensor([0.5, 1.0, 2.0])), "expected `types` to be integers"),
        ("pairs/0/options.json", b"{}", "with damaged or wrong data: 'cutoff'"),
        ("pairs/0/options.json", b"[", "with damaged or wrong data: "),
        ("pairs/0/data.mts", b"abc", "with damaged or wrong data: "),
        ("pairs/0/data.mts", None, "with damaged or wrong data: 'pairs/0/data.mts'"),
        ("data/masses.mts", b"abc", "with damaged or wrong data: "),
        ("info.json", b'{"version": "x"}', "with damaged or wrong data: info.json"),
        ("info.json", b'{"version": 2}', "expected a system file of version 1 or older, got .* of version 2; run `pip"),
    ],
)
def test_load_refuses_damaged_entries(tmp_path, entry, content, expected):
    save(tmp_path / "s.mta", full_system())
    entries = archive_of(tmp_path / "s.mta")
    if content is None:
        del entries[entry]
    else:
        entries[entry] = content
    with pytest.raises(ValueError, match=expected) as error:
        load_system(write_archive(tmp_path / "t.mta", entries))
    assert "\n" not in str(error.value)


def test_load_never_unpickles(tmp_path):
    array = io.BytesIO()
    np.save(array, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    entries = reference_entries(bare_system())
    entries["types.npy"] = array.getvalue()
    with pytest.raises(ValueError, match="an array of Python objects, which are not loaded"):
        load_system(write_archive(tmp_path / "t.mta", entries))


# --- pickles and copies

OBJECTS = {
    "ModelOutput": ModelOutput("", "eV", "atom", ["positions"], "text"),
    "ModelCapabilities": ModelCapabilities({"energy": ModelOutput(unit="eV")}, [1, 8], 4.5, "nm", ["cpu"], "float32"),
    "ModelMetadata": ModelMetadata("n", "d", ["a"], {"model": ["r"]}, {"k": "v"}),
    "NeighborListOptions": NeighborListOptions(3.5, True, False, "someone"),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_pickle_and_copy_of_descriptions(name, duplicate):
    original = OBJECTS[name]
    other = duplicate(original)
    assert other is not original
    assert other == original
    assert vars(other) == vars(original)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_pickle_and_copy_of_evaluation_options(duplicate):
    selected = mts.Labels(["system", "atom"], torch.tensor([[0, 1], [0, 2]]))
    other = duplicate(ModelEvaluationOptions("nm", {"energy": ModelOutput(unit="eV")}, selected))
    assert other.length_unit == "nm"
    assert other.outputs == {"energy": ModelOutput(unit="eV")}
    assert other.selected_atoms == selected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_pickle_and_copy_of_system(duplicate, dtype):
    system = full_system(dtype)
    other = duplicate(system)
    assert_same_system(system, other)
    other.positions[0, 0] = 100.0
    assert float(system.positions[0, 0]) != 100.0


def test_pickle_of_system_keeps_leaves():
    system = bare_system()
    system.positions.requires_grad_(True)
    assert pickle.loads(pickle.dumps(system)).positions.requires_grad
    assert copy.deepcopy(system).positions.requires_grad


def replaced_entry(system, name, content, compression=zipfile.ZIP_STORED):
    """Give the bytes of a system file with another content of an entry, or a further entry."""
    target = io.BytesIO()
    source = io.BytesIO(save_buffer(system).numpy().tobytes())
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.namelist():
            if entry != name:
                new.writestr(entry, old.read(entry))
        new.writestr(name, content)
    return target.getvalue()


HUGE = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 3), }\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("info.json", b'{"version": 1e999}'),
        ("info.json", b"[" * 100_000),
        ("positions.npy", HUGE),
        ("positions.npy", b"\x93NUMPY\x01\x00\x04\x00{'a("),
        ("types.npy", b"\x93NUMPY\x01\x00\x06\x00(((((\n"),
    ],
)
def test_defect_damaged_entries_are_value_errors(name, content):
    small = System(torch.ones(1, dtype=torch.int32), torch.zeros(1, 3), torch.zeros(3, 3), torch.zeros(3).bool())
    with pytest.raises(ValueError, match="expected a system, got the buffer with damaged or wrong data"):
        load_system_buffer(replaced_entry(small, name, content))


def test_defect_bombs_and_pipes_are_refused(tmp_path):
    small = System(torch.ones(1, dtype=torch.int32), torch.zeros(1, 3), torch.zeros(3, 3), torch.zeros(3).bool())
    with pytest.raises(ValueError, match=r"expected at most .* MB in an entry"):
        load_system_buffer(replaced_entry(small, "other", b"0" * 30_000_000, zipfile.ZIP_DEFLATED))
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="which is no regular file"):
            load_system(path)
