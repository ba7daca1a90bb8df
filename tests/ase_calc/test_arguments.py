"""Arguments that are changed after the calculator was made, and what it says of itself."""

import ase
import numpy as np
import pytest
from ase_idioms import Counted, argon_model, crystal

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput, load_atomistic_model


@pytest.fixture(scope="module")
def counted():
    return Counted(argon_model())


def with_results(counted):
    atoms = crystal()
    atoms.calc = MetatomicCalculator(counted.model)
    atoms.get_potential_energy()
    return atoms


def test_arguments_that_change_count(counted):
    atoms = with_results(counted)
    calculator, energy = atoms.calc, atoms.get_potential_energy()
    assert calculator.set(neighbor_skin=1.0) == {}
    with counted.calls(0):
        atoms.get_potential_energy()
    assert calculator.set(neighbor_skin=0.0, do_gradients_with_energy=False) == {
        "neighbor_skin": 0.0,
        "do_gradients_with_energy": False,
    }
    assert calculator.parameters["neighbor_skin"] == 0.0
    with counted.calls(1):
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-13)
    assert "forces" not in calculator.results
    wanted = {"energy": ModelOutput(unit="meV", sample_kind="system")}
    assert calculator.set(additional_outputs=wanted) == {"additional_outputs": wanted}
    atoms.get_potential_energy()
    assert float(calculator.additional_outputs["energy"].block().values) == pytest.approx(1000 * energy)
    calculator.set(model=argon_model(epsilon=0.0206))
    assert atoms.get_potential_energy() == pytest.approx(2 * energy, rel=1e-12)
    assert calculator.additional_outputs.keys() == wanted.keys()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"skin": 1.0}, TypeError, "skin"),
        ({"neighbor_skin": -1.0}, ValueError, "expected `neighbor_skin` to be zero or more, got -1.0"),
        ({"variants": {"energy": "pbe"}}, ValueError, "expected a variant of 'energy', got 'pbe'"),
        ({"model": "nowhere.pt"}, FileNotFoundError, "nowhere.pt"),
    ],
)
def test_wrong_arguments_change_nothing(counted, arguments, error, message):
    atoms = with_results(counted)
    before = dict(atoms.calc.parameters)
    with pytest.raises(error, match=message):
        atoms.calc.set(**arguments)
    assert atoms.calc.parameters == before
    with counted.calls(0):
        atoms.get_forces()


@pytest.mark.parametrize("pbc", [False, True])
def test_no_atoms_have_no_energy(counted, pbc):
    atoms = ase.Atoms(cell=[5.0, 5.0, 5.0], pbc=pbc)
    atoms.calc = MetatomicCalculator(counted.model)
    assert atoms.get_potential_energy() == 0.0
    assert (atoms.get_forces().shape, atoms.get_potential_energies().shape) == ((0, 3), (0,))
    if pbc:
        np.testing.assert_array_equal(atoms.get_stress(), np.zeros(6))
        assert atoms.get_stresses().shape == (0, 6)


def test_notebooks_show_what_it_is(counted, tmp_path):
    calculator = MetatomicCalculator(counted.model)
    shown = calculator._repr_html_()
    for text in ("<td", counted.model.metadata().name, "a model in memory", "Ar", "energy, free_energy", "kernel"):
        assert text in shown
    path = tmp_path / "a<b.pt"
    argon_model().save(str(path))
    shown = MetatomicCalculator(path, neighbor_skin=0.5)._repr_html_()
    assert "a&lt;b.pt" in shown
    assert "a<b.pt" not in shown
    assert "neighbor_skin=0.5" in shown


def test_the_file_stays_the_one_that_was_named(tmp_path):
    path = tmp_path / "argon.pt"
    argon_model().save(str(path))
    named = f"{tmp_path}/./argon.pt"
    calculator = MetatomicCalculator(named)
    calculator.set(neighbor_skin=0.5)
    assert calculator.todict()["model"] == named
    # and is known of a model that was loaded before
    assert MetatomicCalculator(load_atomistic_model(path)).todict()["model"] == str(path)
