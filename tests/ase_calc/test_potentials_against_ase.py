"""The reference potentials against the calculators of ASE: energies, forces, and stresses of all kinds of cells."""

import pytest
from ase.calculators.lj import LennardJones
from ase_oracles import as_atoms, ase_eam, results_of
from potential_cases import NAMES, alloy_file, assert_close, structures

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import embedded_atom, lennard_jones

SIGMA, EPSILON, CUTOFF, ONSET = 3.4, 0.0103, 8.5, 6.0
TOLERANCE = 1e-9


def assert_same(atoms, calculator, oracle, floor):
    got, expected = results_of(atoms, calculator), results_of(atoms, oracle)
    for name, value in expected.items():
        assert_close(got[name], value, TOLERANCE, floor=floor)


@pytest.mark.parametrize("structure", NAMES)
@pytest.mark.parametrize("shift", ["energy", "smooth"])
def test_lennard_jones_equals_that_of_ase(shift, structure):
    atoms = as_atoms(structures([18], 3.6)[structure])
    onset = ONSET if shift == "smooth" else None
    model = lennard_jones("Ar", SIGMA, EPSILON, CUTOFF, shift=shift, onset=onset)
    oracle = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF, ro=ONSET, smooth=shift == "smooth")
    assert_same(atoms, MetatomicCalculator(model), oracle, floor=1e-3)


def test_default_onset_is_that_of_ase():
    atoms = as_atoms(structures([18], 3.6)["triclinic"])
    model = lennard_jones("Ar", SIGMA, EPSILON, CUTOFF, shift="smooth")
    oracle = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF, smooth=True)
    assert_same(atoms, MetatomicCalculator(model), oracle, floor=1e-3)


@pytest.mark.parametrize("structure", [name for name in NAMES if name != "isolated atom"])
@pytest.mark.parametrize("form", ["alloy", "fs"])
def test_embedded_atom_equals_that_of_ase(form, structure, tmp_path):
    atoms = as_atoms(structures([13, 28], 2.5)[structure])
    path = alloy_file(tmp_path, finnis_sinclair=form == "fs")
    assert_same(atoms, MetatomicCalculator(embedded_atom(path)), ase_eam(path, form), floor=0.1)
