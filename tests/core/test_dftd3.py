"""Dispersion added to energies of a model: NumPy's sums of the model's results and those of D3 alone."""

import math

import numpy as np
import pytest
import torch
from models import CUTOFF, NoLists, TwoLists, structures, wrap

from metatomic_core import ModelOutput, load_atomistic_model
from metatomic_core.dftd3 import DFTD3
from metatomic_core.engine import Engine
from metatomic_core.potentials import d3_dispersion

BOHR = 0.529177210903
ATOM = ModelOutput(unit="eV", sample_kind="atom")
RESULTS = ("energy", "forces", "virial")
PBE = {"a1": 0.4289, "a2": 4.4407, "s8": 0.7875}
OTHER = {"a1": 0.3, "a2": 5.0, "s8": 1.1, "s6": 0.5}
CUTOFFS = {"cutoff": 7.0, "cn_cutoff": 5.0}
TYPES = [1, 6, 8, 14]


def variants(kind="atom"):
    plain = ModelOutput(unit="eV", sample_kind=kind)
    return wrap(TwoLists(), {"energy": plain, "energy/doubled": ModelOutput("", "eV", kind, description="twice")})


def evaluated(model, variant=None, results=RESULTS, **more):
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", variants={"energy": variant})
    return engine.evaluate(list(structures().values()), results, **more)


def alone(parameters, results=RESULTS, **more):
    given = {"s6": 1.0, **parameters}
    return evaluated(d3_dispersion(TYPES, given, 7.0, 5.0, width=0.0), None, results, **more)


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    """Give the model in a file, and one made of the file, saved as well."""
    folder = tmp_path_factory.mktemp("models")
    variants().save(str(folder / "model.pt"))
    both = {"energy": PBE, "energy/doubled": OTHER}
    wrapped = DFTD3.wrap(load_atomistic_model(folder / "model.pt"), damping_params=both, **CUTOFFS)
    wrapped.save(str(folder / "corrected.pt"))
    return load_atomistic_model(folder / "model.pt"), load_atomistic_model(folder / "corrected.pt")


@pytest.mark.parametrize(("variant", "parameters"), [(None, PBE), ("doubled", OTHER)])
def test_energies_have_dispersion(corrected, variant, parameters):
    model, wrapped = corrected
    results = (*RESULTS, "atomic_energies")
    before, added, found = (
        evaluated(model, variant, results), alone(parameters, results), evaluated(wrapped, variant, results)
    )  # fmt: skip
    for name in results:
        expected = getattr(before, name) + getattr(added, name)
        assert np.abs(getattr(added, name)).max() > 1e-3
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-10, err_msg=name)


def test_selected_atoms_have_their_part(corrected):
    model, wrapped = corrected
    # in no order, none of one structure
    chosen = {"selected_atoms": np.array([[2, 1], [0, 3], [0, 0]])}
    results = ("energy", "forces")
    before, added, found = (
        evaluated(model, None, results, **chosen), alone(PBE, results, **chosen),
        evaluated(wrapped, None, results, **chosen),
    )  # fmt: skip
    assert np.abs(added.energy).max() > 1e-3
    for name in results:
        expected = getattr(before, name) + getattr(added, name)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-10, err_msg=name)


def test_energies_of_systems_and_model_in_python():
    model = DFTD3.wrap(variants("system"), damping_params={"energy": PBE}, **CUTOFFS)
    before, added = evaluated(variants("system")), alone(PBE)
    for name in RESULTS:
        expected = getattr(before, name) + getattr(added, name)
        np.testing.assert_allclose(getattr(evaluated(model), name), expected, rtol=0, atol=1e-10)
    # the one that is not corrected
    np.testing.assert_array_equal(evaluated(model, "doubled").forces, evaluated(variants("system"), "doubled").forces)


def test_model_in_other_units_and_precision():
    model = wrap(TwoLists(23.060547830619026, 0.1), energy_unit="kcal/mol", length_unit="nm", dtype="float32",
                 interaction_range=0.1 * CUTOFF)  # fmt: skip
    wrapped = DFTD3.wrap(model, damping_params={"energy": PBE}, cutoff=0.7, cn_cutoff=0.5)
    before, added = evaluated(variants()), alone(PBE)
    np.testing.assert_allclose(evaluated(wrapped).forces, before.forces + added.forces, rtol=0, atol=1e-4)


def test_excluded_types_count_as_neighbors_only():
    model = DFTD3.wrap(variants(), damping_params={"energy": PBE}, excluded_atom_types=[1, 8, 14], **CUTOFFS)
    only = (
        evaluated(model, None, ("atomic_energies",)).atomic_energies
        - evaluated(variants(), None, ("atomic_energies",)).atomic_energies
    )
    types = np.concatenate([each.types for each in structures().values()])
    assert (types == 6).any()
    assert np.abs(only[types != 6]).max() < 1e-12
    every = DFTD3.wrap(variants(), damping_params={"energy": PBE}, excluded_atom_types=TYPES, **CUTOFFS)
    np.testing.assert_allclose(evaluated(every).forces, evaluated(variants()).forces, rtol=0, atol=1e-12)


def given_tables(n=15):
    """Give tables with one reference for each element: coefficients that do not depend on coordination."""
    c6 = torch.zeros(n, n, 1, 1, dtype=torch.float64)
    c6[6, 6] = 10.0
    return {"rcov": torch.ones(n), "r4r2": torch.full((n,), 2.0), "c6": c6, "cn_ref": torch.zeros(n, 1)}


def test_given_tables_are_used():
    """Two atoms of carbon, whose energy is the formula."""
    model = DFTD3.wrap(variants(), damping_params={"energy": OTHER}, d3_params=given_tables(), **CUTOFFS)
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    pair = next(iter(structures().values()))
    pair = type(pair)(np.array([6, 6]), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    found, before = (
        Engine(each, length_unit="angstrom", energy_unit="eV").evaluate([pair], ["energy"]).energy[0]
        for each in (model, variants())
    )
    r, c8, radius = 3.0 / BOHR, 120.0, 0.3 * math.sqrt(12.0) + 5.0
    expected = -0.5 * 10.0 / (r**6 + radius**6) - 1.1 * c8 / (r**8 + radius**8)
    assert found - before == pytest.approx(expected * 27.211386245988, rel=1e-9)


def test_requests_range_and_metadata(corrected):
    model, wrapped = corrected
    assert wrapped.capabilities().interaction_range == 12.0
    cutoffs = sorted(each.cutoff for each in wrapped.requested_neighbor_lists())
    assert cutoffs == sorted([*(each.cutoff for each in model.requested_neighbor_lists()), 5.0, 7.0])
    assert "s6=0.5" in wrapped.metadata().extra["D3(BJ) added to"]
    default = DFTD3.wrap(variants(), damping_params={"energy": PBE})
    assert default.capabilities().interaction_range == pytest.approx(75 * BOHR)


def test_ensemble_is_told_to_stay():
    kinds = {"energy": ATOM, "energy_ensemble": ATOM}
    with pytest.warns(UserWarning, match="'energy_ensemble' stays without dispersion"):
        DFTD3.wrap(wrap(TwoLists(), kinds), damping_params={"energy": PBE})
    kinds = {"energy": ATOM, "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom")}
    with pytest.warns(UserWarning, match="'non_conservative_force' stays without dispersion"):
        DFTD3.wrap(wrap(TwoLists(), kinds), damping_params={"energy": PBE})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"damping_params": {}}, ValueError, "expected `damping_params` of at least one output, got none"),
        ({"damping_params": [PBE]}, TypeError, "expected `damping_params` to be a dictionary"),
        ({"damping_params": {"energy/double": PBE}}, ValueError, "did you mean 'energy/doubled'"),
        ({"damping_params": {"energy": {"a1": 0.4, "a2": 4.0}}}, ValueError, "to have s6, s8, a1, a2, got s6, a1, a2"),
        ({"damping_params": {"energy": {**PBE, "damping": "zero"}}}, ValueError, "expected damping 'bj'"),
        ({"damping_params": {"energy": {**PBE, "s8": math.nan}}}, ValueError, "expected `s8` to be a finite number"),
        ({"cutoff": -1.0}, ValueError, "expected `cutoff` to be a finite number above 0, got -1"),
        ({"cn_cutoff": 0.0}, ValueError, "expected `cn_cutoff` to be a finite number above 0, got 0"),
        ({"excluded_atom_types": [7]}, ValueError, "expected `excluded_atom_types` among"),
        ({"d3_params": {"c6": torch.zeros(1)}}, ValueError, "got none of rcov, r4r2, cn_ref"),
        ({"d3_params": given_tables(9)}, ValueError, "expected `d3_params` for all types of the model, 14, got tables"),
        ({"d3_params": {**given_tables(), "c6": torch.zeros(15, 15)}}, ValueError, "expected 'c6' of `d3_params`"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error) as caught:
        DFTD3.wrap(variants(), **{"damping_params": {"energy": PBE}, **arguments})
    assert message in str(caught.value)


def test_other_outputs_and_own_gradients_are_refused():
    with pytest.raises(TypeError, match="expected `model` to be an AtomisticModel, got TwoLists"):
        DFTD3.wrap(TwoLists(), damping_params={"energy": PBE})
    kinds = {"energy": ATOM, "energy_uncertainty": ATOM}
    with pytest.raises(ValueError, match="expected `damping_params` of energies, got 'energy_uncertainty'"):
        DFTD3.wrap(wrap(TwoLists(), kinds), damping_params={"energy_uncertainty": PBE})
    gradients = ModelOutput(unit="eV", sample_kind="system", explicit_gradients=["positions"])
    with pytest.raises(ValueError, match="with gradients that the model gives itself"):
        DFTD3.wrap(wrap(NoLists(), {"energy": gradients}), damping_params={"energy": PBE})
