"""The C++ example program, which needs libtorch only, gives what Python gives."""

import shutil
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from cpp_program import RESULTS, compiled, libraries, printed, run, write_structure

from metatomic_core import load_atomistic_model
from metatomic_core.neighbor_lists import NeighborLists

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks for libraries as Linux names them"),
    pytest.mark.skipif(
        shutil.which("cmake") is None or shutil.which("c++") is None, reason="needs CMake and a C++ compiler"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The compiled example."""
    return compiled(tmp_path_factory.mktemp("cpp"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model with a full and a half neighbor list, in odd units."""
    path = tmp_path_factory.mktemp("model") / "model.pt"
    nm_kj = models.wrap(models.TwoLists(96.0, 0.1), energy_unit="kJ/mol", length_unit="nm", interaction_range=0.4)
    nm_kj.save(str(path))
    return path


def evaluated(path, structure):
    """The same in Python, with pairs from vesin."""
    model = load_atomistic_model(path)
    tensors = {name: torch.as_tensor(getattr(structure, name)) for name in ("types", "positions", "cell", "pbc")}
    lists = NeighborLists(model.script.pair_requests("angstrom"), 0.0)
    pairs = lists.compute(tensors["positions"], tensors["cell"], tensors["pbc"])[0]
    results = model.evaluate([tensors], [pairs], None, RESULTS, {}, {"engine": {"length": "angstrom", "energy": "eV"}})[
        0
    ]
    return {name: values.numpy() for name, values in results.items()}


@pytest.mark.parametrize("name", ["triclinic", "slab", "wire", "molecule", "one atom", "isolated atom", "small cell"])
def test_cpp_example_agrees_with_python(program, exported, tmp_path, name):
    structure = models.structures()[name]
    result = run(program, exported, write_structure(tmp_path / "structure.txt", structure), *libraries())
    assert (result.returncode, result.stderr) == (0, "")
    got, expected = printed(result.stdout), evaluated(exported, structure)
    assert set(got) == set(expected) == set(RESULTS)
    # all but the isolated atom have pairs
    assert (np.abs(expected["energy"]).max() > 1e-5) == (name != "isolated atom")
    for key, values in expected.items():
        scale = max(1.0, np.abs(values).max())
        np.testing.assert_allclose(got[key], values.reshape(got[key].shape), rtol=0, atol=1e-12 * scale, err_msg=key)


def test_cpp_example_prints_one_line_on_errors(program, exported, tmp_path):
    structure = models.structures()["molecule"]
    good = write_structure(tmp_path / "good.txt", structure)
    structure.types = np.full_like(structure.types, 92)
    unknown = write_structure(tmp_path / "unknown.txt", structure)
    for arguments, expected in [
        ((exported, unknown, *libraries()), "expected atomic types that this model knows, [1, 6, 8, 14], got type 92"),
        ((exported, tmp_path / "none.txt", *libraries()), "expected a structure, got an unreadable file"),
        ((exported, good, "/nowhere/lib.so"), "/nowhere/lib.so: cannot open shared object file"),
        ((exported, good, libraries()[0]), "Unknown type name '__torch__.torch.classes.metatensor."),
        ((tmp_path / "none.pt", good, *libraries()), "open file failed"),
        ((exported, good), "expected MODEL STRUCTURE LIBRARY..., got fewer arguments"),
    ]:
        result = run(program, *arguments)
        assert result.returncode == 1, expected
        assert result.stdout == ""
        assert result.stderr.startswith(f"error: {expected}")
        assert result.stderr.count("\n") == 1
