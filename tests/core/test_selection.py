"""`pick_device` and `pick_output`."""

import pytest
import torch

from metatomic_core import ModelOutput, pick_device, pick_output
from metatomic_core.data import selection


def output(description=""):
    return ModelOutput(unit="eV", description=description)


ONE = {"energy": output()}
DEFAULT = {"energy": output(), "energy/a": output("first"), "energy/b": output("second")}
NO_DEFAULT = {"energy/a": output("first"), "energy/b": output("second")}
BOTH = {name: ModelOutput() for name in ("feature", "features", "feature/x", "features/x")}


@pytest.fixture
def machine(monkeypatch):
    """Give a function that pretends that a machine has these devices."""

    def pretend(*kinds, count=2):
        monkeypatch.setattr(selection, "_is_available", lambda kind: kind in kinds)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.mark.parametrize(
    ("has", "supported", "requested", "expected"),
    [
        (["cpu"], ["cuda", "cpu"], None, "cpu"),
        (["cpu", "cuda"], ["cuda", "cpu"], None, "cuda"),
        (["cpu", "cuda"], ["cpu", "cuda"], None, "cpu"),
        (["cpu", "cuda"], ["cpu", "cuda"], "cuda", "cuda"),
        (["cpu", "cuda"], ["cpu", "cuda"], "CUDA:1", "cuda:1"),
        (["cpu", "cuda"], ["cpu", "cuda"], "cuda:0", "cuda:0"),
        (["cpu"], ["cpu"], "CPU:0", "cpu"),
        (["cpu"], ["cpu"], torch.device("cpu"), "cpu"),
        (["cpu"], ["xpu", "mps", "cpu"], None, "cpu"),
        (["cpu", "hip"], ["hip", "cpu"], None, "cuda"),
        (["cpu", "hip"], ["hip", "cpu"], "hip:1", "cuda:1"),
    ],
)
def test_device_is_picked(has, supported, requested, expected, machine):
    machine(*has)
    assert pick_device(supported, requested) == expected


@pytest.mark.parametrize(
    ("supported", "requested", "message"),
    [
        (["cuda"], None, r"expected a device that the model supports, \['cuda'\], on this machine, got none of them"),
        (["cpu"], "cuda", "expected `device` to be one of 'cpu', got 'cuda'"),
        (["cuda", "cpu"], "cuda", r"expected `device` to be one of this machine, \['cpu'\], got 'cuda'"),
        (["cpu"], "cpu:1", "expected an index of `device` below 1, got 'cpu:1'"),
        (["cpu"], "cpu:x", "expected an index of `device` below 1, got 'cpu:x'"),
        (["cpu"], "cup", "did you mean 'cpu'"),
    ],
)
def test_device_is_refused(supported, requested, message, machine):
    machine("cpu")
    with pytest.raises(ValueError, match=message):
        pick_device(supported, requested)


def test_index_of_device_must_exist(machine):
    machine("cpu", "cuda", count=2)
    with pytest.raises(ValueError, match="expected an index of `device` below 2, got 'cuda:2'"):
        pick_device(["cuda"], "cuda:2")


def test_this_machine_has_a_cpu():
    assert pick_device(["cpu"]) == "cpu"


@pytest.mark.parametrize(
    ("name", "outputs", "variant", "expected"),
    [
        ("energy", ONE, None, "energy"),
        ("energy", DEFAULT, None, "energy"),
        ("energy", DEFAULT, "b", "energy/b"),
        ("energy", {"energy/a": output()}, None, "energy/a"),
        ("feature", BOTH, None, "feature"),
        ("features", BOTH, None, "features"),
        ("feature", BOTH, "x", "feature/x"),
        ("features", BOTH, "x", "features/x"),
        ("features", {"feature": ModelOutput()}, None, "feature"),
        ("my::thing", {"my::thing": ModelOutput(), **ONE}, None, "my::thing"),
    ],
)
def test_output_is_picked(name, outputs, variant, expected):
    assert pick_output(name, outputs, variant) == expected


@pytest.mark.parametrize(
    ("name", "outputs", "variant", "message"),
    [
        ("charge", ONE, None, r"expected an output of the model, one of \['energy'\], got 'charge'"),
        ("energy", NO_DEFAULT, None, r"no default, got none; choose from 'a' \(first\), 'b' \(second\)"),
        ("energy", DEFAULT, "c", r"got 'c'; it has '\(no variant\)', 'a' \(first\), 'b' \(second\)"),
        ("features", BOTH, "y", r"got 'y'; it has '\(no variant\)', 'x'$"),
    ],
)
def test_output_is_refused(name, outputs, variant, message):
    with pytest.raises(ValueError, match=message):
        pick_output(name, outputs, variant)


@pytest.mark.parametrize(
    ("requested", "offered", "variants", "expected"),
    [
        ("energy", DEFAULT, {}, "energy"),
        ("energy", DEFAULT, {"energy": "a"}, "energy/a"),
        ("energy", DEFAULT, {"energy": "off"}, "energy"),
        ("energy/b", DEFAULT, {"energy": "a"}, "energy/b"),
        ("energy/c", DEFAULT, {}, ""),
        ("charge", DEFAULT, {}, ""),
        ("features", BOTH, {"feature": "x"}, "features/x"),
        ("feature", BOTH, {"features": "x"}, "feature/x"),
    ],
)
def test_chosen_output_is_the_one_that_was_asked_for(requested, offered, variants, expected):
    assert selection.chosen_output(requested, offered, variants) == expected


def test_chosen_output_follows_the_energy_or_is_missing():
    """Uncertainties of another variant are none of the energy's."""
    offered = {**DEFAULT, "energy_uncertainty": output(), "energy_uncertainty/a": output()}
    choose = selection.chosen_output
    assert choose("energy_uncertainty", offered, {"energy": "a"}) == "energy_uncertainty/a"
    assert choose("energy_uncertainty", offered, {"energy": "b"}) == ""
    assert choose("energy_uncertainty", offered, {"energy": "b", "energy_uncertainty": "a"}) == "energy_uncertainty/a"
    assert choose("energy_uncertainty", offered, {"energy": "b", "energy_uncertainty": "off"}) == "energy_uncertainty"
    assert choose("energy_uncertainty", offered, {}) == "energy_uncertainty"


@pytest.mark.parametrize("variants", [{}, {"energy": "c"}])
def test_chosen_output_refuses_what_can_not_be_chosen(variants):
    with pytest.raises(ValueError, match=r"expected a variant .*'a' \(first\), 'b' \(second\)"):
        selection.chosen_output("energy", NO_DEFAULT, variants)
