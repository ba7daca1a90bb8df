"""Model files: what is written, what is refused and why, and that reading executes nothing."""

import json
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorMap
from models import NoLists, TwoLists, WithInputs, as_map, per_atom_map, structures, system_samples, through_file, wrap

from metatomic_core import (
    AtomisticModel,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
    check_atomistic_model,
    load_atomistic_model,
    read_model_metadata,
)
from metatomic_core.engine import Engine
from metatomic_core.files.header import FORMAT_VERSION
from metatomic_core.foundation import torchscript

HEADER = "metatomic-core.json"
STRUCTURE = structures()["triclinic"]


class NotScriptable(torch.nn.Module):
    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = torch.ones([len(systems), 1])
        for name in sorted({"energy": 1}, key=lambda key: key):
            assert name in globals()
        return {"energy": per_atom_map(energies, systems, "system", None, "energy")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    wrap(TwoLists()).save(path)
    return path


def rewritten(source, target, change):
    """Copy a model file, changing the content of its members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def with_header(source, target, change):
    def edit(name, content):
        if not name.endswith(HEADER):
            return content
        header = json.loads(content)
        change(header)
        return json.dumps(header).encode()

    return rewritten(source, target, edit)


def member_position(path, ending):
    """Give where in the file the content of the first member with this ending starts, and its size."""
    with zipfile.ZipFile(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(ending) and info.file_size > 4)
        with open(path, "rb") as file:
            file.seek(info.header_offset + 26)
            name_length, extra_length = np.frombuffer(file.read(4), dtype="<u2")
        return info.header_offset + 30 + int(name_length) + int(extra_length), info.file_size


def refused(path, message, error=ValueError):
    """Check that each function that reads refuses a file, in one line."""
    for read in (read_model_metadata, check_atomistic_model, load_atomistic_model):
        with pytest.raises(error, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_loaded_model_says_what_the_saved_one_says(saved):
    model, loaded = wrap(TwoLists()), load_atomistic_model(saved)
    assert loaded.capabilities() == model.capabilities()
    assert loaded.metadata() == model.metadata() == read_model_metadata(saved)
    assert loaded.requested_neighbor_lists() == model.requested_neighbor_lists()
    requestors = [options.requestors() for options in loaded.requested_neighbor_lists()]
    assert requestors == [["pairs", "TwoLists"], ["many-body", "TwoLists.many_body"]]
    check_atomistic_model(saved)


def test_file_is_reproducible(saved, tmp_path):
    """The same bytes whenever and wherever it is written."""
    wrap(TwoLists()).save(tmp_path / "other name.pt")
    assert (tmp_path / "other name.pt").read_bytes() == saved.read_bytes()


def test_infinite_interaction_range_is_kept(tmp_path):
    wrap(NoLists(), interaction_range=float("inf")).save(tmp_path / "model.pt")
    assert load_atomistic_model(tmp_path / "model.pt").capabilities().interaction_range == float("inf")


@pytest.mark.parametrize("ending", ["/data/0", ".py", HEADER, "data.pkl", "constants.pkl"])
def test_flipped_byte_is_refused(ending, saved, tmp_path):
    content = bytearray(saved.read_bytes())
    start, size = member_position(saved, ending)
    content[start + size // 2] ^= 0x20
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(content)
    refused(damaged, "expected an intact model file, got .*damaged.pt' with damaged data in")


def test_any_flipped_byte_is_refused_or_harmless(saved, tmp_path):
    """Also in the directory of the archive; nothing but a ValueError of one line, or the same model."""
    content = saved.read_bytes()
    positions = np.random.default_rng(0).integers(0, len(content), 60).tolist()
    # the directory at the end of the file, where errors are of all kinds
    positions += list(range(len(content) - 300, len(content), 3)) + list(range(0, 60, 2))
    damaged = tmp_path / "damaged.pt"
    metadata = read_model_metadata(saved)
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 0xFF
        damaged.write_bytes(changed)
        try:
            assert read_model_metadata(damaged) == metadata
        except ValueError as error:
            assert "damaged.pt" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_truncated_file_is_refused(part, saved, tmp_path):
    content = saved.read_bytes()
    path = tmp_path / "short.pt"
    path.write_bytes(content[: int(part * len(content))])
    refused(path, "expected a whole model file, got .*short.pt', which is truncated or damaged")


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.pt").touch()
    refused(tmp_path / "empty.pt", "empty.pt', which is empty")


def test_missing_file_and_directory_are_refused(tmp_path):
    refused(tmp_path / "none.pt", "none.pt', which does not exist", FileNotFoundError)
    refused(tmp_path, "got the directory")
    with pytest.raises(TypeError, match="expected `path` to be a path, got int"):
        read_model_metadata(3)


def test_foreign_files_are_refused(saved, tmp_path):
    text = tmp_path / "text.pt"
    text.write_text("a model\n")
    refused(text, "which is something else")
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"weights": torch.ones(2)}, checkpoint)
    refused(checkpoint, r"which was written by `torch.save` \(a checkpoint\)")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme", "hello")
    refused(other, "which is another kind of zip archive")
    plain = tmp_path / "plain.pt"
    rewritten(saved, plain, lambda name, content: None if name.endswith(HEADER) else content)
    refused(plain, "TorchScript module without our interface; wrap the module in `AtomisticModel`")
    reference = tmp_path / "reference.pt"
    rewritten(plain, reference, lambda _, content: content)
    with zipfile.ZipFile(reference, "a") as archive:
        archive.writestr("model/extra/metatomic-version", "0.1.19")
    # to load it, metatomic-torch is needed; where that is installed, it finds another module
    loading = "expected the library of metatomic-torch|which holds another module"
    refused(reference, f"which is a model of metatomic-torch; run `metatomic convert .* OUT` first|{loading}")


def test_newer_format_is_refused(saved, tmp_path):
    path = with_header(saved, tmp_path / "new.pt", lambda header: header.update(format_version=99))
    words = "got .* of version 99, written by metatomic-core .*; run `pip install"
    refused(path, f"format version {FORMAT_VERSION}, {words}")


def test_format_of_before_the_first_release_is_refused(saved, tmp_path):
    """Its header has no answers, and its pipeline another signature, which would fail in words of TorchScript."""

    def change(header):
        header.update(format_version=2, capabilities=header.pop("queries"))

    path = with_header(saved, tmp_path / "old.pt", change)
    refused(path, "of version 2, written by a version before .*; export the model again")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("queries"),
        lambda header: header["queries"].update(dtype="float128"),
        lambda header: header["queries"].update(outputs=3),
        lambda header: header["queries"].update(is_local="yes"),
        lambda header: header["queries"].pop("differentiates"),
        lambda header: header["queries"]["outputs"]["energy"].update(n_properties=-1),
        lambda header: header.update(format_version="x"),
        lambda header: header["queries"].update(neighbor_lists=[{"cutoff": -1}]),
        lambda header: header["queries"].update(inputs={"mass": {"color": "red"}}),
    ],
)
def test_damaged_header_is_refused(change, saved, tmp_path):
    refused(with_header(saved, tmp_path / "header.pt", change), "expected a valid header in model file '.*header.pt'")


def test_newer_torch_warns(saved, tmp_path):
    path = with_header(saved, tmp_path / "torch.pt", lambda header: header.update(torch_version="99.1.0a0+git"))
    for read in (check_atomistic_model, load_atomistic_model):
        with pytest.warns(UserWarning, match="got one of torch 99.1.0a0"):
            read(path)
    assert read_model_metadata(path).name == "TwoLists"


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_reading_executes_nothing(saved, tmp_path):
    trap = tmp_path / "trap"

    def poison(name, content):
        if name.endswith("data.pkl"):
            return pickle.dumps(Evil(str(trap)))
        return b"raise SystemExit" if name.endswith(".py") else content

    path = rewritten(saved, tmp_path / "evil.pt", poison)
    assert read_model_metadata(path).name == "TwoLists"
    check_atomistic_model(path)
    with pytest.raises(ValueError, match=r"expected a model file that torch can load, got .*evil.pt") as caught:
        load_atomistic_model(path)
    assert "\n" not in str(caught.value)
    assert not trap.exists()


def test_interrupted_save_leaves_what_was_there(saved, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    target = tmp_path / "model.pt"
    for before in (None, b"an older model"):
        if before is not None:
            target.write_bytes(before)
        with monkeypatch.context() as patch:
            patch.setattr(torchscript, "to_bytes", interrupted)
            with pytest.raises(KeyboardInterrupt):
                wrap(NoLists()).save(target)
        assert [path.name for path in tmp_path.iterdir()] == ([] if before is None else ["model.pt"])
    assert target.read_bytes() == b"an older model"


def test_saved_file_has_usual_permissions(tmp_path):
    path = tmp_path / "model.pt"
    wrap(NoLists()).save(path)
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_save_refuses_wrong_targets(tmp_path):
    model = wrap(NoLists())
    for saving in (model, through_file(model)):
        with pytest.raises(ValueError, match=r"expected the directory of `file` to exist, got .*missing"):
            saving.save(tmp_path / "missing" / "model.pt")
        with pytest.raises(ValueError, match="expected `file` to be a file name, got the directory"):
            saving.save(tmp_path)
        with pytest.raises(TypeError, match="expected `file` to be a path, got NoneType"):
            saving.save(None)
    assert list(tmp_path.iterdir()) == []


def test_export_is_save(tmp_path):
    wrap(NoLists()).export(tmp_path / "one.pt")
    load_atomistic_model(tmp_path / "one.pt").export(tmp_path / "two.pt")
    assert read_model_metadata(tmp_path / "two.pt").name == "NoLists"


def test_loaded_model_is_saved_after_its_file_is_gone(tmp_path):
    wrap(NoLists()).save(tmp_path / "one.pt")
    loaded = load_atomistic_model(tmp_path / "one.pt")
    (tmp_path / "one.pt").unlink()
    loaded.save(tmp_path / "two.pt")
    assert load_atomistic_model(tmp_path / "two.pt").capabilities() == loaded.capabilities()


def test_module_that_does_not_script_is_named(tmp_path):
    model = wrap(NotScriptable(), {"energy": ModelOutput(unit="eV")})
    with pytest.raises(
        RuntimeError, match=r"expected a TorchScript-compatible model, .*test_io.py\", line \d+"
    ) as caught:
        model.save(tmp_path / "model.pt")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class Dropout(torch.nn.Module):
    """Compiles if the probability is a number with a point."""

    def __init__(self, probability):
        super().__init__()
        self.probability = probability

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        values = torch.nn.functional.dropout(torch.ones([len(systems), 1]), self.probability, False)
        return {"energy": as_map(values.to(torch.float64), system_samples(systems), [], "energy")}


def test_defect_compilation_error_keeps_its_reason_also_the_second_time(tmp_path):
    """It was the signature alone, and then "Can't redefine method" until Python was started again."""
    energy = {"energy": ModelOutput(unit="eV", sample_kind="system")}
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"for argument 'p' but instead found type 'int' .File .*test_io.py"):
            wrap(Dropout(1), energy).save(tmp_path / "model.pt")
    wrap(NoLists()).save(tmp_path / "other.pt")
    wrap(Dropout(0.5), energy).save(tmp_path / "model.pt")


class Fails(torch.nn.Module):
    """Fails in a way of its own: compiled only, everywhere, without neighbors, or by refusing."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        values = torch.zeros([len(systems), 1], dtype=torch.float64)
        n_pairs = len(systems[0].get_neighbor_list(NeighborListOptions(3.0, True, True)).samples)
        if (self.how == "compiled" and torch.jit.is_scripting()) or self.how == "always":
            values = values[:, 7]
        if self.how == "lonely" and n_pairs == 0:
            values = values[:, 7]
        if self.how == "refuses":
            raise ValueError("expected a crystal, got something else")
        return {"energy": as_map(values, system_samples(systems), [], "energy")}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]


ENERGY = {"energy": ModelOutput(unit="eV", sample_kind="system")}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "compiled",
            r"a compiled model that runs where it does in Python, got an error of the compiled one for two atoms",
        ),
        (
            "always",
            r"expected a model that runs, got its own error for two atoms: IndexError: index 7 is out of bounds",
        ),
    ],
)
def test_save_refuses_a_model_that_fails_when_it_runs(how, message, tmp_path):
    with pytest.raises(RuntimeError, match=message) as caught:
        wrap(Fails(how), ENERGY).save(tmp_path / "model.pt", collect_extensions=tmp_path / "collected")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_save_warns_of_a_model_that_fails_on_some_structures(tmp_path):
    with pytest.warns(UserWarning, match="got its own error for one atom without neighbors: IndexError") as record:
        wrap(Fails("lonely"), ENERGY).save(tmp_path / "model.pt")
    assert record[0].filename == __file__
    assert read_model_metadata(tmp_path / "model.pt").name == "Fails"


@pytest.mark.parametrize("length_unit", ["angstrom", "bohr", "nm", "m"])
def test_save_takes_a_model_that_refuses_structures_or_has_other_units(length_unit, tmp_path):
    wrap(Fails("refuses"), ENERGY, length_unit=length_unit).save(tmp_path / "model.pt")
    wrap(TwoLists(), length_unit=length_unit).save(tmp_path / "other.pt")


def test_save_gives_inputs_and_keeps_the_state_of_random_numbers(tmp_path):
    state = torch.random.get_rng_state()
    wrap(WithInputs(), ENERGY).save(tmp_path / "model.pt")
    assert torch.equal(torch.random.get_rng_state(), state)


SOURCE = """
from typing import Dict, List, Optional
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic_core import (
    AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
)

class Private(torch.nn.Module):
    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            r = system.get_neighbor_list(NeighborListOptions(3.0, True, True)).values.square().sum(1).sqrt()
            energies.append(torch.exp(-r / 0.7).sum())
        samples = Labels(["system"], torch.arange(len(systems)).reshape(-1, 1))
        zero = torch.tensor([[0]])
        block = TensorBlock(torch.stack(energies).unsqueeze(1), samples, [], Labels(["energy"], zero))
        return {"energy": TensorMap(Labels(["_"], zero), [block])}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]

def make():
    capabilities = ModelCapabilities(
        {"energy": ModelOutput(unit="eV")}, [1, 6, 8, 14], 3.0, "angstrom", ["cpu"], "float64"
    )
    return AtomisticModel(Private().eval(), ModelMetadata("private"), capabilities)
"""

COMMON = """
import sys
import numpy as np
from metatomic_core.engine import Engine, Structure
def show(model):
    rng = np.random.default_rng(3)
    structure = Structure(np.full(8, 14), rng.uniform(0, 5, (8, 3)), 5.0 * np.eye(3), np.ones(3, dtype=bool))
    result = Engine(model, length_unit="angstrom", energy_unit="eV").evaluate([structure], ["energy", "forces"])
    print(float(result.energy[0]).hex(), " ".join(float(x).hex() for x in result.forces.ravel()))
"""


def run_python(code, folder, **environment):
    # warnings of torch about TorchScript are not ours
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_file_runs_in_process_without_source(tmp_path):
    """Identical to the last bit in a process that can not import the module."""
    writer, reader = tmp_path / "writer", tmp_path / "reader"
    writer.mkdir()
    reader.mkdir()
    (writer / "private_model.py").write_text(SOURCE)
    first = run_python(
        COMMON
        + "from private_model import make\nmodel = make()\nshow(model)\n"
        + "from metatomic_core import load_atomistic_model\n"
        + f"model.save({str(reader / 'model.pt')!r})\nshow(load_atomistic_model({str(reader / 'model.pt')!r}))\n",
        writer,
    )
    assert first.returncode == 0, first.stderr
    second = run_python(COMMON + "show('model.pt')\nassert 'private_model' not in sys.modules\n", reader)
    assert second.returncode == 0, second.stderr
    eager, loaded = first.stdout.splitlines()
    assert second.stdout.splitlines() == [loaded]
    assert eager == loaded


def test_save_without_torchscript_is_refused(tmp_path):
    (tmp_path / "private_model.py").write_text(SOURCE)
    result = run_python("from private_model import make\nmake().save('model.pt')", tmp_path, PYTORCH_JIT="0")
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last == "RuntimeError: expected TorchScript to be enabled to save a model, got PYTORCH_JIT=0; unset it"


def test_metadata_of_all_kinds_is_kept(tmp_path):
    metadata = ModelMetadata(
        name='Näme "quoted"\n二',
        description="a\tb " + "x" * 300,
        authors=["Å. Author <a@b.org>"],
        references={"model": ["https://example.org/" + "y" * 200]},
        extra={"key": "{}"},
    )
    model = wrap(NoLists())
    AtomisticModel(model, metadata, model.capabilities()).save(tmp_path / "model.pt")
    assert read_model_metadata(tmp_path / "model.pt") == metadata
    assert load_atomistic_model(str(tmp_path / "model.pt")).script.metadata().name == metadata.name


def test_engine_takes_paths_and_scripted_models(saved):
    expected = None
    for model in (saved, str(saved), load_atomistic_model(Path(saved)).script, wrap(TwoLists())):
        energy = Engine(model, length_unit="angstrom", energy_unit="eV").evaluate([STRUCTURE]).energy
        expected = energy if expected is None else expected
        np.testing.assert_array_equal(energy, expected)


# --- files that were made to do harm


def with_entry(source, target, name, content, compression=zipfile.ZIP_DEFLATED):
    """Copy a model file with one more entry, or another content of one."""
    rewritten(source, target, lambda known, old: None if known.endswith(name) else old)
    with zipfile.ZipFile(target, "a", compression) as archive:
        archive.writestr(f"archive/{name}", content)
    return target


@pytest.mark.parametrize(
    ("name", "content", "compression", "message"),
    [
        (f"extra/{HEADER}", b" " * 40_000_000, zipfile.ZIP_DEFLATED, "expected at most .* MB in an entry of"),
        (f"extra/{HEADER}", b" " * 17_000_000, zipfile.ZIP_STORED, "expected at most 16 MB in an entry of"),
        ("data/999", b"\0" * 40_000_000, zipfile.ZIP_DEFLATED, "got 40 MB in 'archive/data/999' of"),
        (f"extra/{HEADER}", b"[" * 100_000, zipfile.ZIP_STORED, "expected a valid header in model file"),
        (f"extra/{HEADER}", b'{"format_version": 1e999}', zipfile.ZIP_STORED, "expected a valid header in model file"),
    ],
)
def test_defect_bombs_are_refused(name, content, compression, message, saved, tmp_path):
    """A file of one megabyte took gigabytes of memory; deep nesting and huge numbers were errors of other kinds."""
    refused(with_entry(saved, tmp_path / "bomb.pt", name, content, compression), message)


def test_defect_huge_number_in_header_is_refused(saved, tmp_path):
    def change(header):
        header["queries"]["interaction_range"] = 10**400

    refused(with_header(saved, tmp_path / "huge.pt", change), "expected a valid header in model file")


def test_defect_pipe_and_device_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "which is no regular file")
    refused(Path("/dev/zero"), "which is no regular file")


def test_defect_file_is_opened_and_checked_once(saved, monkeypatch):
    opened, checked = [], []
    original_open, original_test = zipfile.ZipFile.__init__, zipfile.ZipFile.testzip
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda *a, **k: (opened.append(1), original_open(*a, **k))[1])
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda *a: (checked.append(1), original_test(*a))[1])
    load_atomistic_model(saved)
    assert (len(opened), len(checked)) == (1, 1)


def test_defect_code_that_is_no_text_names_the_file(saved, tmp_path):
    def damage(name, content):
        return content.replace(b"def forward", b"def f\xff\xferward") if name.endswith(".py") else content

    with pytest.raises(ValueError, match=r"expected a model file that torch can load, got .*code.pt'"):
        load_atomistic_model(rewritten(saved, tmp_path / "code.pt", damage))


def test_defect_pickled_model_is_found_from_another_directory(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(saved.parent)
    stored = pickle.dumps(load_atomistic_model(saved.name, str(tmp_path)).to("meta"))
    monkeypatch.chdir(tmp_path)
    model = pickle.loads(stored)
    assert {tensor.device.type for tensor in model.script.buffers()} == {"meta"}
    assert model.origin == (saved.resolve(), tmp_path.resolve())
