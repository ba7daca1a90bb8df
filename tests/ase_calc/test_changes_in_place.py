"""One calculator with a kernel, whose atoms are edited in place between calls, against a new one for each call."""

import numpy as np
import pytest
from ase.build import bulk

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import lennard_jones

PROPERTIES = ("energy", "forces", "stress", "energies")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mixture.pt"
    sizes, depths = {"Ar": 3.4, "Kr": 3.65}, {"Ar": 0.0103, "Kr": 0.014}
    lennard_jones(["Ar", "Kr"], sigma=sizes, epsilon=depths, cutoff=6.0).save(str(path), exported=True)
    return path


def edits(atoms):
    """Edit atoms in place, one thing at a time, and say what; gives the atoms to go on with."""
    yield "nothing", atoms
    atoms.positions[3] += 0.2
    yield "one position", atoms
    atoms.positions += 1.7
    yield "all positions", atoms
    atoms.positions[5] += atoms.cell[0]
    yield "an atom that jumps by a cell vector", atoms
    atoms.numbers[::2] = 36
    yield "numbers", atoms
    atoms.symbols[1] = "Kr"
    yield "symbols", atoms
    atoms.cell[1, 0] += 0.3
    yield "one number of the cell", atoms
    atoms.set_cell(1.02 * atoms.cell, scale_atoms=True)
    yield "cell and positions", atoms
    atoms.cell[:] = atoms.cell.array[[1, 2, 0]]
    yield "the order of cell vectors", atoms
    atoms.pbc[2] = False
    yield "one periodicity", atoms
    atoms.pbc = True
    yield "periodicity, back", atoms
    del atoms[4]
    yield "an atom that is gone", atoms
    other = atoms[::-1]
    other.calc = atoms.calc
    yield "another object, in another order", other
    atoms.rattle(0.05, seed=3)
    yield "the first object again", atoms


@pytest.mark.parametrize("kernel", ["eager", "script"])
def test_edited_atoms_get_results_of_what_they_are_now(model, kernel):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    atoms.rattle(0.1, seed=1)
    atoms.calc = MetatomicCalculator(model, device="cpu", kernel=kernel)
    for what, edited in edits(atoms):
        fresh = edited.copy()
        fresh.calc = MetatomicCalculator(model, device="cpu", kernel="script")
        for name in PROPERTIES:
            got, expected = edited.calc.get_property(name, edited), fresh.calc.get_property(name, fresh)
            scale = max(1e-3, np.abs(expected).max())
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * scale, err_msg=f"{name} after {what}")


def test_results_of_earlier_calls_stay_as_they_were(model):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    atoms.rattle(0.1, seed=1)
    atoms.calc = MetatomicCalculator(model, device="cpu", kernel="eager")
    first = {name: atoms.calc.get_property(name, atoms) for name in PROPERTIES}
    results = atoms.calc.results
    kept = {name: np.array(values) for name, values in first.items()}
    for seed in range(3):
        atoms.rattle(0.1, seed=seed)
        atoms.get_forces()
    for name in PROPERTIES:
        np.testing.assert_array_equal(first[name], kept[name])
        np.testing.assert_array_equal(results[name], kept[name])


def test_what_is_wrong_after_an_edit_is_refused(model):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.calc = MetatomicCalculator(model, device="cpu", kernel="eager")
    atoms.get_forces()
    atoms.numbers[1] = 10
    with pytest.raises(ValueError, match="expected atomic types that this model knows"):
        atoms.get_forces()
    atoms.numbers[1] = 18
    atoms.positions[2, 1] = np.nan
    with pytest.raises(ValueError, match="expected finite positions"):
        atoms.get_forces()
    atoms.positions[2, 1] = 0.3
    atoms.cell[0] = 0.0
    with pytest.raises(ValueError, match="expected a non-zero `cell` vector in each periodic direction"):
        atoms.get_forces()
    atoms.cell[0, 0] = 5.4
    assert np.isfinite(atoms.get_forces()).all()
