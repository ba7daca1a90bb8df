"""`ModelOutput`, `ModelCapabilities` and `ModelEvaluationOptions`: validation, both ways of saying things, printing."""

import math

import pytest
import torch
from metatensor.torch import Labels

from metatomic_core import ModelCapabilities, ModelEvaluationOptions, ModelOutput

older = pytest.mark.filterwarnings("ignore:`(quantity|per_atom)` is deprecated, use:DeprecationWarning")

# --- ModelOutput


@older
def test_output_defaults():
    output = ModelOutput()
    assert (output.quantity, output.unit, output.sample_kind, output.explicit_gradients) == ("", "", "system", [])
    assert (output.description, output.per_atom) == ("", False)


@older
@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"sample_kind": "atom"}, "atom"),
        ({"sample_kind": "system"}, "system"),
        ({"per_atom": True}, "atom"),
        ({"per_atom": False}, "system"),
        ({"sample_kind": True}, "atom"),
        ({"sample_kind": False}, "system"),
    ],
)
def test_output_per_atom_both_ways(arguments, kind):
    output = ModelOutput("energy", "eV", **arguments)
    assert output.sample_kind == kind
    assert output.per_atom is (kind == "atom")
    output.per_atom = not output.per_atom
    assert output.sample_kind == ("system" if kind == "atom" else "atom")


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda: ModelOutput(quantity="energy"), "quantity"),
        (lambda: setattr(ModelOutput(), "quantity", "energy"), "quantity"),
        (lambda: ModelOutput(per_atom=False), "per_atom"),
        (lambda: ModelOutput("", "eV", True), "per_atom"),
        (lambda: ModelOutput().per_atom, "per_atom"),
        (lambda: setattr(ModelOutput(), "per_atom", True), "per_atom"),
    ],
)
def test_older_names_of_an_output_warn_where_they_are_used(use, name):
    with pytest.warns(DeprecationWarning, match=f"`{name}` is deprecated, use") as caught:
        use()
    assert [warning.filename for warning in caught] == [__file__]


@older
def test_output_third_positional_argument():
    assert ModelOutput("energy", "eV", True).sample_kind == "atom"
    assert ModelOutput("energy", "eV", "atom_pair").sample_kind == "atom_pair"


@older
def test_output_per_atom_of_atom_pair_is_refused():
    with pytest.raises(ValueError, match="expected `per_atom` of values per system or atom, got 'atom_pair'; use `sam"):
        _ = ModelOutput(sample_kind="atom_pair").per_atom


@pytest.mark.parametrize("kind", ["atom", True])
def test_output_both_kinds_given_is_refused(kind):
    with pytest.raises(ValueError, match="expected one of `sample_kind` and `per_atom`, got both"):
        ModelOutput(sample_kind=kind, per_atom=True)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"quantity": 1}, TypeError, "expected `quantity` to be a string, got int"),
        ({"unit": None}, TypeError, "expected `unit` to be a string, got NoneType"),
        ({"description": 2}, TypeError, "expected `description` to be a string, got int"),
        ({"sample_kind": 3}, TypeError, "expected `sample_kind` to be a string, got int"),
        ({"per_atom": "yes"}, TypeError, "expected `per_atom` to be True or False, got str"),
        (
            {"explicit_gradients": "positions"},
            TypeError,
            "expected `explicit_gradients` to be a list of strings, got s",
        ),
        (
            {"sample_kind": "atoms"},
            ValueError,
            "expected `sample_kind` to be one of 'system', 'atom', 'atom_pair', got 'atoms'; did you mean 'atom'",
        ),
        (
            {"explicit_gradients": ["position"]},
            ValueError,
            "expected `explicit_gradients` to be one of 'positions', 'strain', got 'position'; did you mean 'pos",
        ),
        ({"unit": "furlong"}, ValueError, "expected a unit for `unit`, got 'furlong'"),
    ],
)
def test_output_refuses(arguments, kind, message):
    with pytest.raises(kind, match=message):
        ModelOutput(**arguments)


@older
@pytest.mark.parametrize(
    ("quantity", "unit", "dimension"),
    [("energy", "angstrom", "energy"), ("length", "eV", "length"), ("non_conservative_forces", "eV", "force")],
)
def test_defect_quantity_and_unit_that_disagree(quantity, unit, dimension):
    with pytest.raises(ValueError, match=f"expected a unit of {dimension} for `unit`, got '{unit}'"):
        ModelOutput(quantity, unit)
    output = ModelOutput(quantity)
    with pytest.raises(ValueError, match=f"expected a unit of {dimension} for `unit`, got '{unit}'"):
        output.unit = unit
    assert output.unit == ""
    output = ModelOutput(unit=unit)
    with pytest.raises(ValueError, match=f"expected a unit of {dimension} for `unit`, got '{unit}'"):
        output.quantity = quantity


@older
def test_output_of_dimensionless_quantity_has_no_unit():
    with pytest.raises(ValueError, match="expected no unit for `unit` of 'feature', which has no dimension, got 'eV'"):
        ModelOutput("feature", "eV")


@older
def test_output_any_quantity_text_is_accepted():
    assert ModelOutput("whatever older models wrote", "eV").unit == "eV"
    assert ModelOutput("tests::field", "eV/angstrom").unit == "eV/angstrom"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("sample_kind", "pair", ValueError),
        ("explicit_gradients", ["cell"], ValueError),
        ("explicit_gradients", "strain", TypeError),
        ("description", 3, TypeError),
        ("per_atom", "yes", TypeError),
    ],
)
def test_output_setters_refuse(name, value, kind):
    output = ModelOutput(unit="eV")
    with pytest.raises(kind, match=f"expected `{name}` to be"):
        setattr(output, name, value)
    assert output == ModelOutput(unit="eV")


@older
def test_output_setters_take_new_values():
    output = ModelOutput()
    values = {"quantity": "energy", "unit": "eV", "sample_kind": "atom", "explicit_gradients": ["strain"]}
    for name, value in {**values, "description": "text"}.items():
        setattr(output, name, value)
        assert getattr(output, name) == value


def test_output_does_not_share_its_list():
    gradients = ["positions"]
    output = ModelOutput(explicit_gradients=gradients)
    gradients.append("strain")
    assert output.explicit_gradients == ["positions"]


@older
def test_output_equality():
    assert ModelOutput("energy", "eV", True) == ModelOutput("energy", "eV", per_atom=True)
    for other in [ModelOutput("energy", "meV"), ModelOutput("energy", "eV", description="x"), "energy", None]:
        assert ModelOutput("energy", "eV") != other


@older
def test_output_repr_is_python():
    output = ModelOutput("energy", "eV", "atom", ["positions"], "a text")
    assert eval(repr(output)) == output  # noqa: S307
    assert repr(ModelOutput(unit="eV")) == "ModelOutput(unit='eV', sample_kind='system')"


# --- ModelCapabilities

ENERGY = ModelOutput(unit="eV", sample_kind="atom")


def test_capabilities_defaults():
    capabilities = ModelCapabilities()
    assert (capabilities.outputs, capabilities.atomic_types, capabilities.supported_devices) == ({}, [], [])
    assert (capabilities.interaction_range, capabilities.length_unit, capabilities.dtype) == (-1.0, "", "")


CAPABILITIES_REFUSED = [
    ("outputs", [ENERGY], TypeError, "expected `outputs` to be a dictionary, got list"),
    ("outputs", {1: ENERGY}, TypeError, "expected `outputs` to be a dictionary with string keys, got int"),
    ("outputs", {"energy": "eV"}, TypeError, "expected a ModelOutput for output 'energy', got str"),
    ("outputs", {"enrgy": ENERGY}, ValueError, "expected a standard quantity, got 'enrgy'; did you mean 'energy'"),
    ("outputs", {"energy/": ENERGY}, ValueError, "expected `output` to be a name, .*, got 'energy/'"),
    ("outputs", {"tests::": ENERGY}, ValueError, "expected `output` to have text on both sides of '::', got 'tests::'"),
    ("outputs", {"a/b::c": ENERGY}, ValueError, "expected `output` to have '::' before the variant, got 'a/b::c'"),
    ("outputs", {"charge": ENERGY}, ValueError, "expected a unit of charge for `unit of output 'charge'`, got 'eV'"),
    ("outputs", {"feature": ENERGY}, ValueError, "expected no unit for output 'feature', which has no dimension"),
    ("atomic_types", 3, TypeError, "expected `atomic_types` to be a list of integers, got int"),
    ("atomic_types", [1.5], TypeError, "expected `atomic_types` to be a list of integers, got float"),
    ("atomic_types", [True], TypeError, "expected `atomic_types` to be a list of integers, got bool"),
    ("atomic_types", [2**31], ValueError, "expected `atomic_types` to be 32-bit integers, got 2147483648"),
    ("interaction_range", "5", TypeError, "expected `interaction_range` to be a number, got str"),
    ("interaction_range", math.nan, ValueError, "expected `interaction_range` to be a number or infinity, got nan"),
    ("length_unit", "eV", ValueError, "expected a unit of length for `length_unit`, got 'eV'"),
    ("length_unit", 1, TypeError, "expected a string for `length_unit`, got int"),
    ("supported_devices", "cpu", TypeError, "expected `supported_devices` to be a list of strings, got str"),
    ("supported_devices", [0], TypeError, "expected `supported_devices` to be a list of strings, got int"),
    ("dtype", torch.float32, TypeError, "expected `dtype` to be a string, got dtype"),
    ("dtype", "float16", ValueError, "expected `dtype` to be one of 'float32', 'float64', got 'float16'"),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), CAPABILITIES_REFUSED)
def test_capabilities_refuse_in_constructor_and_setter(name, value, kind, message):
    with pytest.raises(kind, match=message):
        ModelCapabilities(**{name: value})
    capabilities = ModelCapabilities()
    with pytest.raises(kind, match=message):
        setattr(capabilities, name, value)
    assert capabilities == ModelCapabilities()


def test_defect_atomic_types_are_validated():
    with pytest.raises(ValueError, match=r"expected `atomic_types` to have each type once, got \[1, 8, 1\]"):
        ModelCapabilities(atomic_types=[1, 8, 1])


def test_defect_supported_devices_are_validated():
    with pytest.raises(
        ValueError, match=r"expected `supported_devices` to be one of 'cpu', .*got 'cdua'; did you mean"
    ):
        ModelCapabilities(supported_devices=["cdua"])


def test_capabilities_warn_of_output_without_unit():
    with pytest.warns(UserWarning, match="expected a unit of energy for output 'energy', got none; its values will"):
        ModelCapabilities({"energy": ModelOutput()})


def test_capabilities_warn_of_variant_without_description():
    described = ModelOutput(unit="eV", description="PBE")
    ModelCapabilities({"energy": ENERGY, "energy/pbe": described})
    with pytest.warns(UserWarning, match="expected a description for each variant, got none for 'energy/b'; set"):
        ModelCapabilities({"energy/pbe": described, "energy/b": ENERGY})


def test_capabilities_engine_interaction_range():
    capabilities = ModelCapabilities(interaction_range=5.0, length_unit="angstrom")
    assert capabilities.engine_interaction_range("nm") == pytest.approx(0.5, rel=1e-15)
    capabilities.interaction_range = math.inf
    assert capabilities.engine_interaction_range("nm") == math.inf
    with pytest.raises(ValueError, match="'kg'"):
        capabilities.engine_interaction_range("kg")


def test_capabilities_equality_and_repr():
    arguments = ({"energy": ENERGY}, [1, 8], 5.0, "nm", ["cpu"], "float64")
    assert ModelCapabilities(*arguments) == ModelCapabilities(*arguments)
    assert ModelCapabilities(*arguments) != ModelCapabilities()
    assert eval(repr(ModelCapabilities(*arguments))) == ModelCapabilities(*arguments)  # noqa: S307


# --- ModelEvaluationOptions


@pytest.mark.parametrize(
    ("name", "value", "kind", "message"),
    [
        ("length_unit", "eV", ValueError, "expected a unit of length for `length_unit`, got 'eV'"),
        ("outputs", {"energ": ENERGY}, ValueError, "expected a standard quantity, got 'energ'; did you mean 'energy'"),
        ("outputs", {"energy": None}, TypeError, "expected a ModelOutput for output 'energy', got NoneType"),
        ("selected_atoms", [0, 1], TypeError, "expected `selected_atoms` to be Labels or None, got list"),
        (
            "selected_atoms",
            Labels(["atom", "system"], torch.tensor([[0, 0]])),
            ValueError,
            r"expected `selected_atoms` to have the dimensions \['system', 'atom'\], got \['atom', 'system'\]",
        ),
    ],
)
def test_evaluation_options_refuse_in_constructor_and_setter(name, value, kind, message):
    with pytest.raises(kind, match=message):
        ModelEvaluationOptions(**{name: value})
    options = ModelEvaluationOptions()
    with pytest.raises(kind, match=message):
        setattr(options, name, value)


def test_evaluation_options_keep_what_they_are_given():
    selected = Labels(["system", "atom"], torch.tensor([[0, 1]]))
    options = ModelEvaluationOptions("bohr", {"energy": ENERGY}, selected)
    assert (options.length_unit, options.outputs, options.selected_atoms) == ("bohr", {"energy": ENERGY}, selected)
    options.selected_atoms = None
    options.length_unit = "nm"
    assert repr(options) == (
        "ModelEvaluationOptions(length_unit='nm', outputs={'energy': ModelOutput(unit='eV', sample_kind='atom')}, "
        "selected_atoms=None)"
    )
