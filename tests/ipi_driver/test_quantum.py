"""Path integrals of independent oscillators against the exact energies of P beads.

In normal modes, a ring polymer of P beads of an oscillator has, with tau = beta hbar / P,
    omega_k^2 = 4 sin^2(pi k / P) / tau^2 + omega^2,
so that potential and (virial) kinetic energies are
both (1 / (2 beta)) sum_k omega^2 / omega_k^2 for each degree of freedom, exact for P beads.
"""

import numpy as np
import pytest
from ipi_cases import oscillators, write_structure
from ipi_models import SPRING, Oscillators, exported
from ipi_processes import Bench, ffsocket, write_input

# atomic units; i-PI's own constants, as they enter the simulation
KELVIN, ELECTRONVOLT, ANGSTROM, DALTON = 3.1668152e-06, 0.036749326, 1.8897261, 1822.8885
N_ATOMS = 512
MASS = 1.00784
BLOCKS = 10
MOTION = (
    "<motion mode='dynamics'><fixcom> False </fixcom><dynamics mode='nvt'>"
    "<timestep units='femtosecond'> {timestep} </timestep>"
    "<thermostat mode='pile_l'><tau units='femtosecond'> 5 </tau></thermostat></dynamics></motion>"
)


def exact(temperature, beads, mass):
    """Give the potential and kinetic energy of one degree of freedom in hartree."""
    omega = np.sqrt(SPRING * ELECTRONVOLT / ANGSTROM**2 / mass)
    beta = 1.0 / (KELVIN * temperature)
    k = np.arange(beads)
    ring = 2.0 * beads / beta * np.sin(np.pi * k / beads)
    return 0.5 / beta * np.sum(omega**2 / (ring**2 + omega**2))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported(Oscillators(N_ATOMS), tmp_path_factory.mktemp("quantum") / "model.pt")


@pytest.mark.slow
@pytest.mark.parametrize(("temperature", "beads"), [(300, 1), (300, 4), (300, 8), (600, 2), (600, 6)])
def test_energies_of_ring_polymers_are_exact(temperature, beads, model, tmp_path):
    write_structure(tmp_path, oscillators(N_ATOMS))
    write_input(
        tmp_path, ffsocket(beads), steps=600, beads=beads, temperature=temperature, stride=1000,
        motion=MOTION.format(timestep=0.5), columns="kinetic_cv, temperature",
    )  # fmt: skip
    with Bench(tmp_path) as bench:
        server = bench.ipi()
        bench.client(model)
        assert server.wait(120) == 0
        table, _ = bench.trajectory()
    table = table[101:] / (3 * N_ATOMS)
    expected = exact(temperature, beads, MASS * DALTON)
    # the centroid virial estimator of one bead is a constant: the kinetic energy then
    for column in (2, 4 if beads > 1 else 3):
        blocks = table[:, column].reshape(BLOCKS, -1).mean(axis=1)
        error = blocks.std(ddof=1) / np.sqrt(BLOCKS)
        assert error < 0.02 * expected
        assert abs(blocks.mean() - expected) < 3 * error
    # far from the classical energy where it should be
    if beads > 1:
        assert expected > 1.05 * exact(temperature, 1, MASS * DALTON)
