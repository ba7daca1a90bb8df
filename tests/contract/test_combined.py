"""Models made of models, in each engine: the sum of what their parts give there."""

import numpy as np
import pytest
from lammps_models import Layers

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, load_atomistic_model
from metatomic_core.combining import WeightedSum, combine
from metatomic_core.engine import Structure
from metatomic_core.potentials import lennard_jones
from metatomic_core.testing import Request, installed_subjects
from metatomic_lammps import build_plugin

TYPES, WEIGHT = [8, 14], -0.5
STRENGTHS = (0.010, 0.0101, 0.0103)
ENGINES = ["ase", "ipi", "lammps", "lammps-2"]


def layers():
    """Give a model that passes messages, in whose range atoms of other ranks see each other."""
    energy = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
    module = Layers(2, full_list=True).eval()
    cutoff = max(options.cutoff for options in module.requested_neighbor_lists())
    return AtomisticModel(
        module, ModelMetadata("layers"), ModelCapabilities(energy, TYPES, 2 * cutoff, "angstrom", ["cpu"], "float64")
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    argon = lennard_jones(["Si", "O"], {"Si": 2.4, "O": 2.1}, {"Si": 0.02, "O": 0.01}, cutoff=5.0)
    argon.save(str(folder / "pairs.pt"))
    layers().save(str(folder / "layers.pt"))
    combine([folder / "pairs.pt", folder / "layers.pt"], weights=[1.0, WEIGHT]).save(str(folder / "sum.pt"))
    # members that are near each other, so that no engine warns of them
    for number, strength in enumerate(STRENGTHS):
        lennard_jones(["Si", "O"], {"Si": 2.4, "O": 2.1}, strength, cutoff=5.0).save(str(folder / f"{number}.pt"))
    members = [folder / f"{number}.pt" for number in range(len(STRENGTHS))]
    combine(members, "committee").save(str(folder / "committee.pt"))
    WeightedSum.wrap(load_atomistic_model(folder / "pairs.pt"), "energy/part", {"energy": WEIGHT}).save(
        folder / "weighted.pt"
    )
    return folder


def crystal():
    rng = np.random.default_rng(8)
    cell = np.array([[11.0, 0.0, 0.0], [1.3, 10.6, 0.0], [-0.9, 1.1, 11.3]])
    fractions = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) / 4
    positions = (fractions + rng.uniform(-0.02, 0.02, fractions.shape)) @ cell
    return Structure(rng.choice(TYPES, len(positions)), positions, cell, np.ones(3, dtype=bool))


@pytest.mark.parametrize("name", ENGINES)
def test_engines_give_the_sum_of_the_parts(files, name):
    if name.startswith("lammps"):
        build_plugin()
    subject = installed_subjects()[name]
    found, pairs, many = (
        subject.evaluate(Request(files / f"{file}.pt", [crystal()]))[0] for file in ("sum", "pairs", "layers")
    )
    assert np.abs(pairs.forces).max() > 0.1
    assert np.abs(many.forces).max() > 0.01
    scale = np.abs(pairs.forces).max() + np.abs(many.forces).max()
    assert found.energy == pytest.approx(pairs.energy + WEIGHT * many.energy, rel=1e-9)
    np.testing.assert_allclose(found.forces, pairs.forces + WEIGHT * many.forces, rtol=0, atol=1e-9 * scale)
    size = np.abs(pairs.virial).max() + np.abs(many.virial).max()
    np.testing.assert_allclose(found.virial, pairs.virial + WEIGHT * many.virial, rtol=0, atol=1e-9 * size)


@pytest.mark.parametrize("name", ENGINES)
def test_engines_give_the_statistics_of_a_committee(files, name):
    """Mean, members and standard deviation are those of NumPy, of what the members give by themselves."""
    if name.startswith("lammps"):
        build_plugin()
    subject = installed_subjects()[name]
    members = [subject.evaluate(Request(files / f"{number}.pt", [crystal()]))[0] for number in range(len(STRENGTHS))]
    # which is no sum over atoms, so it is not that of the ranks; i-PI is given that of each atom
    uncertainty = {"energy_uncertainty": "system"} if name in ("ase", "lammps") else {}
    outputs = {"energy_ensemble": "system", **uncertainty}
    (found,) = subject.evaluate(Request(files / "committee.pt", [crystal()], outputs=outputs))
    energies, forces = [each.energy for each in members], [each.forces for each in members]
    assert np.std(energies) > 0.01
    assert found.energy == pytest.approx(np.mean(energies), rel=1e-9)
    np.testing.assert_allclose(found.forces, np.mean(forces, axis=0), rtol=0, atol=1e-9 * np.abs(forces).max())
    np.testing.assert_allclose(np.ravel(found.outputs["energy_ensemble"]), energies, rtol=1e-9)
    for output in uncertainty:
        np.testing.assert_allclose(np.ravel(found.outputs[output]), np.std(energies, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("name", ENGINES)
def test_engines_give_a_weighted_output(files, name):
    if name.startswith("lammps"):
        build_plugin()
    subject = installed_subjects()[name]
    (pairs,) = subject.evaluate(Request(files / "pairs.pt", [crystal()]))
    options = {"variants": {"energy": "part"}}
    (found,) = subject.evaluate(Request(files / "weighted.pt", [crystal()], options=options))
    assert found.energy == pytest.approx(WEIGHT * pairs.energy, rel=1e-9)
    np.testing.assert_allclose(found.forces, WEIGHT * pairs.forces, rtol=0, atol=1e-9 * np.abs(pairs.forces).max())
    np.testing.assert_allclose(found.virial, WEIGHT * pairs.virial, rtol=0, atol=1e-9 * np.abs(pairs.virial).max())
