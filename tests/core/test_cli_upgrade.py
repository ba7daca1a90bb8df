"""``metatomic upgrade``: the same model with today's pipeline and header."""

import json
import os
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from command_line import fail, succeed

from metatomic_core import load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.files.header import HEADER_FILE
from metatomic_core.foundation import torchscript
from metatomic_core.neighbor_lists import NeighborLists
from metatomic_core.potentials import lennard_jones


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "argon.pt"
    lennard_jones().save(path)
    return path


def changed(source, target, change_header=lambda header: None, change_code=lambda code: code):
    """Copy a model file with another header, or other code."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(HEADER_FILE):
                header = json.loads(content)
                change_header(header)
                content = json.dumps(header).encode()
            elif name.endswith(".py"):
                content = change_code(content)
            if not name.endswith(".debug_pkl"):
                new.writestr(name, content)
    return target


def older(header):
    header.update(core_version="0.0.1", torch_version="2.4.0")
    header["metadata"].update(name="kept", authors=["somebody"])
    header["queries"].update(is_local=None)
    header["queries"]["outputs"]["energy"].update(n_properties=None)


def test_file_of_an_older_version_is_written_again(saved, tmp_path):
    path = changed(saved, tmp_path / "old.pt", older)
    path.chmod(0o600)
    assert succeed("upgrade", path).stdout.startswith(f"upgraded {path}: from metatomic-core 0.0.1 to metatomic-core ")
    header, fresh = (load_atomistic_model(each).header for each in (path, saved))
    assert (header.metadata.name, header.metadata.authors) == ("kept", ["somebody"])
    header.metadata = fresh.metadata
    assert header == fresh
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["old.pt"]
    # and never again
    content = path.read_bytes()
    assert succeed("upgrade", path).stdout.startswith(f"nothing had to be changed: {path} is as metatomic-core ")
    assert path.read_bytes() == content


def test_file_of_this_version_is_left_alone(saved):
    content, time = saved.read_bytes(), saved.stat().st_mtime_ns
    data = json.loads(succeed("upgrade", saved, "--json").stdout)
    assert (data["file"], data["changed"]) == (str(saved), False)
    assert data["before"] == data["after"]
    assert (saved.read_bytes(), saved.stat().st_mtime_ns) == (content, time)


def test_output_and_link(saved, tmp_path):
    path = changed(saved, tmp_path / "old.pt", older)
    content = path.read_bytes()
    data = json.loads(succeed("upgrade", path, "-o", tmp_path / "new.pt", "--json").stdout)
    assert data["changed"]
    assert data["before"]["core_version"] == "0.0.1"
    assert data["after"]["core_version"] == load_atomistic_model(tmp_path / "new.pt").header.core_version
    assert path.read_bytes() == content
    assert "which exists" in fail("upgrade", path, "-o", tmp_path / "new.pt")
    os.symlink(path, tmp_path / "link.pt")
    succeed("upgrade", tmp_path / "link.pt")
    assert (tmp_path / "link.pt").is_symlink()
    assert path.read_bytes() != content


def test_what_is_no_model_is_refused(saved, tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    assert "which is something else" in fail("upgrade", tmp_path / "text.pt")
    assert "which does not exist" in fail("upgrade", tmp_path / "none.pt")
    old = changed(saved, tmp_path / "old.pt", lambda header: header.update(format_version=2))
    assert "export the model again" in fail("upgrade", old)
    assert (tmp_path / "text.pt").read_text() == "hello"


# the sign of all forces turned round, as a mistake in a release would have done
BROKEN = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import metatomic_core.pipeline.derivatives as derivatives
source = Path(derivatives.__file__)
text = source.read_text()
assert text.count('results["forces"] = -dpositions') == 1
text = text.replace('results["forces"] = -dpositions', 'results["forces"] = dpositions')
# TorchScript reads the source of functions from their file
Path(sys.argv[2]).write_text(text)
exec(compile(text, sys.argv[2], "exec"), vars(derivatives))
import metatomic_core.pipeline.derive as derive
derive.derivatives = derivatives.derivatives
from metatomic_core.potentials import lennard_jones
lennard_jones().save(sys.argv[1])
"""


def test_a_mended_pipeline_reaches_files_that_exist(saved, tmp_path):
    """Oracle: the file that the installed pipeline wrote, and the one in the broken file, called as C++ would."""
    path = tmp_path / "broken.pt"
    arguments = [sys.executable, "-W", "ignore", "-c", BROKEN, str(path), str(tmp_path / "broken.py")]
    subprocess.run(arguments, check=True)
    atoms = Structure(np.full(2, 18), np.array([[0.0, 0, 0], [3.5, 0.4, 0]]), np.zeros((3, 3)), np.zeros(3, bool))

    def forces(model):
        engine = Engine(model, length_unit="angstrom", energy_unit="eV")
        return engine.evaluate([atoms], ["forces"]).forces

    def forces_of_file(file):
        lists = NeighborLists([(lennard_jones().requested_neighbor_lists()[0].cutoff, False, True)], 0.0)
        tensors = {name: torch.tensor(getattr(atoms, name)) for name in ("types", "positions", "cell", "pbc")}
        pairs = lists.compute(tensors["positions"], tensors["cell"], tensors["pbc"])[0]
        units = {"engine": {"length": "angstrom", "energy": "eV"}}
        script = torchscript.load(str(file))
        return script.evaluate([tensors], [pairs], None, {"forces": "energy"}, {}, units)[0]["forces"].numpy()

    expected = forces(saved)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(forces_of_file(path), -expected, rtol=1e-12)
    np.testing.assert_allclose(forces(path), expected, rtol=1e-12)
    assert succeed("upgrade", path).stdout.startswith(f"upgraded {path}: code and header are now those of this ")
    np.testing.assert_allclose(forces_of_file(path), expected, rtol=1e-12)
    np.testing.assert_allclose(forces(path), expected, rtol=1e-12)
    assert succeed("upgrade", path).stdout.startswith("nothing had to be changed")
