"""What can not be read or converted is refused, with the reason; extensions; what is imported and installed."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys
import zipfile

import metatomic.torch as reference
import numpy as np
import pytest
from models import NoLists, wrap
from reference_cases import DATA, convert
from reference_models import everything
from text_potentials import install_text_potentials

import metatomic_ase
import metatomic_core as core
from metatomic_core import ModelOutput, load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.foreign import reference_files
from metatomic_core.foreign.reference_units import check_same_unit

TRAINED = DATA / "pet-cuau.pt"
# writes a file of the reference whose model uses an extension, and collects that
WITH_EXTENSION = """
import sys
from typing import Dict, List, Optional
import metatomic.torch as reference
import torch
import vesin_torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, System

class UsesVesin(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.neighbors = vesin_torch.NeighborList(3.0, False)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        system = systems[0]
        distances = self.neighbors.compute(system.positions, system.cell, system.pbc, "d")[0]
        zero = torch.tensor([[0]])
        values = distances.square().sum().reshape(1, 1)
        block = TensorBlock(values, Labels(["system"], zero), [], Labels(["energy"], zero))
        return {"energy": TensorMap(Labels(["_"], zero), [block])}

capabilities = reference.ModelCapabilities(
    {"energy": ModelOutput(unit="eV")}, [1], 3.0, "angstrom", ["cpu"], "float64"
)
model = reference.AtomisticModel(UsesVesin().eval(), reference.ModelMetadata("vesin"), capabilities)
model.save(sys.argv[1] + "/vesin.pt", sys.argv[1] + "/collected")
"""


def refused(path, *parts, kind=ValueError):
    with pytest.raises(kind) as error:
        load_atomistic_model(path)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def changed(path, folder, **extra):
    """Copy a file of the reference with other extra files; None leaves one out."""
    changed = folder / "changed.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
        for entry in source.infolist():
            name = entry.filename.partition("/extra/")[2].replace("-", "_")
            content = extra.get(name, source.read(entry))
            if content is not None:
                target.writestr(entry.filename, content)
    return changed


def exported(folder, **outputs):
    """Save a model of ours that offers these outputs."""
    wrap(NoLists(), {"energy": ModelOutput(unit="eV", sample_kind="atom"), **outputs}).save(folder / "ours.pt")
    return folder / "ours.pt"


def test_file_of_another_series(tmp_path):
    path = changed(TRAINED, tmp_path, metatomic_version=b"0.2.3")
    refused(path, "expected a model of metatomic-torch", "of version 0.1, got 0.2.3")


def test_file_of_the_predecessor(tmp_path):
    path = changed(TRAINED, tmp_path, metatomic_version=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/extra/metatensor-version", "0.7.6")
    refused(path, "which is a model of metatensor-torch", "export the model again")


def test_damaged_file(tmp_path):
    path = tmp_path / "short.pt"
    path.write_bytes(TRAINED.read_bytes()[:-2000])
    refused(path, "truncated or damaged")
    code = [name for name in zipfile.ZipFile(TRAINED).namelist() if name.endswith("data.pkl")][0]
    broken = tmp_path / "broken.pt"
    with zipfile.ZipFile(TRAINED) as source, zipfile.ZipFile(broken, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, b"" if entry.filename == code else source.read(entry))
    refused(broken, "expected a model file that torch can load")


def test_library_is_not_installed(monkeypatch):
    monkeypatch.setattr(reference_files, "is_registered", lambda name: False)
    monkeypatch.setattr(reference_files, "find_in_distribution", lambda distribution, name: ([], None))
    refused(TRAINED, "expected the library of metatomic-torch", "pip install 'metatomic-torch==0.1.*'")


def test_installed_library_is_of_another_series(monkeypatch):
    monkeypatch.setattr(reference_files, "SERIES", "0.3")
    refused(TRAINED, "of version 0.3, got 0.1")


def test_installed_library_is_older(monkeypatch):
    monkeypatch.setattr(reference_files, "OLDEST", (0, 1, 200))
    refused(TRAINED, "expected metatomic-torch 0.1.200 or newer, got 0.1.", "--upgrade")


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")
def test_unit_that_means_something_else(tmp_path):
    outputs = {"energy": reference.ModelOutput(unit="MeV", sample_kind="atom")}
    everything(outputs=outputs).save(tmp_path / "model.pt")
    refused(tmp_path / "model.pt", "for 'energy', got 'MeV', which is 1.602177e-13 and 1.602177e-22 in SI units")


COMMON = "eV meV kcal/mol hartree eV/A kJ/mol/nm^3 GPa u g/mol angstrom bohr angstrom/fs (eV*u)^(1/2) e debye K hbar"


@pytest.mark.parametrize("unit", COMMON.split())
def test_common_units_are_the_same(unit):
    check_same_unit("x", unit)


@pytest.mark.parametrize(
    ("name", "output", "reason"),
    [
        ("dipole", ModelOutput(unit="e*angstrom"), "got 'dipole'; export the model with 'domain::dipole'"),
        ("tests::length", ModelOutput(unit="Å"), "expected a unit that metatomic-torch knows for 'tests::length'"),
        ("tests::energy", ModelOutput(unit="mPa"), "the same in metatomic-core and metatomic-torch"),
    ],
)
def test_output_that_the_reference_has_no_word_for(name, output, reason, tmp_path):
    path = exported(tmp_path, **{name: output})
    with pytest.raises(ValueError, match=reason):
        convert(path, tmp_path / "out.pt", "metatomic-torch")
    assert not (tmp_path / "out.pt").exists()


def test_metadata_that_the_reference_can_not_print(tmp_path):
    model = wrap(NoLists())
    model.metadata().references["model"] = ["https://example.org/" + 100 * "x"]
    model.save(tmp_path / "ours.pt")
    with pytest.warns(UserWarning, match="expected metadata that metatomic-torch can print"):
        convert(tmp_path / "ours.pt", tmp_path / "out.pt", "metatomic-torch")
    assert reference.load_atomistic_model(tmp_path / "out.pt").metadata().references == model.metadata().references


def test_files_that_are_there_already(tmp_path):
    with pytest.raises(ValueError, match="which is one of metatomic-torch already"):
        convert(TRAINED, tmp_path / "out.pt", "metatomic-torch")
    with pytest.raises(ValueError, match="which is one of metatomic-core already"):
        convert(exported(tmp_path), tmp_path / "out.pt")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "none.pt", tmp_path / "out.pt")
    with pytest.raises(ValueError, match="metatomic convert"):
        core.check_atomistic_model(TRAINED)


def test_format_of_another_package_becomes_a_file_of_the_reference(tmp_path, monkeypatch):
    """Its reader gives a model made in Python, which is compiled and has no file."""
    convert(install_text_potentials(monkeypatch, tmp_path), tmp_path / "out.pt", "metatomic-torch")
    structure = Structure(np.full(2, 18), np.array([[0.0, 0, 0], [1, 2, 3]]), np.zeros((3, 3)), np.zeros(3, dtype=bool))
    energies = [
        Engine(model, length_unit="angstrom", energy_unit="eV").evaluate([structure]).energy
        for model in (tmp_path / "argon.txt", tmp_path / "out.pt")
    ]
    np.testing.assert_allclose(energies[0], energies[1], rtol=1e-12)
    assert (energies[0] < 0).all()


def test_pipeline_of_the_file_does_not_matter(tmp_path):
    """What is written has the installed pipeline, also if that of the file has no entry that keeps the graph."""
    path = exported(tmp_path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "old.pt", "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith(".py"):
                content = content.replace(b"def compute(", b"def compute_later(")
            if not entry.filename.endswith("debug_pkl"):
                target.writestr(entry.filename, content)
    convert(tmp_path / "old.pt", tmp_path / "out.pt", "metatomic-torch")
    written = load_atomistic_model(tmp_path / "out.pt")
    assert written.requested_neighbor_lists() == load_atomistic_model(path).requested_neighbor_lists()


@pytest.fixture(scope="module")
def with_extension(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extension")
    # TorchScript wants the source of classes in a file
    (folder / "make.py").write_text(WITH_EXTENSION)
    subprocess.run([sys.executable, "-W", "ignore", folder / "make.py", folder], check=True)
    return folder


def test_directory_of_extensions_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="expected `extensions_directory` to be a directory"):
        load_atomistic_model(TRAINED, str(tmp_path / "none"))


# in a process of its own: other tests may have loaded the extension
REFUSED = """
import sys, metatomic_core
from metatomic_core.foreign import reference_files
reference_files._installed = lambda name: None
for directory in (None, sys.argv[2]):
    try:
        metatomic_core.load_atomistic_model(sys.argv[1], directory)
    except ValueError as error:
        print(error)
"""


def test_extension_that_is_missing_or_was_changed(with_extension, tmp_path):
    (library,) = with_extension.glob("collected/**/*vesin_torch*.so")
    copy = tmp_path / library.relative_to(with_extension)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(library.read_bytes() + b"x")
    arguments = [with_extension / "vesin.pt", tmp_path]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REFUSED, *arguments], capture_output=True, text=True, check=True
    )
    missing, changed = done.stdout.splitlines()
    for part in ("with 'vesin._NeighborList'", "the file lists", "extensions_directory"):
        assert part in missing
    assert "to be the library that the model was saved with, with sha256" in changed


LISTED = """
import sys, metatomic_core
print(metatomic_core.load_atomistic_model(sys.argv[1], sys.argv[2]).metadata().name)
"""


@pytest.mark.parametrize("needed", [True, False])
def test_library_that_does_not_load(needed, with_extension, tmp_path):
    """Only what is missing in the end is an error: files made with a GPU list what no other machine can load."""
    broken = tmp_path / "libbroken_cuda.so"
    broken.write_text("no library")
    record = {"name": "broken_cuda", "path": broken.name, "sha256": hashlib.sha256(b"no library").hexdigest()}
    path = tmp_path / "listed.pt"
    with zipfile.ZipFile(with_extension / "vesin.pt") as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("/extra/extensions-deps"):
                content = json.dumps([record]).encode()
            if entry.filename.endswith("/extra/extensions") and needed:
                content = b"[]"
            target.writestr(entry.filename, content)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LISTED, path, tmp_path], capture_output=True, text=True, check=False
    )
    if needed:
        lines = done.stderr.splitlines()[-1]
        assert "expected a TorchScript extension with 'vesin._NeighborList'" in lines
        assert "got none (the file lists broken_cuda, which does not load: " in lines
    else:
        assert done.stdout == "vesin\n", done.stderr[-2000:]


RUN = """
import sys, torch, metatomic_core
from metatomic_core.engine import Engine, Structure
import numpy as np
from metatomic_core.foreign import reference_files
if sys.argv[2]:
    reference_files._installed = lambda name: None
model = metatomic_core.load_atomistic_model(sys.argv[1], sys.argv[2] or None)
model.save(sys.argv[3])
positions = np.array([[0, 0, 0], [0.5, 1.0, 2.0]])
structure = Structure(np.ones(2, dtype=int), positions, np.zeros((3, 3)), np.zeros(3, bool))
for path in (sys.argv[1], sys.argv[3]):
    engine = Engine(path, length_unit="angstrom", energy_unit="eV", extensions_directory=sys.argv[2] or None)
    print(engine.evaluate([structure]).energy[0])
print(sorted(extension.name for extension in model.header.extensions))
"""


@pytest.mark.parametrize("collected", [True, False])
def test_extension_that_is_collected_or_installed(collected, with_extension, tmp_path):
    directory = str(with_extension / "collected") if collected else ""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, with_extension / "vesin.pt", directory, tmp_path / "core.pt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert [float(line) for line in lines[:2]] == pytest.approx([5.25, 5.25])
    assert lines[2] == "['libmetatomic_torch.so', 'libvesin_torch.so']"


def test_nothing_of_the_reference_is_loaded_for_our_models(tmp_path):
    # by names of files: the clone may be in a folder that is called so
    code = """import sys, torch, metatomic_core
from pathlib import Path
metatomic_core.load_atomistic_model(sys.argv[1])
assert not [path for path in torch.ops.loaded_libraries if "metatomic" in Path(path).name]
assert "metatomic" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, exported(tmp_path)], check=True)


def test_distributions_live_beside_each_other():
    """`metatomic-torch` requires `metatomic-ase`, and ours serves; the session runs `pip check`."""
    assert importlib.metadata.version("metatomic-ase") == importlib.metadata.version("metatomic-core")
    assert importlib.metadata.distribution("metatomic-torch") is not None
    assert metatomic_ase.MetatomicCalculator.__module__ == "metatomic_ase.calculator"
    with pytest.warns(DeprecationWarning, match="from metatomic_ase instead"):
        calculator = reference.ase_calculator.MetatomicCalculator(str(TRAINED), uncertainty_threshold=None)
    assert isinstance(calculator, metatomic_ase.MetatomicCalculator)


def test_command_line(tmp_path):
    from click.testing import CliRunner

    from metatomic_core.cli import metatomic

    done = CliRunner().invoke(metatomic, ["convert", str(TRAINED), str(tmp_path / "out.pt")])
    assert done.exit_code == 0, done.output
    assert done.output == f"wrote {tmp_path / 'out.pt'}: unnamed model, a model of metatomic-core\n"
    assert len(json.loads(CliRunner().invoke(metatomic, ["inspect", "--json", str(tmp_path / "out.pt")]).output)) > 3
