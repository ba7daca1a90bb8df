"""Where TorchScript is missing the calculator runs models of the process, and files by their exported programs."""

import ase
import numpy as np
import pytest
from models import TRICLINIC, TwoLists, structures, wrap
from without_torchscript import run_without_torchscript

from metatomic_ase import MetatomicCalculator

CODE = """
import importlib, pkgutil
import ase
import numpy as np
import metatomic_ase
from models import TRICLINIC, TwoLists, structures, wrap
for module in pkgutil.walk_packages(metatomic_ase.__path__, "metatomic_ase."):
    importlib.import_module(module.name)
given = structures()["triclinic"]
for name, model in {"process": wrap(TwoLists()), "file": "model.pt"}.items():
    atoms = ase.Atoms(given.types, given.positions, cell=TRICLINIC, pbc=True)
    atoms.calc = metatomic_ase.MetatomicCalculator(model)
    stress = atoms.get_stress()
    np.savez(f"{name}.npz", energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=stress)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a model file, and what a process without TorchScript finds."""
    folder = tmp_path_factory.mktemp("without")
    wrap(TwoLists()).save(str(folder / "model.pt"), exported=True)
    done = run_without_torchscript(CODE, folder)
    assert done.stderr == ""
    return folder


@pytest.mark.parametrize("name", ["process", "file"])
def test_energy_forces_and_stress_are_those_of_compiled_code(folder, name):
    found = np.load(folder / f"{name}.npz")
    given = structures()["triclinic"]
    atoms = ase.Atoms(given.types, given.positions, cell=TRICLINIC, pbc=True)
    atoms.calc = MetatomicCalculator(folder / "model.pt")
    np.testing.assert_allclose(found["energy"], atoms.get_potential_energy(), rtol=1e-12)
    np.testing.assert_allclose(found["forces"], atoms.get_forces(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found["stress"], atoms.get_stress(), rtol=1e-11, atol=1e-14)
    assert np.abs(found["stress"]).min() > 0
