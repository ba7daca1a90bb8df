"""Molecular dynamics of ASE: each trajectory as with ASE's own calculator of the same formula."""

import numpy as np
import pytest
from ase import units
from ase.md.andersen import Andersen
from ase.md.bussi import Bussi
from ase.md.contour_exploration import ContourExploration
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.melchionna import MelchionnaNPT
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.nptberendsen import NPTBerendsen
from ase.md.nvtberendsen import NVTBerendsen
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase_idioms import Counted, argon_model, assert_same_as_ase, crystal

from metatomic_ase import MetatomicCalculator

STEP, N_STEPS = 5 * units.fs, 8
WARM = {"temperature_K": 40}
SLOW, SLOWER = 100 * units.fs, 1000 * units.fs


def new_random():
    return np.random.default_rng(3)


def old_random():
    return np.random.RandomState(3)


DYNAMICS = {
    "VelocityVerlet": lambda atoms: VelocityVerlet(atoms, STEP),
    "Langevin": lambda atoms: Langevin(atoms, STEP, friction=0.01 / units.fs, fixcm=False, rng=new_random(), **WARM),
    "LangevinBAOAB": lambda atoms: LangevinBAOAB(atoms, STEP, T_tau=SLOW, rng=new_random(), **WARM),
    "NoseHooverChainNVT": lambda atoms: NoseHooverChainNVT(atoms, STEP, tdamp=SLOW, **WARM),
    "IsotropicMTKNPT": lambda atoms: IsotropicMTKNPT(atoms, STEP, pressure_au=0, tdamp=SLOW, pdamp=SLOWER, **WARM),
    "MTKNPT": lambda atoms: MTKNPT(atoms, STEP, pressure_au=0, tdamp=SLOW, pdamp=SLOWER, **WARM),
    "Bussi": lambda atoms: Bussi(atoms, STEP, taut=SLOW, rng=old_random(), **WARM),
    "Andersen": lambda atoms: Andersen(atoms, STEP, andersen_prob=0.1, rng=old_random(), **WARM),
    "NVTBerendsen": lambda atoms: NVTBerendsen(atoms, STEP, taut=SLOW, **WARM),
    "NPTBerendsen": lambda atoms: NPTBerendsen(atoms, STEP, pressure_au=0.0, compressibility_au=10.0, **WARM),
    "MelchionnaNPT": lambda atoms: MelchionnaNPT(atoms, STEP, externalstress=0.0, ttime=SLOW, pfactor=1e3, **WARM),
    "ContourExploration": lambda atoms: ContourExploration(atoms, maxstep=0.1, rng=old_random()),
}
MOVES_CELL = {"IsotropicMTKNPT", "MTKNPT", "NPTBerendsen", "MelchionnaNPT"}


@pytest.fixture(scope="module")
def counted():
    return Counted(argon_model())


def warm_crystal():
    atoms = crystal()
    thermalize_momenta(atoms, 40 * units.kB, rng=new_random())
    Stationary(atoms, preserve_temperature=False)
    return atoms


@pytest.mark.parametrize("name", DYNAMICS)
def test_trajectories_are_those_of_ase(counted, name):
    def use(make):
        atoms = warm_crystal()
        atoms.calc = make()
        DYNAMICS[name](atoms).run(N_STEPS)
        return np.vstack([atoms.positions, atoms.get_momenta(), atoms.cell.array])

    found = assert_same_as_ase(use, lambda: MetatomicCalculator(counted.model))
    assert (np.abs(found[-3:] - crystal().cell.array).max() > 1e-9) == (name in MOVES_CELL)


def test_a_step_is_one_evaluation(counted):
    atoms = warm_crystal()
    atoms.calc = MetatomicCalculator(counted.model)
    run = VelocityVerlet(atoms, STEP)
    # what loggers and trajectories ask for comes from the cache
    run.attach(lambda: (atoms.get_total_energy(), atoms.get_stress(), atoms.get_temperature()), interval=1)
    with counted.calls(N_STEPS + 1):
        run.run(N_STEPS)


def test_atoms_may_leave_during_a_run(counted):
    def use(make):
        atoms = warm_crystal()
        atoms.calc = make()

        def lose():
            if len(atoms) == 4:
                del atoms[2]

        VelocityVerlet(atoms, STEP).run(2)
        lose()
        VelocityVerlet(atoms, STEP).run(3)
        assert len(atoms) == 3
        return np.vstack([atoms.positions, atoms.get_momenta()])

    assert_same_as_ase(use, lambda: MetatomicCalculator(counted.model))


def test_the_energy_is_conserved(counted):
    atoms = warm_crystal()
    atoms.calc = MetatomicCalculator(counted.model)
    total = []
    run = VelocityVerlet(atoms, 2 * units.fs)
    run.attach(lambda: total.append(atoms.get_total_energy()), interval=10)
    run.run(200)
    kinetic = 1.5 * len(atoms) * 40 * units.kB
    assert np.ptp(total) < 2e-3 * kinetic
