"""Potentials that are added to others, in each engine: dispersion as s-dftd3 gives it, and sums that are sums."""

import numpy as np
import pytest
from command_line import succeed
from dftd3.interface import DispersionModel, RationalDampingParam

from metatomic_core.dftd3 import DFTD3
from metatomic_core.engine import Structure
from metatomic_core.potentials import d3_dispersion, stillinger_weber, zbl
from metatomic_core.testing import Request, installed_subjects
from metatomic_lammps import build_plugin

# CODATA 2018
BOHR, HARTREE = 0.529177210903, 27.211386245988
# in angstrom; an atom sees what is within the sum of both
CUTOFF, COORDINATION_CUTOFF = 7.0, 5.0
# S. Grimme, S. Ehrlich and L. Goerigk, J. Comput. Chem. 32, 1456 (2011); a2 in bohr
PBE = {"s6": 1.0, "s8": 0.7875, "a1": 0.4289, "a2": 4.4407}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    stillinger_weber().save(str(folder / "sw.pt"))
    d3_dispersion("Si", "pbe", CUTOFF, COORDINATION_CUTOFF, width=0.0).save(str(folder / "d3.pt"))
    zbl("Si", 1.9, 2.7).save(str(folder / "zbl.pt"))
    wrapped = DFTD3.wrap(
        stillinger_weber(), damping_params={"energy": PBE}, cutoff=CUTOFF, cn_cutoff=COORDINATION_CUTOFF
    )
    wrapped.save(str(folder / "wrapped.pt"))
    succeed("combine", *(folder / f"{name}.pt" for name in ("sw", "d3", "zbl")), "--sum", "-o", folder / "sum.pt")
    return folder


def silicon():
    """Give 64 atoms about as far from each other as in the crystal, in a cell smaller than the interaction range."""
    rng = np.random.default_rng(8)
    cell = np.array([[10.4, 0.0, 0.0], [1.3, 10.1, 0.0], [-0.9, 1.1, 10.8]])
    fractions = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) / 4
    positions = (fractions + rng.uniform(-0.03, 0.03, fractions.shape)) @ cell
    return Structure(np.full(64, 14), positions, cell, np.ones(3, dtype=bool))


def expected_dispersion(structure):
    """Give energy, forces and virial of s-dftd3, in eV and angstrom."""
    model = DispersionModel(structure.types, structure.positions / BOHR, structure.cell / BOHR, structure.pbc)
    model.set_realspace_cutoff(CUTOFF / BOHR, CUTOFF / BOHR, COORDINATION_CUTOFF / BOHR)
    found = model.get_dispersion(RationalDampingParam(method="pbe", atm=False), grad=True)
    forces, virial = -found["gradient"] / BOHR, -found["virial"]
    return float(found["energy"]) * HARTREE, forces * HARTREE, virial * HARTREE


@pytest.mark.parametrize("name", ["ase", "ipi", "lammps", "lammps-2"])
def test_engines_give_what_is_added(files, name):
    if name.startswith("lammps"):
        build_plugin()
    subject, structure = installed_subjects()[name], silicon()
    sw, d3, repulsion, whole, wrapped = (
        subject.evaluate(Request(files / f"{file}.pt", [structure]))[0]
        for file in ("sw", "d3", "zbl", "sum", "wrapped")
    )
    energy, forces, virial = expected_dispersion(structure)
    assert np.abs(forces).max() > 0.05
    assert d3.energy == pytest.approx(energy, rel=1e-9)
    np.testing.assert_allclose(d3.forces, forces, rtol=0, atol=1e-9)
    np.testing.assert_allclose(d3.virial, virial, rtol=0, atol=1e-9 * np.abs(virial).max())
    assert np.abs(repulsion.forces).max() > 0.05
    assert whole.energy == pytest.approx(sw.energy + energy + repulsion.energy, rel=1e-9)
    np.testing.assert_allclose(whole.forces, sw.forces + forces + repulsion.forces, rtol=0, atol=1e-8)
    expected = sw.virial + virial + repulsion.virial
    np.testing.assert_allclose(whole.virial, expected, rtol=0, atol=1e-8 * np.abs(virial).max())
    assert wrapped.energy == pytest.approx(sw.energy + energy, rel=1e-9)
    np.testing.assert_allclose(wrapped.forces, sw.forces + forces, rtol=0, atol=1e-8)
    np.testing.assert_allclose(wrapped.virial, sw.virial + virial, rtol=0, atol=1e-8 * np.abs(virial).max())
