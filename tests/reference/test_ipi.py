"""Models of both in i-PI: those of the reference by our client, ours by i-PI's own driver."""

import numpy as np
import pytest
from ase import Atoms
from ipi.pes.metatomic import MetatomicDriver
from ipi.utils.messages import verbosity
from ipi.utils.units import unit_to_internal
from ipi_cases import write_structure
from ipi_processes import NVE, Bench, ffsocket, write_input
from reference_cases import OURS, TRAINED, structures_for

from metatomic_ase import MetatomicCalculator
from metatomic_ipi import Evaluator
from metatomic_ipi.units import ANGSTROM, ELECTRONVOLT

# i-PI has a constant of its own for this one, which agrees with the others to seven digits
HARTREE = 1 / ELECTRONVOLT
FORCE = unit_to_internal("force", "ev/ang", 1.0)


def upper(name):
    """Give the triclinic structure in the orientation that i-PI wants: first vector along x, second in the xy plane."""
    numbers, positions, cell, pbc = structures_for(name)["triclinic"]
    atoms = Atoms(numbers, positions=positions, cell=cell, pbc=pbc)
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    return atoms


def compare(atoms, calculator, energy, forces, virial, tolerance, force_unit=ELECTRONVOLT / ANGSTROM):
    atoms.calc = calculator
    assert_close(energy / ELECTRONVOLT, atoms.get_potential_energy(), tolerance)
    assert_close(forces / force_unit, atoms.get_forces(), tolerance)
    assert_close(-virial / ELECTRONVOLT / atoms.get_volume(), atoms.get_stress(voigt=False), tolerance)


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", TRAINED)
def test_our_client_runs_files_of_the_reference(name, model_files):
    atoms = upper(name)
    (result,) = Evaluator(model_files[name], atoms)([atoms.cell.array.T * ANGSTROM], [atoms.positions * ANGSTROM])
    calculator = MetatomicCalculator(model_files[name], uncertainty_threshold=None)
    compare(atoms, calculator, result.energy, result.forces, result.virial, TRAINED[name])


@pytest.mark.prints  # i-PI announces the model
@pytest.mark.parametrize("name", OURS)
def test_driver_of_ipi_runs_our_models(name, model_files, tmp_path):
    atoms = upper(name)
    atoms.write(tmp_path / "template.xyz", format="extxyz")
    verbosity.level = "quiet"
    driver = MetatomicDriver(str(tmp_path / "template.xyz"), str(model_files[name]))
    energy, forces, virial, _ = driver(atoms.cell.array.T * ANGSTROM, atoms.positions * ANGSTROM)
    compare(atoms, MetatomicCalculator(model_files[f"{name} (core)"]), energy, forces, virial, 1e-10, FORCE)


def test_whole_runs_with_our_client_and_the_driver_of_ipi_agree(model_files, tmp_path):
    """A trained model, the file as it is."""
    name = "pet-cuau-float64"
    atoms, found = upper(name), []
    for kind in ("ours", "reference"):
        folder = tmp_path / kind
        folder.mkdir()
        write_structure(folder, atoms)
        with Bench(folder) as bench:
            write_input(folder, ffsocket(), steps=3, temperature=50, motion=NVE)
            server = bench.ipi()
            if kind == "ours":
                client = bench.client(model_files[name])
            else:
                options = f"template={folder / 'template.xyz'},model={model_files[name]}"
                client = bench.stock_driver("-m", "metatomic", "-o", options, "-u", "-a", "test", "-S", bench.prefix)
            assert server.wait() == 0, server.text() + client.text()
            found.append(bench.record())
    # the force unit of i-PI, see above
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-7)
    np.testing.assert_allclose(found[0][2]["q"], found[1][2]["q"], rtol=0, atol=1e-8)
    assert_close(found[0][0][0, 2] * HARTREE, energy_of(atoms, model_files[name]), 1e-7)


def energy_of(atoms, model):
    atoms.calc = MetatomicCalculator(model)
    return atoms.get_potential_energy()
