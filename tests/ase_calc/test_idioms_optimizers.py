"""Optimizers, filters, constraints and searches of ASE: each step as with ASE's own calculator of the same formula."""

import ase
import numpy as np
import pytest
from ase import optimize
from ase.build import bulk
from ase.constraints import (
    ExternalForce,
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedPlane,
    FixInternals,
    FixLinearTriatomic,
    FixScaled,
    FixSymmetry,
    Hookean,
)
from ase.filters import ExpCellFilter, FrechetCellFilter, StrainFilter, UnitCellFilter
from ase.io import read
from ase.optimize.basin import BasinHopping
from ase.optimize.fire2 import FIRE2
from ase.optimize.minimahopping import MinimaHopping
from ase.optimize.precon import Exp, PreconFIRE, PreconLBFGS
from ase.optimize.rfo import RFO
from ase.optimize.sciopt import SciPyFminBFGS, SciPyFminCG
from ase_idioms import argon_model, assert_same_as_ase, cluster, crystal, without_advice

from metatomic_ase import MetatomicCalculator

OPTIMIZERS = [
    optimize.BFGS,
    optimize.LBFGS,
    optimize.FIRE,
    FIRE2,
    optimize.BFGSLineSearch,
    optimize.LBFGSLineSearch,
    optimize.MDMin,
    optimize.GPMin,
    optimize.ODE12r,
    optimize.GoodOldQuasiNewton,
    RFO,
    SciPyFminCG,
    SciPyFminBFGS,
    PreconFIRE,
]


@pytest.fixture(scope="module")
def ours():
    calculator = MetatomicCalculator(argon_model())
    return lambda: calculator


def relaxed(optimizer, make_atoms, prepare=lambda _: None, fmax=0.005, steps=40):
    """Give a use: relax atoms, and say where they are, after how many steps, at which energy."""

    def use(make):
        atoms = make_atoms()
        prepare(atoms)
        atoms.calc = make()
        with optimizer(atoms, logfile=None) as run:
            run.run(fmax=fmax, steps=steps)
            return np.hstack([atoms.positions.ravel(), run.nsteps, atoms.get_potential_energy()])

    return use


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.__name__)
def test_optimizers_take_the_steps_of_ase(ours, optimizer):
    found = assert_same_as_ase(relaxed(optimizer, crystal), ours)
    assert found[-2] > 0


def test_preconditioned_optimizer_takes_the_steps_of_ase(ours):
    def make(atoms, **options):
        return PreconLBFGS(atoms, precon=Exp(A=3, r_cut=6.0, mu=1.0), use_armijo=True, **options)

    assert assert_same_as_ase(relaxed(make, crystal, steps=8), ours)[-2] > 0


@pytest.mark.parametrize("cell_filter", [FrechetCellFilter, UnitCellFilter, ExpCellFilter, StrainFilter])
def test_cells_relax_as_in_ase(ours, cell_filter):
    def use(make):
        atoms = crystal()
        atoms.calc = make()
        with optimize.FIRE(cell_filter(atoms), logfile=None) as run:
            run.run(fmax=1e-3, steps=12)
        return np.vstack([atoms.positions, atoms.cell.array])

    with without_advice("logm", "Use FrechetCellFilter"):
        found = assert_same_as_ase(use, ours)
    assert np.abs(found[-3:] - crystal().cell.array).max() > 1e-3


def test_filters_may_hold_a_pressure_and_the_shape(ours):
    def use(make):
        atoms = crystal()
        atoms.calc = make()
        cell = FrechetCellFilter(atoms, hydrostatic_strain=True, scalar_pressure=0.01, mask=[1, 1, 1, 0, 0, 0])
        with optimize.LBFGS(cell, logfile=None) as run:
            run.run(fmax=1e-3, steps=8)
        return atoms.cell.cellpar()

    with without_advice("logm"):
        a, b, c, *_ = assert_same_as_ase(use, ours)
    assert a == pytest.approx(b, abs=1e-9) == pytest.approx(c, abs=1e-9)
    assert a < 5.3


CONSTRAINTS = {
    "FixAtoms": (crystal, lambda _: FixAtoms([0, 1])),
    "FixCartesian": (crystal, lambda _: FixCartesian([0, 1])),
    "FixScaled": (crystal, lambda _: FixScaled([0], mask=[1, 1, 0])),
    "FixedPlane": (crystal, lambda _: FixedPlane([0, 1], [0, 0, 1])),
    "FixBondLengths": (cluster, lambda _: FixBondLengths([[0, 1]])),
    "FixInternals": (cluster, lambda _: FixInternals(bonds=[[3.9, [0, 1]]])),
    "FixCom": (cluster, lambda _: FixCom()),
    "Hookean": (cluster, lambda _: Hookean(0, 1, 5.0, 3.0)),
    "ExternalForce": (cluster, lambda _: ExternalForce(0, 1, 0.01)),
    "FixLinearTriatomic": (
        lambda: ase.Atoms("Ar3", [[0.0, 0.0, 0.0], [3.8, 0.0, 0.0], [7.6, 0.0, 0.0]]),
        lambda _: FixLinearTriatomic([(0, 1, 2)]),
    ),
    "several": (crystal, lambda _: [FixAtoms([3]), Hookean(0, 1, 1.0, 3.0)]),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_hold_as_in_ase(ours, name):
    make_atoms, constraint = CONSTRAINTS[name]
    assert_same_as_ase(
        relaxed(optimize.BFGS, make_atoms, lambda atoms: atoms.set_constraint(constraint(atoms)), steps=10), ours
    )


def test_symmetry_is_kept(ours):
    def use(make):
        atoms = bulk("Ar", a=5.1, cubic=True)
        # tetragonal, so that there is something to keep
        atoms.set_cell(atoms.cell.array * [1.0, 1.0, 1.02], scale_atoms=True)
        atoms.set_constraint(FixSymmetry(atoms))
        atoms.calc = make()
        with optimize.BFGS(FrechetCellFilter(atoms), logfile=None) as run:
            run.run(fmax=1e-3, steps=8)
        return atoms.cell.cellpar()

    with without_advice("logm"):
        a, b, c, *angles = assert_same_as_ase(use, ours)
    assert a == pytest.approx(b, abs=1e-12)
    assert angles == pytest.approx([90, 90, 90], abs=1e-9)
    assert abs(a - 5.1) > 0.01 or abs(c - 5.2) > 0.01


def test_basin_hopping_finds_what_it_finds_in_ase(ours):
    def use(make):
        atoms = cluster()
        atoms.calc = make()
        files = {"logfile": None, "trajectory": None, "optimizer_logfile": None, "local_minima_trajectory": None}
        with BasinHopping(atoms, temperature=0.01, fmax=0.05, **files) as run:
            run.run(2)
            energy, lowest = run.get_minimum()
        return np.append(lowest.positions.ravel(), energy)

    assert_same_as_ase(use, ours)


def test_minima_hopping_finds_what_it_finds_in_ase(ours, tmp_path, monkeypatch):
    """Its files are trajectories, which keep what the calculator says of itself, also for a model in memory."""

    def use(make):
        folder = tmp_path / type(make()).__name__
        folder.mkdir()
        monkeypatch.chdir(folder)
        atoms = cluster()
        atoms.calc = make()
        MinimaHopping(atoms, Ediff0=0.1, T0=100, fmax=0.05, mdmin=1)(totalsteps=1)
        return [one.get_potential_energy() for one in read("minima.traj", ":")]

    with without_advice("Use thermalize_momenta"):
        assert_same_as_ase(use, ours)
