"""A weighted sum of outputs of one model: NumPy's, made of the results for each of them."""

import math

import numpy as np
import pytest
from models import Direct, TwoLists, structures, wrap

from metatomic_core import ModelOutput
from metatomic_core.combining import WeightedSum
from metatomic_core.engine import Engine
from metatomic_core.loading import load_atomistic_model

ATOM = ModelOutput(unit="eV", sample_kind="atom")
RESULTS = ("energy", "atomic_energies", "forces", "virial")
WEIGHTS = {"energy/doubled": 0.75, "energy": -0.5}


def variants(unit="eV"):
    return wrap(TwoLists(), {"energy": ATOM, "energy/doubled": ModelOutput("", unit, "atom", description="twice")})


def evaluated(model, variant, **more):
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", variants={"energy": variant}, kernel="script")
    return engine.evaluate(list(structures().values()), RESULTS, **more)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give paths of a model with variants, and of one made of the file."""
    folder = tmp_path_factory.mktemp("models")
    variants().save(str(folder / "variants.pt"))
    mixed = WeightedSum.wrap(load_atomistic_model(folder / "variants.pt"), "energy/mix", WEIGHTS)
    mixed.save(str(folder / "mixed.pt"))
    return folder


@pytest.mark.parametrize("source", ["model", "file"])
def test_sum_is_that_of_results(files, source):
    model = files / "mixed.pt" if source == "file" else WeightedSum.wrap(variants(), "energy/mix", WEIGHTS)
    plain, doubled = evaluated(files / "variants.pt", None), evaluated(files / "variants.pt", "doubled")
    found = evaluated(model, "mix")
    for name in RESULTS:
        expected = 0.75 * getattr(doubled, name) - 0.5 * getattr(plain, name)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(evaluated(model, "doubled").forces, doubled.forces, rtol=0, atol=1e-12)


def test_weights_can_be_normalized():
    model = WeightedSum.wrap(variants(), "energy/mix", {"energy": 1.0, "energy/doubled": 3.0}, True)
    np.testing.assert_allclose(
        evaluated(model, "mix").forces, 1.75 * evaluated(variants(), None).forces, rtol=0, atol=1e-12
    )


def test_metadata_and_requests_stay(files):
    model, before = load_atomistic_model(files / "mixed.pt"), load_atomistic_model(files / "variants.pt")
    assert model.metadata().name == before.metadata().name
    assert model.requested_neighbor_lists() == before.requested_neighbor_lists()
    assert list(model.capabilities().outputs) == ["energy", "energy/doubled", "energy/mix"]
    assert model.capabilities().outputs["energy/mix"].description == "0.75 energy/doubled + -0.5 energy"


def test_sum_of_vectors_is_in_the_order_of_their_samples():
    kinds = {"energy": ATOM, "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom")}
    model = WeightedSum.wrap(wrap(Direct(), kinds), "non_conservative_force/half", {"non_conservative_forces": 0.5})
    engine = Engine(model, length_unit="angstrom", energy_unit="eV")
    crystals = list(structures().values())
    names = dict.fromkeys(("non_conservative_force", "non_conservative_force/half"), "atom")
    outputs = engine.evaluate(crystals, ["energy"], outputs=names).outputs
    whole, half = (outputs[name] for name in names)
    assert np.abs(whole).max() > 0.1
    np.testing.assert_array_equal(half, 0.5 * whole)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("energy/mix", {}), ValueError, "expected `weights` of at least one output, got none"),
        (("energy/mix", [1.0]), TypeError, "expected `weights` to be a dictionary"),
        ((3, WEIGHTS), TypeError, "expected `output_name` to be a string"),
        (("energy/doubled", WEIGHTS), ValueError, "got 'energy/doubled', which the model has already"),
        (("energy/mix", {"energy/double": 1.0}), ValueError, "did you mean 'energy/doubled'"),
        (("energy/mix", {"energy": math.nan}), ValueError, "expected finite numbers in `weights`, got nan"),
        (("charge/mix", {"energy": 1.0}), ValueError, "name the new output 'energy/...'"),
        (("energy/mix", {"energy": 1.0, "energy/doubled": -1.0}, True), ValueError, "sum that is not zero"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(")):
        WeightedSum.wrap(variants(), *arguments)


def test_outputs_in_other_units_are_refused():
    with pytest.raises(ValueError, match="expected outputs in one unit for 'energy/mix', got eV, kJ/mol"):
        WeightedSum.wrap(variants(unit="kJ/mol"), "energy/mix", WEIGHTS)


def test_module_is_refused():
    with pytest.raises(TypeError, match="expected `model` to be an AtomisticModel"):
        WeightedSum.wrap(TwoLists(), "energy/mix", WEIGHTS)


def test_output_by_two_names_is_refused():
    model = wrap(TwoLists(), {"feature": ModelOutput(sample_kind="atom")})
    with pytest.raises(ValueError, match="expected each output once in `weights`, got 'feature' by two names"):
        WeightedSum.wrap(model, "feature/mix", {"feature": 1.0, "features": 2.0})
