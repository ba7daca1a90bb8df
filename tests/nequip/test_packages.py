"""What nequip has compiled gives here what nequip's own calculator gives, without nequip."""

import pickle
import sys

import ase.io
import numpy as np
import pytest
from command_line import fail, succeed
from nequip_networks import NETWORKS, TOLERANCES, structures

from metatomic_ase import MetatomicCalculator
from metatomic_core.engine import Engine, Structure

TARGETS = [target for _, targets in NETWORKS.values() for target in targets]
EACH = pytest.mark.parametrize("target", TARGETS)


@pytest.fixture(scope="module")
def calculators(packages):
    """Give a calculator for each target: one for all structures, whose sizes change."""
    return {target: MetatomicCalculator(path) for target, (path, _) in packages.items()}


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * (1e-3 + np.abs(wanted).max()))


@EACH
@pytest.mark.parametrize("name", structures())
def test_same_as_the_calculator_of_nequip(calculators, packages, expected, target, name):
    network = packages[target][1]
    atoms, wanted, tolerance = structures()[name], expected[network][name], TOLERANCES[network]
    assert np.abs(wanted["forces"]).max() > 0.05 or name == "primitive cell"
    atoms.calc = calculators[target]
    close(atoms.get_forces(), wanted["forces"], tolerance)
    close(atoms.get_potential_energies(), wanted["energies"], tolerance)
    close(atoms.get_potential_energy(), wanted["energy"], tolerance)
    if "stress" in wanted:
        close(atoms.get_stress(voigt=False), wanted["stress"], tolerance)


@EACH
def test_stress_is_the_derivative_of_the_energy(calculators, packages, target):
    atoms = structures()["triclinic"]
    atoms.calc = calculators[target]
    stress, volume, cell = atoms.get_stress(voigt=False), atoms.get_volume(), atoms.cell.array.copy()
    step = {"float64": 1e-4, "float32": 5e-3}[packages[target][1]]
    for strain in (np.diag([1.0, 0, 0]), np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])):
        energies = []
        for sign in (1, -1):
            atoms.set_cell(cell @ (np.eye(3) + sign * step * strain), scale_atoms=True)
            energies.append(atoms.get_potential_energy())
        derivative = (energies[0] - energies[1]) / (2 * step) / volume
        close((stress * strain).sum(), derivative, {"float64": 1e-5, "float32": 2e-2}[packages[target][1]])


@EACH
def test_batch_is_the_same_as_one_by_one(packages, expected, target):
    path, network = packages[target]
    engine = Engine(path, length_unit="angstrom", energy_unit="eV")
    several = [
        Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc) for atoms in structures().values()
    ]
    found = engine.evaluate(several, ["energy", "forces", "stress"])
    for i, wanted in enumerate(expected[network].values()):
        close(found.energy[i], wanted["energy"], TOLERANCES[network])
        close(found.forces[found.atoms(i)], wanted["forces"], TOLERANCES[network])
        if "stress" in wanted:
            close(found.stress[i], wanted["stress"], TOLERANCES[network])


@EACH
def test_command_line(packages, tmp_path, target):
    path, network = packages[target]
    text = succeed("inspect", path).stdout
    assert f"computes in         {network}" in text
    assert "species             Cu Au" in text
    ase.io.write(tmp_path / "start.xyz", structures()["triclinic"])
    succeed("eval", path, tmp_path / "start.xyz", "-o", tmp_path / "done.xyz")
    assert np.isfinite(ase.io.read(tmp_path / "done.xyz").get_forces()).all()
    assert "which is machine code" in fail("convert", path, tmp_path / "model.pt")


def test_file_is_cut_off(packages, tmp_path):
    content = packages["ase"][0].read_bytes()
    (tmp_path / "cut.nequip.pt2").write_bytes(content[: len(content) // 2])
    assert "truncated or damaged" in fail("inspect", tmp_path / "cut.nequip.pt2")


def test_calculator_is_copied_with_its_package(calculators, packages):
    atoms = structures()["triclinic"]
    atoms.calc = calculators["ase"]
    again = structures()["triclinic"]
    again.calc = pickle.loads(pickle.dumps(calculators["ase"]))
    np.testing.assert_array_equal(again.get_forces(), atoms.get_forces())


def test_nothing_of_nequip_is_needed(calculators):
    assert [name for name in sys.modules if name.partition(".")[0] in {"nequip", "e3nn"}] == []
