"""i-PI with our client against i-PI with its own PES of ASE, and results against the ASE calculator."""

import ase
import numpy as np
import pytest
from ipi_cases import N_OSCILLATORS, argon
from ipi_processes import assert_same_run, ffsocket, write_input
from ipi_trajectories import SETTINGS, run

import metatomic_ase
from metatomic_ipi import Evaluator
from metatomic_ipi.units import ANGSTROM, ELECTRONVOLT

# i-PI calls an ASE calculator in its own way; its unit of force is 5e-8 off the quotient of energy and length
ASE_PES = """
import ipi.utils.units as units
from ipi.pes._ase import ASEDriver
from metatomic_ase import MetatomicCalculator
__DRIVER_NAME__ = "test_ase"
__DRIVER_CLASS__ = "TestASE"
class TestASE(ASEDriver):
    def __init__(self, template, model, consistent=True, **kwargs):
        if consistent:
            known = units.UnitMap
            known["force"]["ev/ang"] = known["energy"]["electronvolt"] / known["length"]["angstrom"]
        self.model = model
        super().__init__(template, **kwargs)
    def check_parameters(self):
        super().check_parameters()
        self.ase_calculator = MetatomicCalculator(self.model)
"""


@pytest.mark.parametrize("case", SETTINGS)
def test_trajectory_is_that_of_the_ase_pes(case, reference, models, tmp_path):
    pes = tmp_path / "pes_of_ase.py"
    pes.write_text(ASE_PES)
    record = run(tmp_path / "consistent", models / "argon.pt", case, "direct", pes=pes)
    assert_same_run(record, reference[case])
    if case == "npt":
        parameters = {"consistent": False}
        record = run(tmp_path / "as it is", models / "argon.pt", case, "direct", 1, pes, parameters)
        np.testing.assert_allclose(record[2]["q"], reference[case][2]["q"], rtol=0, atol=1e-6)


def test_virial_is_minus_volume_times_stress_of_ase(models):
    atoms = argon()
    (result,) = Evaluator(models / "argon.pt", atoms)([atoms.cell.array.T * ANGSTROM], [atoms.positions * ANGSTROM])
    atoms.calc = metatomic_ase.MetatomicCalculator(models / "argon.pt")
    expected = -atoms.get_stress(voigt=False) * atoms.cell.volume * ELECTRONVOLT
    np.testing.assert_allclose(result.virial, expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(result.forces, atoms.get_forces() * ELECTRONVOLT / ANGSTROM, rtol=1e-10, atol=1e-13)


def test_dipoles_are_written_and_those_of_ase(bench, models):
    dipoles = "<trajectory filename='dipole' stride='1' extra_type='dipole'> extras </trajectory>"
    write_input(bench.directory, ffsocket(2), beads=2, trajectories=dipoles)
    server = bench.ipi()
    bench.client(models / "oscillators.pt", "--extra", "dipole", "--extra", "charges", "--extra", "uncertainty")
    assert server.wait() == 0
    positions = bench.final()["q"].reshape(2, -1, 3)
    calculator = metatomic_ase.MetatomicCalculator(models / "oscillators.pt", uncertainty_threshold=None)
    for bead in range(2):
        written = np.loadtxt(bench.directory / f"sim.dipole_{bead}")
        assert written.shape == (11, 3)
        atoms = ase.Atoms(f"H{N_OSCILLATORS}", positions[bead] / ANGSTROM, calculator=calculator)
        np.testing.assert_allclose(written[-1], atoms.get_dipole_moment() * ANGSTROM, rtol=1e-8, atol=1e-9)
