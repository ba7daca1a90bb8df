"""One table of engine options: in the calculator, and on the command lines of its package."""

import inspect

import click
import pytest

from metatomic_ase import MetatomicCalculator
from metatomic_ase.cli.compare import compare
from metatomic_ase.cli.elastic import elastic
from metatomic_ase.cli.eos import eos
from metatomic_ase.cli.eval import evaluate
from metatomic_ase.cli.md import md
from metatomic_ase.cli.neb import neb
from metatomic_ase.cli.phonons import phonons
from metatomic_ase.cli.relax import relax
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.adapters.text_options import flag_of

PROPERTIES = {"compare": compare, "elastic": elastic, "eos": eos, "neb": neb, "phonons": phonons}
COMMANDS = {"eval": evaluate, "md": md, "relax": relax, **PROPERTIES}


def test_calculator_takes_all_of_them():
    parameters = inspect.signature(MetatomicCalculator).parameters
    for name, option in ENGINE_OPTIONS.items():
        assert parameters[name].default == option.default
        assert f"\n{name}\n    {option.help}" in inspect.getdoc(MetatomicCalculator)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_them_with_the_same_help(command):
    given = {one.name: one for one in COMMANDS[command].params if isinstance(one, click.Option)}
    # those that look at structures one by one do not warn
    wanted = [name for name in ENGINE_OPTIONS if name != "uncertainty_threshold" or command == "md"]
    for name in wanted:
        assert flag_of(name, ENGINE_OPTIONS) in given[name].opts
        assert given[name].help == ENGINE_OPTIONS[name].help


def test_typos_of_keyword_arguments_are_named():
    with pytest.raises(TypeError, match="expected an option of MetatomicCalculator, got 'varaints'; did you mean 'var"):
        MetatomicCalculator("model.pt", varaints={"energy": "pbe"})
