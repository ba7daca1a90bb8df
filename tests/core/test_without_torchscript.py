"""Where TorchScript is missing, as it may be with Python 3.14, models of this process run as plain Python."""

import json

import numpy as np
import pytest
from eager_cases import CASES, ENERGIES
from models import SquaredGradient, TwoLists, through_file, wrap
from without_torchscript import run_without_torchscript

from metatomic_core import load_atomistic_model, read_model_metadata
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import lennard_jones

EVALUATE = """
import numpy as np
from eager_cases import CASES
from models import wrap

found = {}
for name, case in CASES.items():
    for result, values in case.evaluated(wrap(case.module(), case.declared)).items():
        found[f"{name}: {result}"] = values
np.savez("found.npz", **found)
"""


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    """What a process without TorchScript finds for all cases."""
    folder = tmp_path_factory.mktemp("eager")
    done = run_without_torchscript(EVALUATE, folder)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


@pytest.mark.parametrize("name", CASES)
def test_models_of_this_process_run_as_they_are_written(eager, name):
    case = CASES[name]
    expected = case.evaluated(through_file(wrap(case.module(), case.declared)))
    assert {f"{name}: {result}" for result in expected} == {key for key in eager if key.startswith(f"{name}: ")}
    for result, values in expected.items():
        largest = np.abs(values).max()
        assert largest > 0, result
        np.testing.assert_allclose(eager[f"{name}: {result}"], values, rtol=1e-12, atol=1e-12 * largest)


def test_files_run_by_their_exported_programs(tmp_path):
    """The whole way of a file: recognised, read and evaluated, in units that are not those of the model."""
    case = CASES["positions and cell"]
    wrap(case.module(), case.declared).save(str(tmp_path / "model.pt"), exported=True)
    code = """
    import numpy as np
    from eager_cases import CASES
    from metatomic_core import load_atomistic_model
    from metatomic_core.engine import Engine
    model = load_atomistic_model("model.pt")
    print(type(model).__name__)
    try:
        Engine(model, length_unit="bohr", energy_unit="eV", kernel="script")
    except RuntimeError as error:
        print(error)
    np.savez("found.npz", **CASES["positions and cell"].evaluated(model))
    """
    done = run_without_torchscript(code, tmp_path)
    assert done.stderr == ""
    name, refused = done.stdout.splitlines()
    assert name == "ExportedModel"
    assert refused.startswith("expected TorchScript for `kernel` 'script', got none with Python ")
    found = np.load(tmp_path / "found.npz")
    for result, values in case.evaluated(load_atomistic_model(tmp_path / "model.pt")).items():
        np.testing.assert_allclose(found[result], values, rtol=1e-12, atol=1e-12 * np.abs(values).max())


@pytest.mark.slow
def test_programs_are_compiled_and_run(tmp_path):
    """The package is compared with the exported program, as there is nothing else."""
    lennard_jones().save(str(tmp_path / "model.pt"), exported=True)
    code = """
    import os
    os.environ["METATOMIC_CACHE"] = os.path.abspath("cache")
    import numpy as np
    from metatomic_core.engine import Engine, Structure
    from metatomic_core.kernels.compiling import compile_model
    (outcome, _) = compile_model("model.pt", flavors=["forces"])
    assert {"energy", "forces", "virial"} <= outcome.about.checked.keys(), outcome.about.checked
    engine = Engine("model.pt", length_unit="angstrom", energy_unit="eV")
    assert engine.kernel == "compiled"
    positions = np.array([[0.0, 0.0, 0.0], [0.3, 3.9, 0.2], [2.9, 0.1, 3.1]])
    structure = Structure(np.full(3, 18), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    np.savez("found.npz", forces=engine.evaluate([structure], ["energy", "forces"]).forces, positions=positions)
    """
    done = run_without_torchscript(code, tmp_path)
    assert done.stderr == ""
    found = np.load(tmp_path / "found.npz")
    structure = Structure(np.full(3, 18), found["positions"], np.zeros((3, 3)), np.zeros(3, dtype=bool))
    engine = Engine(tmp_path / "model.pt", length_unit="angstrom", energy_unit="eV", kernel="script")
    forces = engine.evaluate([structure], ["forces"]).forces
    np.testing.assert_allclose(found["forces"], forces, rtol=1e-10)
    assert np.abs(forces).min() > 0


def test_files_without_exported_programs_are_refused_in_one_line(tmp_path):
    wrap(SquaredGradient()).save(str(tmp_path / "model.pt"), exported=True)
    code = """
    from click.testing import CliRunner
    from metatomic_core import load_atomistic_model
    from metatomic_core.cli import metatomic
    try:
        load_atomistic_model("model.pt")
    except ValueError as error:
        print(error)
    print(CliRunner().invoke(metatomic, ["upgrade", "model.pt"]).output)
    """
    done = run_without_torchscript(code, tmp_path)
    assert done.stderr == ""
    said, _, upgraded = done.stdout.partition("\n")
    assert said.startswith(
        "expected a model file with an exported program, as TorchScript does not work here (NotImplementedError: "
        "torch.jit.script is gone), got 'model.pt' without one: expected a model that leaves derivatives "
    )
    assert said.endswith("; use a Python with TorchScript, such as 3.12")
    assert "expected TorchScript to compile a model, got none" in " ".join(upgraded.split())


def test_all_modules_are_imported_and_compile_nothing(tmp_path):
    code = """
    import importlib, pkgutil
    import metatomic_core
    for module in pkgutil.walk_packages(metatomic_core.__path__, "metatomic_core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from metatomic_core.foundation import torchscript
    print(torchscript.missing())
    print(len(torch.jit._state._script_classes))
    """
    done = run_without_torchscript(code, tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["NotImplementedError: torch.jit.script is gone", "0"]


def test_saving_says_what_is_missing(tmp_path):
    code = """
    from models import TwoLists, wrap
    try:
        wrap(TwoLists()).save("model.pt")
    except RuntimeError as error:
        print(error)
    """
    done = run_without_torchscript(code, tmp_path)
    assert done.stderr == ""
    assert done.stdout.startswith("expected TorchScript to save a model, got none with Python ")
    assert "NotImplementedError: torch.jit.script is gone" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_files_tell_about_themselves(tmp_path):
    wrap(TwoLists(), ENERGIES).save(str(tmp_path / "model.pt"))
    code = """
    from click.testing import CliRunner
    from metatomic_core import check_atomistic_model, read_model_metadata
    from metatomic_core.cli import metatomic
    check_atomistic_model("model.pt")
    print(read_model_metadata("model.pt").name)
    result = CliRunner().invoke(metatomic, ["inspect", "model.pt", "--json"])
    print(result.output)
    """
    done = run_without_torchscript(code, tmp_path)
    assert done.stderr == ""
    name, _, told = done.stdout.partition("\n")
    assert name == read_model_metadata(tmp_path / "model.pt").name == "TwoLists"
    assert set(ENERGIES) <= set(json.loads(told)["queries"]["outputs"])


def test_torchscript_works_here():
    """The tests of everything else mean nothing otherwise."""
    from metatomic_core.foundation import torchscript

    assert torchscript.missing() == ""
