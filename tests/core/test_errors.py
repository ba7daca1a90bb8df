"""Errors that code written for metatomic-torch catches, by the types that it knows them by."""

from typing import Dict

import pytest
import torch
from models import NoLists, wrap

from metatomic_core import (
    ModelOutput,
    check_atomistic_model,
    load_atomistic_model,
    load_model_extensions,
    load_system,
    load_system_buffer,
    pick_device,
    read_model_metadata,
)


@pytest.fixture
def junk(tmp_path):
    path = tmp_path / "junk.mta"
    path.write_bytes(b"not a zip archive")
    return path


READERS = [load_atomistic_model, check_atomistic_model, read_model_metadata, load_system]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_file_that_is_something_else(read, kind, junk):
    with pytest.raises(kind, match="expected a"):
        read(junk)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError])
def test_file_that_does_not_exist(read, kind, tmp_path):
    with pytest.raises(kind, match="which does not exist"):
        read(tmp_path / "absent.mta")


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_buffer_that_is_something_else(kind):
    with pytest.raises(kind, match="expected a system, got the buffer"):
        load_system_buffer(torch.ones(8, dtype=torch.uint8))


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_device_that_is_not_there(kind):
    for arguments in [(["cpu"], "cuda"), ([], None), (["cpu", "cuda"], "gpu")]:
        with pytest.raises(kind, match="expected"):
            pick_device(*arguments)
    assert pick_device(model_devices=["cpu"], requested_device=None) == "cpu"


class Wants(NoLists):
    def __init__(self, unit: str):
        super().__init__()
        self.unit = unit
        self.child = torch.nn.Identity()

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {"mass": ModelOutput(unit=self.unit, sample_kind="atom")}


@pytest.mark.parametrize("kind", [NotImplementedError, ValueError])
def test_inputs_that_contradict_each_other(kind):
    module = Wants("u")
    module.child = Wants("kg")
    with pytest.raises(kind, match="expected all requests of input 'mass' to agree"):
        wrap(module)


@pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError])
def test_extensions_of_a_file_that_does_not_exist(kind, tmp_path):
    with pytest.raises(kind, match="which does not exist"):
        load_model_extensions(tmp_path / "absent.pt", None)
