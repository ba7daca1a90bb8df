"""Functions of others that import ``metatomic.torch``, vesin's and those of i-PI, with our files as they are."""

import subprocess
import sys

import ase.build
import ase.io
import numpy as np
import pytest

from metatomic_core.potentials import lennard_jones

# metatomic-torch is imported in this process by other tests, so all of this runs in others
START = """
import sys
from metatomic_core.foreign.stand_in import stand_in
stand_in()
import ase.io, numpy as np, torch
import metatomic.torch as mta
folder = sys.argv[1]
atoms = ase.io.read(folder + "/argon.xyz")
def check(energy, forces, stress=None):
    from metatomic_ase import MetatomicCalculator
    atoms.calc = MetatomicCalculator(folder + "/argon.pt")
    assert abs(atoms.get_potential_energy()) > 0.1
    np.testing.assert_allclose(energy, atoms.get_potential_energy(), rtol=1e-12)
    np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-12)
    if stress is not None:
        np.testing.assert_allclose(stress, atoms.get_stress(voigt=False), atol=1e-12)
"""

VESIN = """
import vesin.metatomic
model = mta.load_atomistic_model(folder + "/argon.pt")
assert isinstance(model, mta.AtomisticModel) and isinstance(model, torch.nn.Module)
system = mta.systems_to_torch(atoms, dtype=torch.float64, positions_requires_grad=True)
for calculator in vesin.metatomic.neighbor_lists_for_model("nm", model):
    assert calculator.options.engine_cutoff("nm") < 2.0
for calculator in vesin.metatomic.neighbor_lists_for_model("angstrom", model, check_consistency=True):
    calculator.add_neighbor_list(system)
options = mta.ModelEvaluationOptions("angstrom", {"energy": mta.ModelOutput(unit="eV")})
energy = model([system], options, check_consistency=True)["energy"].block().values
check(energy.item(), -torch.autograd.grad(energy.sum(), system.positions)[0].numpy())
"""

IPI = """
from ipi.pes.metatomic import MetatomicDriver
from ipi.utils.units import unit_to_internal, unit_to_user
for options in ({}, {"check_consistency": True}, {"device": "cpu;cpu"}, {"energy_variant": None, "skin": 1.0}):
    driver = MetatomicDriver(template=folder + "/argon.xyz", model=folder + "/argon.pt", extensions=None, **options)
    cell = unit_to_internal("length", "angstrom", atoms.cell.array.T)
    positions = unit_to_internal("length", "angstrom", atoms.positions)
    energy, forces, virial, extras = driver(cell, positions)
    check(
        unit_to_user("energy", "electronvolt", energy),
        unit_to_user("force", "ev/ang", forces),
        -unit_to_user("energy", "electronvolt", virial) / atoms.get_volume(),
    )
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stand_in")
    lennard_jones().save(str(folder / "argon.pt"))
    atoms = ase.build.bulk("Ar", "fcc", 5.2, cubic=True)
    atoms.set_cell(atoms.cell.array @ np.array([[1.0, 0.1, 0.0], [0.0, 1.1, 0.2], [0.0, 0.0, 0.9]]), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    ase.io.write(folder / "argon.xyz", atoms)
    return folder


def run(*arguments):
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("script", [VESIN, IPI], ids=["vesin", "ipi"])
def test_functions_of_others_run_our_files(script, folder):
    run("-c", START + script, str(folder))


def test_programs_of_others_find_us_by_that_name(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "import metatomic.torch as mta\n"
        "from metatomic.torch import System\n"
        "import metatomic_core\n"
        "assert System is metatomic_core.System and mta.__version__ == metatomic_core.__version__\n"
        "try:\n"
        "    import metatomic.torch.data\n"
        "except ImportError:\n"
        "    print(__name__, sys.argv[1:])\n"
    )
    command = ["-m", "metatomic_core.foreign.stand_in", str(program), "-m", "metatomic"]
    assert run(*command) == "__main__ ['-m', 'metatomic']\n"


def test_wrappers_have_their_other_names():
    run(
        "-c",
        "from metatomic_core.foreign.stand_in import stand_in\n"
        "stand_in()\n"
        "import metatomic.torch as mta\n"
        "from metatomic.torch.dftd3 import DFTD3\n"
        "from metatomic.torch.heat_flux import HeatFlux\n"
        "from metatomic.torch.weighted_sum import WeightedSum\n"
        "from metatomic_core import combining, dftd3, heat_flux\n"
        "assert mta.dftd3.DFTD3 is DFTD3 is dftd3.DFTD3\n"
        "assert mta.heat_flux.HeatFlux is HeatFlux is heat_flux.HeatFlux\n"
        "assert mta.weighted_sum.WeightedSum is WeightedSum is combining.WeightedSum\n",
    )


def test_standing_in_comes_before_the_import():
    late = "import metatomic.torch\nfrom metatomic_core.foreign.stand_in import stand_in\nstand_in()"
    result = subprocess.run([sys.executable, "-c", late], capture_output=True, text=True, check=False)
    assert "expected `stand_in` before metatomic.torch is imported" in result.stderr
    twice = "from metatomic_core.foreign.stand_in import stand_in\nstand_in()\nstand_in()"
    assert run("-c", twice) == ""
