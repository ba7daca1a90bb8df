"""Files for GROMACS, called as its source calls them, against the calculators of ASE."""

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase_oracles import as_atoms, ase_eam, results_of
from command_line import succeed
from gromacs_cases import assert_same, probe, rounded
from potential_cases import alloy_file, structures

from metatomic_core.potentials import embedded_atom, lennard_jones
from metatomic_core.testing.subjects import gromacs_process
from metatomic_core.testing.subjects.gromacs import inputs, pair_inputs

SIGMA, EPSILON, CUTOFF, ONSET = 3.4, 0.0103, 8.5, 6.0
EAM_CUTOFF = 5.0
NAMES = ("triclinic", "slab", "molecule", "small cell", "one atom")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The path of each file, and the calculator of ASE that it is compared with."""
    folder = tmp_path_factory.mktemp("gromacs")
    lennard_jones("Ar", SIGMA, EPSILON, CUTOFF, shift="smooth", onset=ONSET).save(str(folder / "lj.pt"))
    embedded_atom(alloy_file(folder)).save(str(folder / "eam.pt"))
    succeed("convert", folder / "lj.pt", folder / "lj-pairs.pt", "--to", "gromacs", "--pairs")
    succeed("convert", folder / "eam.pt", folder / "eam-search.pt", "--to", "gromacs")
    lj = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF, ro=ONSET, smooth=True)
    return {
        "lj": (str(folder / "lj-pairs.pt"), lj, [rounded(structures([18], 3.6)[name]) for name in NAMES]),
        "eam": (
            str(folder / "eam-search.pt"),
            ase_eam(folder / "NiAl.eam.alloy", "alloy"),
            [rounded(structures([13, 28], 2.5)[name]) for name in NAMES],
        ),
    }


@pytest.fixture(scope="module")
def results(models, tmp_path_factory):
    """What GROMACS would get, for each model the structures and then the atoms with which grompp tries it."""
    calls = {
        models["lj"][0]: [pair_inputs(case, CUTOFF + 1.0) for case in models["lj"][2]] + [probe(700, pairs=True)],
        models["eam"][0]: [inputs(case) for case in models["eam"][2]] + [probe(700, number=13), probe(3)],
    }
    return gromacs_process.run(calls, tmp_path_factory.mktemp("process"))


@pytest.mark.parametrize("name", ["lj", "eam"])
def test_energies_and_forces_equal_those_of_ase(models, results, name):
    path, oracle, cases = models[name]
    for case, result in zip(cases, results[path], strict=False):  # those for grompp follow
        assert not isinstance(result, str), result
        expected = results_of(as_atoms(case), oracle)
        assert_same(result, expected["energy"], expected["forces"])


def test_grompp_can_try_them(models, results):
    for path, _, cases in models.values():
        for result in results[path][len(cases) :]:
            assert not isinstance(result, str), result
            assert np.isfinite(result[0])
