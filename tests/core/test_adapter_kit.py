"""What adapters share besides options: inputs from atoms, what is direct, groups of commands."""

import types

import click
import models
import pytest

from metatomic_core import ModelOutput
from metatomic_core.adapters.command_group import CleanGroup
from metatomic_core.adapters.inputs import ALWAYS_KNOWN, WITH_VELOCITIES, input_values, source_of
from metatomic_core.data.quantities import standard_quantities
from metatomic_core.engine import Engine
from metatomic_core.units import check_unit


@pytest.mark.parametrize("key", WITH_VELOCITIES)
def test_units_of_inputs_fit_their_quantities(key):
    name, kind = key
    quantity = standard_quantities()[name]
    check_unit("unit", WITH_VELOCITIES[key].unit, "" if quantity.dimension == "none" else quantity.dimension)
    assert kind in quantity.sample_kinds


class Stand(types.SimpleNamespace):
    """Stands for ``ase.Atoms``: core is tested without ASE, too."""

    def __init__(self):
        super().__init__(info={"spin": 3, "charge": -1}, arrays={"weight": [0.5, 0.25]})

    def get_masses(self):
        return [1, 16]

    def __len__(self):
        return 2


def test_sources_are_found_in_any_spelling_or_named():
    atoms = Stand()
    masses = source_of("masses", ModelOutput(sample_kind="atom"), ALWAYS_KNOWN, "the engine")
    assert input_values(atoms, masses).tolist() == [1.0, 16.0]
    per_system = ModelOutput(sample_kind="system")
    for name, value in (("charge", -1.0), ("spin_multiplicity", 3.0)):
        assert input_values(atoms, source_of(name, per_system, ALWAYS_KNOWN, "the engine")) == value
    with pytest.raises(ValueError, match="inputs the engine can provide, got one that requests 'velocity'"):
        source_of("velocity", ModelOutput(sample_kind="atom"), ALWAYS_KNOWN, "the engine")
    with pytest.raises(ValueError, match=r"requests 'mass' per system; known are 'mass' per atom, .*, and more"):
        source_of("mass", per_system, ALWAYS_KNOWN, "the engine", ", and more")
    named = source_of("mine::weight", ModelOutput(sample_kind="atom", unit="u"), ALWAYS_KNOWN, "the engine")
    assert (named.unit, input_values(atoms, named).tolist()) == ("u", [0.5, 0.25])


@pytest.mark.parametrize(("mode", "expected"), [(False, ()), (True, ("forces", "stress")), ("stress", ("stress",))])
def test_engine_says_what_is_direct(mode, expected):
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_forces": ModelOutput(unit="eV/nm", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/angstrom^3"),
    }
    model = models.wrap(models.Direct(), outputs)
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", non_conservative=mode)
    assert tuple(result for result in ("forces", "stress") if engine.is_direct(result)) == expected
    assert engine.is_direct("virial") == ("stress" in expected)
    assert not engine.is_direct("energy")


class Group(CleanGroup):
    program = "metatomic-test"


@click.group(cls=Group)
def group():
    """Commands of an adapter."""


@group.command()
@click.argument("what")
def fails(what):
    errors = {"value": ValueError("expected more\n\nthan a line"), "key": KeyError("bug"), "stop": KeyboardInterrupt()}
    raise errors[what]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["fails", "value"], 1, "expected more"),
        (["fails", "stop"], 130, "interrupted"),
        (["fials"], 2, "expected a command of metatomic-test, got 'fials'; did you mean 'fails'; see `metatomic-test "),
        (["fails"], 2, "missing argument 'WHAT'; see `metatomic-test fails --help`"),
    ],
)
def test_groups_of_adapters_end_with_one_line(arguments, status, message, capsys):
    with pytest.raises(SystemExit) as ended:
        group.main(arguments)
    assert ended.value.code == status
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"metatomic-test: error: {message}")


def test_bugs_keep_their_traceback():
    with pytest.raises(KeyError, match="bug"):
        group.main(["fails", "key"])
