"""The engine of docs/add-an-engine.rst against the contract, and what its page says of it."""

from pathlib import Path

import numpy as np
import pytest
from toy_engine import adapter, subject
from toy_engine.engine import System, velocity_verlet

from metatomic_core.potentials import lennard_jones
from metatomic_core.testing import run_contract
from metatomic_core.testing.pytest import ContractTests

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "examples" / "toy_engine"


class TestToyEngine(ContractTests):
    subject = subject.SUBJECT


def test_it_conserves_energy():
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    system = System([18] * 27, [39.948] * 27, 0.37 * grid.T + rng.normal(0, 0.01, (3, 27)), 1.11 * np.eye(3))
    potential = adapter.MetatomicPotential(lennard_jones("Ar", 3.405, 0.01032, 5.0), device="cpu")
    spread = []
    for dt in (0.01, 0.005):
        system.x[:], system.v[:] = 0.37 * grid.T + 0.01 * np.cos(np.arange(81).reshape(3, 27)), 0.0
        totals = [energy + system.kinetic_energy() for energy in velocity_verlet(system, potential, dt, int(0.4 / dt))]
        spread.append(np.ptp(totals))
    # of an integrator of second order
    assert spread[0] > 1e-5
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.15)


def test_it_is_as_short_as_its_page_says():
    files = [FOLDER / "toy_engine" / f"{name}.py" for name in ("engine", "adapter", "subject")]
    assert sum(len(file.read_text("utf-8").splitlines()) for file in files) < 100


def test_failure_on_the_page_is_what_comes(monkeypatch):
    class Transposed(adapter.MetatomicPotential):
        def __call__(self, system):
            wrong = System(system.numbers, system.masses, system.x, system.h.T)
            return super().__call__(wrong)

    monkeypatch.setattr(subject, "MetatomicPotential", Transposed)
    outcomes = run_contract(subject.SUBJECT, ["forces", "oblique_cells"])
    assert [outcome.status for outcome in outcomes] == ["passed", "failed"]
    page = " ".join((ROOT / "docs" / "add-an-engine.rst").read_text("utf-8").split())
    assert outcomes[1].reason.partition("; ")[0] in page
