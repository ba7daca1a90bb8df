"""What people do with calculators in ASE: done with ours and with one of ASE that has the same formula."""

import contextlib
import warnings

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.lj import LennardJones

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import lennard_jones

SIGMA, EPSILON, CUTOFF, ONSET = 3.4, 0.0103, 6.0, 4.0
# in eV, angstrom and what is made of them: rounding, as runs of some dozen steps let it grow
TOLERANCE = 1e-9


def argon_model(epsilon=EPSILON):
    return lennard_jones("Ar", SIGMA, epsilon, CUTOFF, shift="smooth", onset=ONSET)


def ase_argon():
    """Give ASE's own calculator with the formula of `argon_model`."""
    return LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF, ro=ONSET, smooth=True)


class Counted:
    """A model, and how often it is evaluated."""

    def __init__(self, model):
        self.model = model
        self.n_calls = 0
        forward = model.module.forward

        def counting(*arguments):
            self.n_calls += 1
            return forward(*arguments)

        model.module.forward = counting

    @contextlib.contextmanager
    def calls(self, expected):
        """Context in which the model is evaluated so often, and not more or less."""
        before = self.n_calls
        yield
        assert self.n_calls - before == expected


def cluster():
    """Give four atoms of argon near each other, no two distances alike."""
    return ase.Atoms("Ar4", [[0.0, 0.0, 0.0], [3.9, 0.0, 0.0], [1.9, 3.3, 0.0], [1.8, 1.2, 3.1]])


def crystal(n_cells=1):
    """Give displaced argon of 4 atoms for each cell."""
    atoms = bulk("Ar", a=5.3, cubic=True) * (n_cells, 1, 1)
    atoms.rattle(0.1, seed=1)
    return atoms


def assert_same_as_ase(use, make_ours, tolerance=TOLERANCE):
    """Check that a use of calculators gives the same with ours as with that of ASE.

    Parameters
    ----------
    use
        Takes a function that gives a calculator, and returns numbers.
    make_ours
        Gives our calculator.
    tolerance
        Largest difference.

    Returns
    -------
    numpy.ndarray
        The numbers.
    """
    # the global state is what algorithms draw from that take no generator
    found = []
    for make in (make_ours, ase_argon):
        np.random.seed(3)  # noqa: NPY002
        found.append(np.asarray(use(make)))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=tolerance)
    return found[0]


@contextlib.contextmanager
def without_advice(*messages):
    """Context without warnings of ASE that are about its own use."""
    with warnings.catch_warnings():
        for message in messages:
            warnings.filterwarnings("ignore", message=message)
        yield


def new_argon():
    return MetatomicCalculator(argon_model())
