"""Where TorchScript is missing the driver runs models of the process, and files by their exported programs."""

import ase
import numpy as np
import pytest
from models import TRICLINIC, TwoLists, structures, wrap
from without_torchscript import run_without_torchscript

from metatomic_ipi import Evaluator
from metatomic_ipi.units import ANGSTROM

CODE = """
import importlib, pkgutil
import ase
import numpy as np
import metatomic_ipi
from metatomic_ipi.units import ANGSTROM
from models import TRICLINIC, TwoLists, structures, wrap
for module in pkgutil.walk_packages(metatomic_ipi.__path__, "metatomic_ipi."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
given = structures()["triclinic"]
cell = np.tril(TRICLINIC)
atoms = ase.Atoms(given.types, given.positions, cell=cell, pbc=True)
for name, model in {"process": wrap(TwoLists()), "file": "model.pt"}.items():
    (found,) = metatomic_ipi.Evaluator(model, atoms)([cell.T * ANGSTROM], [atoms.positions * ANGSTROM])
    np.savez(f"{name}.npz", energy=found.energy, forces=found.forces, virial=found.virial)
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
def test_energy_forces_and_virial_are_those_of_compiled_code(folder, name):
    found = np.load(folder / f"{name}.npz")
    given = structures()["triclinic"]
    # the only orientation that i-PI has
    cell = np.tril(TRICLINIC)
    atoms = ase.Atoms(given.types, given.positions, cell=cell, pbc=True)
    (expected,) = Evaluator(folder / "model.pt", atoms)([cell.T * ANGSTROM], [atoms.positions * ANGSTROM])
    np.testing.assert_allclose(found["energy"], expected.energy, rtol=1e-12)
    np.testing.assert_allclose(found["forces"], expected.forces, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found["virial"], expected.virial, rtol=1e-11, atol=1e-12)
    assert np.abs(found["virial"]).min() > 0
