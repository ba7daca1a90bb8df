"""What a file is of is found without executing anything in it."""

import dataclasses
import os
import pickle
import zipfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import fail
from text_potentials import install

from metatomic_core.potentials import lennard_jones
from metatomic_importers.checkpoints import checked_checkpoint
from metatomic_importers.contents import contents_of

OTHER = """
import dataclasses
from toy_family import FAMILY

def fails(contents):
    raise KeyError("inside")

other = dataclasses.replace(FAMILY, name="other", recognises=lambda contents: contents.has_module("fractions"))
asking = dataclasses.replace(FAMILY, name="asking", recognises=fails)
"""


class Malicious:
    """Makes a directory when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def save_zip(content, path):
    torch.save(content, path)


def save_zip_of_protocol_4(content, path):
    torch.save(content, path, pickle_protocol=4)


def save_legacy(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_legacy_of_protocol_4(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False, pickle_protocol=4)


def save_pickle(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))


def save_pickle_of_protocol_0(content, path):
    path.write_bytes(pickle.dumps(content, protocol=0))


def save_pickle_of_protocol_4(content, path):
    path.write_bytes(pickle.dumps(content, protocol=4))


SAVE = {
    function.__name__.removeprefix("save_"): function
    for function in (
        save_zip,
        save_zip_of_protocol_4,
        save_legacy,
        save_legacy_of_protocol_4,
        save_pickle,
        save_pickle_of_protocol_0,
        save_pickle_of_protocol_4,
    )
}


@pytest.fixture(params=SAVE)
def save(request):
    return SAVE[request.param]


@pytest.fixture
def others(toy, monkeypatch, tmp_path):
    """Two more families: one of files with fractions, and one that fails whatever it is asked."""
    entries = {"other": "other_families:other", "asking": "other_families:asking", "gone": "no_such_module:x"}
    install(monkeypatch, tmp_path, {"metatomic.importers": entries}, {"other_families": OTHER}, "other-families")


def test_modules_and_names_are_found_in_all_formats(save, tmp_path):
    content = {"format": "some-net", "values": [Fraction(1, 2), OrderedDict(a=Fraction(1, 3))], "long": "x" * 300}
    content["again"] = [torch.nn.Linear(1, 1).double(), torch.nn.SiLU(), np.dtype("int32")]
    save(content, tmp_path / "file")
    found = contents_of(tmp_path / "file")
    assert {"format", "some-net", "values", "a", "again", "weight"} <= found.names
    assert not any(len(name) > 200 for name in found.names)
    assert {"fractions", "collections", "torch.nn.modules.linear", "torch.nn.modules.activation"} <= found.modules
    # names of classes and keys of dictionaries are not modules
    assert not {"format", "some-net", "values", "Fraction", "SiLU", "again", "training", ""} & found.modules
    assert found.has_module("torch")
    assert found.has_module("torch.nn")
    assert not found.has_module("tor")
    assert not found.is_torchscript()
    assert not found.is_model_file()


def test_class_of_a_module_that_was_named_before_is_of_that_module(tmp_path):
    # the second class takes the name of the module from what the pickle keeps, after texts of other kinds
    save_pickle_of_protocol_4([torch.nn.ReLU(), {"mace": "nequip"}, torch.nn.Tanh()], tmp_path / "file")
    found = contents_of(tmp_path / "file")
    assert "torch.nn.modules.activation" in found.modules
    assert not {"mace", "nequip"} & found.modules


def test_nothing_is_executed(save, toy, tmp_path):
    made = tmp_path / "made"
    save({"format": "some-net", "weights": Malicious(made)}, tmp_path / "file")
    assert contents_of(tmp_path / "file").has_module("posix")
    assert "nothing says that it is one" in fail("import", "toy", tmp_path / "file", "-o", tmp_path / "out.pt")
    assert not made.exists()


def test_compiled_modules_and_model_files_are_told_apart(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "linear.pt"))
    found = contents_of(tmp_path / "linear.pt")
    assert found.is_torchscript()
    assert not found.is_model_file()
    lennard_jones().save(str(tmp_path / "argon.pt"))
    assert contents_of(tmp_path / "argon.pt").is_model_file()


def test_checkpoint_of_the_family_is_found(save, toy, tmp_path, monkeypatch):
    save({"format": "toy-morse"}, tmp_path / "file.ckpt")
    assert checked_checkpoint(toy.FAMILY, str(tmp_path / "file.ckpt")) == tmp_path / "file.ckpt"
    monkeypatch.chdir(tmp_path)
    assert checked_checkpoint(toy.FAMILY, "file.ckpt").resolve() == tmp_path / "file.ckpt"


def message_for(family, checkpoint):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (what it says is looked at by those who call)
        checked_checkpoint(family, str(checkpoint))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_model_file_is_none(toy, tmp_path):
    lennard_jones().save(str(tmp_path / "argon.pt"))
    assert message_for(toy.FAMILY, tmp_path / "argon.pt").endswith(
        f"which is a model file already; run `metatomic inspect {tmp_path / 'argon.pt'}`"
    )


def test_checkpoint_of_another_family_is_named(others, toy, save, tmp_path):
    save({"format": "some-net", "half": Fraction(1, 2)}, tmp_path / "file")
    assert message_for(toy.FAMILY, tmp_path / "file") == (
        f"expected a checkpoint of toy, got '{tmp_path / 'file'}', which is one of other; "
        f"run `metatomic import other {tmp_path / 'file'}`"
    )


GARBAGE = {
    "empty": b"",
    "text": b"version https://git-lfs.github.com/spec/v1\n",
    "zeros": bytes(3000),
    "random": np.random.default_rng(0).bytes(3000),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "pickle that ends early": pickle.dumps({"a": ["text"] * 20})[:30],
    "opcode of an endless text": b"\x80\x04\x8d" + b"\xff" * 8,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_file_that_is_nothing_of_the_kind(name, others, toy, tmp_path):
    (tmp_path / "file").write_bytes(GARBAGE[name])
    assert message_for(toy.FAMILY, tmp_path / "file").endswith("in which nothing says that it is one")


def test_archive_without_a_pickle(toy, tmp_path):
    with zipfile.ZipFile(tmp_path / "file.zip", "w") as archive:
        archive.writestr("readme.txt", "toy-morse")
    assert message_for(toy.FAMILY, tmp_path / "file.zip").endswith("in which nothing says that it is one")
    assert contents_of(tmp_path / "file.zip").entries == {"readme.txt"}


def test_damaged_archives(checkpoint, toy, tmp_path):
    content = checkpoint.read_bytes()
    (tmp_path / "cut").write_bytes(content[:-100])
    assert "an archive that can not be read: its end is missing; copy it again" in message_for(
        toy.FAMILY, tmp_path / "cut"
    )
    changed = bytearray(content)
    changed[content.index(b"toy-morse")] ^= 1
    (tmp_path / "changed").write_bytes(changed)
    assert "an archive that can not be read: Bad CRC-32" in message_for(toy.FAMILY, tmp_path / "changed")


def shipping(family, *names):
    return dataclasses.replace(family, shipped=lambda: dict.fromkeys(names, __file__))


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("no.ckpt", "expected a checkpoint file of toy, got 'no.ckpt', which is not there"),
        ("", "expected a checkpoint file of toy, got '', which is a directory"),
        ("{tmp}", "expected a checkpoint file of toy, got '{tmp}', which is a directory"),
        ("{tmp}/no/no.ckpt", "expected a checkpoint file of toy, got '{tmp}/no/no.ckpt', which is not there"),
    ],
)
def test_file_that_is_not_there(checkpoint, message, toy, tmp_path):
    assert message_for(toy.FAMILY, checkpoint.format(tmp=tmp_path)) == message.format(tmp=tmp_path)
    with pytest.raises(ValueError, match=r"expected a checkpoint file, got .*, which is not there"):
        contents_of(Path("no.ckpt"))


def test_names_of_checkpoints_that_come_with_the_package(toy):
    family = shipping(toy.FAMILY, "toy-0", "toy-l3i5", "0.3.0")
    assert checked_checkpoint(family, "toy-0") == __file__
    assert message_for(family, "toy-l3i6") == (
        "expected `checkpoint` to be one of 'toy-0', 'toy-l3i5', '0.3.0', got 'toy-l3i6'; did you mean 'toy-l3i5'"
    )
    assert message_for(family, "0.4.0") == (
        "expected a checkpoint file of toy, or one of toy-0, toy-l3i5, 0.3.0, got '0.4.0', which is not there"
    )
    assert "or one of toy-0" in message_for(family, "folder/toy-0")
