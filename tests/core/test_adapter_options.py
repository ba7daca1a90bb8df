"""The tables of options: what Python, command lines and texts make of them."""

import inspect

import click
import pytest
from click.testing import CliRunner

from metatomic_core.adapters.options import ENGINE_OPTIONS, Option, checked_options, takes_options
from metatomic_core.adapters.text_options import arguments_of, click_options, options_from_text, text_from_options
from metatomic_core.engine import NON_CONSERVATIVE, Engine

TABLE = {
    **ENGINE_OPTIONS,
    "virial": Option(bool, True, "Compute virials."),
    "extras": Option(tuple, (), "Output to send along.", "extra", "NAME"),
    "max_force": Option(float, None, "Largest force."),
}
# one value of each option that is not the default, and how a command line and a text have it
CHANGED = {
    "device": ("cuda:1", ["--device", "cuda:1"], "cuda:1"),
    "extensions_directory": ("dir", ["--extensions", "dir"], "dir"),
    "variants": (
        {"energy": "pbe", "energy_uncertainty": None},
        ["--variant", "energy=pbe", "--variant", "energy_uncertainty=off"],
        "energy=pbe;energy_uncertainty=off",
    ),
    "non_conservative": ("forces", ["--non-conservative", "forces"], "forces"),
    "check_consistency": (True, ["--check"], "true"),
    "neighbor_skin": (0.5, ["--skin", "0.5"], "0.5"),
    "uncertainty_threshold": (None, ["--uncertainty-threshold", "off"], "off"),
    "virial": (False, ["--no-virial"], "false"),
    "kernel": ("script", ["--kernel", "script"], "script"),
    "extras": (("dipole", "charge"), ["--extra", "dipole", "--extra", "charge"], "dipole;charge"),
    "max_force": (30.0, ["--max-force", "30.0"], "30.0"),
}


def parsed(arguments, table=TABLE):
    """Give what a command gets for arguments."""
    got = {}

    @click.command()
    @click_options(table)
    def command(**options):
        got.update(options)

    result = CliRunner().invoke(command, arguments)
    if result.exit_code:
        raise ValueError(result.output)
    return got


def defaults():
    return checked_options("the test", {}, TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_value_survives_the_command_line_and_a_text(name):
    value, arguments, text = CHANGED[name]
    options = {**defaults(), name: value}
    assert arguments_of(options, TABLE) == arguments
    assert parsed(arguments)[name] == value
    assert text_from_options(options, TABLE) == {name: text}
    assert options_from_text("the test", {name: text}, TABLE) == {name: value}


def test_defaults_need_no_argument():
    assert arguments_of(defaults(), TABLE) == []
    assert text_from_options(parsed([]), TABLE) == {}
    got = parsed([])
    assert {name: got[name] or None for name in TABLE} == {name: value or None for name, value in defaults().items()}


@pytest.mark.parametrize("arguments", [["--variant", "pbe"], ["--variant", "energy:pbe"], ["--variant", "energy="]])
def test_variants_have_one_spelling(arguments):
    with pytest.raises(ValueError, match="expected NAME=VARIANT, such as energy=pbe, got"):
        parsed(arguments)
    with pytest.raises(ValueError, match="expected NAME=VARIANT, such as energy=pbe, got"):
        options_from_text("the test", {"variants": arguments[1]}, TABLE)


def test_limits_are_numbers_or_off():
    assert parsed(["--uncertainty-threshold", "0.05"])["uncertainty_threshold"] == 0.05
    assert parsed([])["uncertainty_threshold"] == "default"
    with pytest.raises(ValueError, match="expected a number or 'off', got 'never'"):
        parsed(["--uncertainty-threshold", "never"])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"varaints": {}}, TypeError, "expected an option of the test, got 'varaints'; did you mean 'variants'"),
        ({"cutoff": 3}, TypeError, "expected an option of the test, got 'cutoff'; known are device, extensions_dir"),
        ({"non_conservative": "force"}, ValueError, "'stress', got 'force'; did you mean 'forces'"),
        ({"check_consistency": "yes"}, TypeError, "expected `check_consistency` to be True or False, got str"),
        ({"neighbor_skin": "thick"}, TypeError, "expected `neighbor_skin` to be a number, got str"),
        ({"uncertainty_threshold": "off"}, TypeError, "expected `uncertainty_threshold` to be a number or None, got"),
    ],
)
def test_wrong_keyword_arguments_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        checked_options("the test", given, TABLE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"neighbor_skin": "thick"}, "expected `neighbor_skin` to be a number, got 'thick'"),
        ({"virial": "maybe"}, "expected `virial` to be true or false, got 'maybe'"),
        ({"skin": "1"}, "expected an option of i-PI, got 'skin'; did you mean 'neighbor_skin'"),
    ],
)
def test_wrong_texts_are_refused(given, message):
    with pytest.raises(TypeError, match=message):
        options_from_text("i-PI", given, TABLE)


def test_table_is_that_of_the_engine():
    parameters = inspect.signature(Engine).parameters
    assert set(ENGINE_OPTIONS) <= set(parameters)
    assert ENGINE_OPTIONS["non_conservative"].choices == tuple(NON_CONSERVATIVE)
    # the engine knows False as well, and leaves the threshold of the uncertainty to adapters
    other = {"non_conservative": False, "uncertainty_threshold": None}
    for name, option in ENGINE_OPTIONS.items():
        assert parameters[name].default == other.get(name, option.default)


def test_classes_show_the_options_that_they_take():
    @takes_options(TABLE)
    class Adapter:
        """Adapter.

        Parameters
        ----------
        model
            The model.
        {options}
        """

        def __init__(self, model, *, other=1, **options):
            self.options = options

    parameters = inspect.signature(Adapter).parameters
    assert list(parameters) == ["model", "other", *TABLE]
    assert parameters["neighbor_skin"].default == 1.0
    assert Adapter("m", virial=False).options == {"virial": False}
    described = inspect.getdoc(Adapter)
    for name, option in TABLE.items():
        assert f"\n{name}\n    {option.help}" in described
