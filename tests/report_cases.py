"""A report without a model, and a table of tiny checks, for tests of what is done with reports."""

import numpy as np

from metatomic_check import table
from metatomic_check.finding import Finding, Grade, Line, Plot, graded
from metatomic_check.report import Asked, Configuration, ModelFacts, Provenance, Report
from metatomic_core.engine import Structure

POSITIONS = np.array([[0.0, 0.1, 0.2], [2.3, 0.0, 0.4]])
DIMER = Structure(np.array([14, 14]), POSITIONS, np.zeros((3, 3)), np.zeros(3, bool))


def plot(**more):
    x = np.linspace(1.5, 4.0, 11)
    lines = (Line("Si-Si", x, (x - 2.3) ** 2), Line("Si-O", x, np.where(x < 2, np.nan, 1 / x)))
    return Plot("Energy of dimers", "distance / Å", "energy / eV", lines, marks=((3.8, "cutoff"),), **more)


def report(*findings, **model):
    """A report with findings, in which "forces" belongs to the contract and everything else to physics."""
    names = dict.fromkeys(finding.check for finding in findings)
    groups = {"forces": "contract"}
    facts = {
        "file": "si.pt",
        "sha256": "ab" * 32,
        "n_bytes": 12345,
        "name": "Toy",
        "description": "A toy.",
        "authors": ("A. Author", "B. Author"),
        "references": {"model": ("doi:10.1103/PhysRevB.31.5262",)},
        "extra": {},
        "species": ("Si",),
        "dtype": "float64",
        "interaction_range": 3.77,
        "outputs": ("energy",),
    }
    how = Provenance(
        "2026-11-30 12:00 UTC", "metatomic check si.pt", "normal", 0, {}, {"torch": "2.13.0"}, {"cores": "2"}
    )
    shown = [
        Configuration(one.check, one.part, name, structure, -4.3, np.array([[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]))
        for one in findings
        for name, structure in one.structures.items()
    ]
    return Report(
        ModelFacts(**{**facts, **model}),
        how,
        tuple(Asked(name, groups.get(name, "physics"), f"Meaning of {name}.", 0.5) for name in names),
        findings,
        {"dimer": DIMER},
        tuple(shown),
    )


def failing(text="forces are not minus the derivative of the energy; do not run dynamics", **more):
    return graded("forces", 0.25, 1e-6, text, unit="eV/Å", part="dimer", structures={"worst": DIMER}, **more)


def tiny_checks(monkeypatch, **runs):
    """Put checks in the place of all that there are: functions of a bench by their names."""
    table.all_checks()
    checks = {}
    for name, run in runs.items():
        slow = name.startswith("slow")
        group = "numerics" if slow else "contract"
        checks[name] = table.Check(name, group, f"Meaning of {name}.", run, quick=not slow)
    monkeypatch.setattr(table, "_TABLE", checks)


def passing(bench):
    """The energy of each structure is a number."""
    for name, structure in bench.structures.items():
        energy = abs(bench.energy(structure))
        yield Finding("passing", Grade.PASS, "the energy is a number", part=name, number=energy, limit=1e6, unit="eV")


def broken(bench):
    """The first structure is said to be wrong."""
    name, structure = next(iter(bench.structures.items()))
    yield graded("broken", 2.0, 1.0, "it is too much; do less", part=name, unit="eV", structures={"worst": structure})
