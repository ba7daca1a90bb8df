"""One contract for all ways to run: what a model says does not depend on how it is run.

The models themselves have oracles of their own, see test_pipeline.py and the tests of the potentials.
"""

import dataclasses

import numpy as np
import pytest
import torch
from models import CUTOFF, Direct, FieldAndVolume, NoLists, TwoLists, structures, wrap

from metatomic_core import ModelOutput
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import lennard_jones, stillinger_weber

RESULTS = ["energy", "atomic_energies", "forces", "virial", "stress"]
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
ATOM, SYSTEM = ModelOutput(unit="eV", sample_kind="atom"), ModelOutput(unit="eV", sample_kind="system")


def with_outputs(dtype="float64"):
    outputs = {
        "energy": ATOM,
        "energy/doubled": ModelOutput(unit="eV", sample_kind="atom", description="twice as much"),
        "energy_ensemble": ATOM,
        "energy_uncertainty": ATOM,
    }
    return wrap(TwoLists(), outputs, dtype=dtype)


def direct():
    outputs = {
        "energy": ATOM,
        "non_conservative_forces": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
    }
    return wrap(Direct(), outputs)


MODELS = {
    "two lists": lambda: wrap(TwoLists()),
    "two lists float32": lambda: wrap(TwoLists(), dtype="float32"),
    "other units": lambda: wrap(
        TwoLists(23.06, 0.1), energy_unit="kcal/mol", length_unit="nm", interaction_range=0.1 * CUTOFF
    ),
    "outputs": with_outputs,
    "positions and cell": lambda: wrap(FieldAndVolume()),
    "energy of systems": lambda: wrap(TwoLists(), {"energy": SYSTEM}),
    "direct": direct,
    "no lists": lambda: wrap(NoLists()),
}
ASKED = {
    "outputs": {
        "energy/doubled": "atom",
        "energy_ensemble": "system",
        "energy_uncertainty": "atom",
    }
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give a function that saves a model once, and gives an engine for each kernel once."""
    folder, engines = tmp_path_factory.mktemp("models"), {}

    def pair(name, **options):
        path = folder / f"{name.replace(' ', '-')}.pt"
        if not path.exists():
            MODELS[name]().save(str(path), exported=True)
        key = (name, *options.items())
        if key not in engines:
            engines[key] = [engine(path, kernel, **options) for kernel in ("script", "eager")]
        return engines[key]

    return pair


def engine(file, kernel, **options):
    return Engine(file, length_unit="angstrom", energy_unit="eV", device="cpu", kernel=kernel, **options)


def assert_same(expected, found, tolerance):
    for name in [*RESULTS, "atomic_virials"]:
        a, b = getattr(expected, name), getattr(found, name)
        assert (a is None) == (b is None), name
        if a is not None and a.size:
            assert a.dtype == b.dtype
            scale = max(np.nanmax(np.abs(expected.energy), initial=0.0), np.nanmax(np.abs(a), initial=0.0))
            np.testing.assert_allclose(b, a, rtol=0.0, atol=tolerance * scale, err_msg=name)
    assert expected.outputs.keys() == found.outputs.keys()
    for name, values in expected.outputs.items():
        scale = np.nanmax(np.abs(values), initial=0.0)
        assert values.dtype == found.outputs[name].dtype
        np.testing.assert_allclose(found.outputs[name], values, rtol=0.0, atol=tolerance * scale, err_msg=name)
        a, b = expected.tensors[name].block(0), found.tensors[name].block(0)
        order = [b.samples.position(entry) for entry in a.samples]
        assert None not in order
        assert (a.properties, a.components) == (b.properties, b.components)
        torch.testing.assert_close(b.values[order], a.values, rtol=0.0, atol=tolerance * scale)


@pytest.mark.parametrize("name", MODELS)
def test_programs_give_what_the_model_gives(files, name):
    script, eager = files(name)
    header = script.model.header
    assert header.programs, header.untraced
    tolerance = TOLERANCES[header.capabilities.dtype]
    per_atom = header.programs[0].per_atom
    results = [result for result in RESULTS if per_atom or result != "atomic_energies"]
    outputs = ASKED.get(name, {})
    batches = [[structure] for structure in structures().values()] + [list(structures().values())]
    for batch in batches:
        some_volume = any(structure.pbc.any() for structure in batch)
        asked = [result for result in results if some_volume or result != "stress"]
        expected = script.evaluate(batch, asked, outputs=outputs)
        found = eager.evaluate(batch, asked, outputs=outputs)
        assert eager.fallback == ""
        assert_same(expected, found, tolerance)
    assert eager.seconds["eager"] > 0
    assert "script" not in eager.seconds


@pytest.mark.parametrize("name", ["two lists", "outputs", "two lists float32", "positions and cell"])
def test_selected_atoms(files, name):
    engines = files(name)
    batch = list(structures().values())[:4]
    tolerance = TOLERANCES[engines[0].capabilities.dtype]
    selected = np.array([[2, 3], [0, 5], [0, 1], [3, 0]])
    expected, found = (
        each.evaluate(
            batch,
            ["energy", "atomic_energies", "forces", "virial"],
            outputs=ASKED.get(name, {}),
            selected_atoms=selected,
        )
        for each in engines
    )
    assert_same(expected, found, tolerance)
    assert expected.energy[1] == 0.0


@pytest.mark.parametrize("non_conservative", ["on", "forces", "stress"])
def test_direct_predictions(files, non_conservative):
    batch = [structures()["triclinic"], structures()["small cell"]]
    expected, found = (
        each.evaluate(batch, ["energy", "forces", "stress"])
        for each in files("direct", non_conservative=non_conservative)
    )
    assert_same(expected, found, 1e-12)


def test_virials_of_atoms(files):
    batch = list(structures().values())
    expected, found = (
        each.evaluate(batch, ["energy", "atomic_virials", "atomic_stresses"]) for each in files("two lists")
    )
    assert_same(expected, found, 1e-12)
    np.testing.assert_allclose(found.atomic_stresses, expected.atomic_stresses, rtol=0.0, atol=1e-14)


def gas(n_atoms, rng, types):
    """Give so many atoms, most of them with few neighbors."""
    edge = max(n_atoms, 1) ** (1 / 3) * 3.5
    positions = rng.uniform(0.0, edge, size=(n_atoms, 3))
    return Structure(rng.choice(types, size=n_atoms), positions, edge * np.eye(3), np.array([True, True, False]))


@pytest.mark.parametrize("n_atoms", [0, 1, 2, 3, 1000])
def test_any_number_of_atoms_and_pairs(files, n_atoms):
    rng = np.random.default_rng(n_atoms)
    script, eager = files("two lists")
    for step in range(3):
        structure = gas(n_atoms, rng, [1, 6, 8, 14])
        # from no pairs at all to a dense one
        scaled = dataclasses.replace(
            structure, positions=structure.positions / (1 + step), cell=structure.cell * (3.0 if step == 0 else 1.0)
        )
        assert_same(scaled_result(script, scaled), scaled_result(eager, scaled), 1e-12)


def scaled_result(each, structure):
    return each.evaluate([structure], ["energy", "atomic_energies", "forces", "virial"])


def test_potentials(tmp_path):
    lennard_jones(["Ar", "Kr"], {"Ar": 3.4, "Kr": 3.6}, {"Ar": 0.01, "Kr": 0.014}, cutoff=6.0).save(
        f"{tmp_path}/lj.pt", exported=True
    )
    stillinger_weber().save(f"{tmp_path}/sw.pt", exported=True)
    for name, types, length in (("lj", [36, 18], 2.9), ("sw", [14], 2.2)):
        rng = np.random.default_rng(2)
        cell = np.array([[4.2, 0.3, 0.0], [-0.4, 4.0, 0.5], [0.2, 0.1, 4.4]]) * length
        grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3) / 4 + rng.uniform(0, 0.05, (64, 3))
        structure = Structure(rng.choice(types, 64), (grid + [2, -1, 0]) @ cell, cell, np.ones(3, dtype=bool))
        script, eager = (engine(tmp_path / f"{name}.pt", kernel) for kernel in ("script", "eager"))
        assert_same(scaled_result(script, structure), scaled_result(eager, structure), 1e-12)
