"""The ``metatomic`` command itself: finding commands, help, versions, and errors in one line."""

import importlib.metadata
import json
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner
from command_line import fail, invoke, process, succeed

from metatomic_core.adapters.console import checked_output, house_style, one_line, print_json
from metatomic_core.cli import _group

BUILT_IN = ("export", "inspect")


class EntryPoints(list):
    """Stands for the entry points of installed packages: (name, value) pairs."""

    def __call__(self, group):
        assert group == "metatomic.commands"
        return [importlib.metadata.EntryPoint(name, value, group) for name, value in self]


@pytest.fixture
def installed(monkeypatch):
    """A list of (name, value) of entry points; empty, as without any adapter."""
    entries = EntryPoints()
    monkeypatch.setattr(importlib.metadata, "entry_points", entries)
    return entries


def run_python(code):
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)


HELP = """
try:
    import metatomic_core.cli as cli
    cli.metatomic.main(["--help"])
except SystemExit as end:
    assert end.code == 0
loaded = {"torch", "ase", "rich", "metatomic_ase"} & sys.modules.keys()
assert not loaded, loaded
"""
# stands for the package itself, so that only what the command needs is imported
WITHOUT_PACKAGE = """
import importlib.util, sys, types
package = types.ModuleType("metatomic_core")
package.__path__ = importlib.util.find_spec("metatomic_core").submodule_search_locations
sys.modules["metatomic_core"] = package
"""


def test_help_needs_neither_torch_nor_adapters():
    done = run_python(WITHOUT_PACKAGE + HELP)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in BUILT_IN)


def test_help_is_quick():
    done = run_python("import sys" + HELP)
    assert done.returncode == 0, done.stderr


def test_help_without_adapters_says_what_to_install(installed):
    text = succeed("--help").stdout
    assert "Commands of packages that are not installed (in a clone of metatomic-core):" in text
    assert ["md", "pip", "install", "./packages/ase-calc"] in [line.split() for line in text.splitlines()]
    assert "Example:" in text


@pytest.mark.parametrize(
    ("command", "package", "folder"),
    [
        *((name, "metatomic-ase", "ase-calc") for name in ("md", "relax", "eval", "eos", "phonons", "neb")),
        *(("ipi", "metatomic-ipi", "ipi-driver"), ("lammps", "metatomic-lammps", "lammps-glue")),
    ],
)
def test_command_of_a_missing_adapter_names_its_package(installed, command, package, folder):
    assert fail(command, "--anything") == (
        f"metatomic: error: the command '{command}' is part of {package}; run `pip install ./packages/core "
        f"./packages/{folder}` in a clone of metatomic-core"
    )


def test_distribution_of_the_same_name_from_elsewhere_is_noticed(installed, tmp_path, monkeypatch):
    """PyPI has a metatomic-ase of the reference implementation, which has no commands."""
    folder = tmp_path / "metatomic_ase-0.1.4.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: metatomic-ase\nVersion: 0.1.4\n")
    distribution = importlib.metadata.PathDistribution(folder)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: distribution)
    assert fail("md") == (
        "metatomic: error: expected metatomic-ase of metatomic-core for the command 'md', got metatomic-ase 0.1.4 of "
        "another project; run `pip uninstall metatomic-ase`, and then `pip install ./packages/core "
        "./packages/ase-calc` in a clone of metatomic-core"
    )


def test_broken_adapter_breaks_only_its_own_commands(installed):
    installed.append(("md", "no_such_module.at_all:md"))
    assert "inspect" in succeed("--help").stdout
    error = fail("md", "--help")
    assert "the command 'md' of no_such_module does not load: ModuleNotFoundError" in error
    installed.append(("ipi", "json:dumps"))
    assert "expected the command 'ipi' of json to be a click command, got function" in fail("ipi")


def test_command_of_an_unknown_package_is_listed_and_found(installed):
    installed.append(("extra", "metatomic_core.cli.inspect:inspect"))
    assert "From metatomic_core." in succeed("--help").stdout
    assert "Show what a model FILE says" in succeed("extra", "--help").stdout


def test_unknown_command_names_the_nearest():
    assert "got 'inspct'; did you mean 'inspect'" in fail("inspct", status=2)
    assert "got 'xyzzy'; it has " in fail("xyzzy", status=2)


def test_unknown_option_names_the_nearest():
    error = fail("inspect", "model.pt", "--jsn", status=2)
    assert "--jsn" in error
    assert "--json" in error
    assert error.endswith("? see `metatomic inspect --help`")
    assert error.startswith("metatomic: error: no such option")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No such option: --jsn (Possible options: --a, --b)", "no such option: --jsn (Possible options: --a, --b)"),
        ("No such option '--jsn'. Did you mean '--json'?", "no such option '--jsn'; did you mean '--json'?"),
        (
            "No such option '--x'. (Did you mean one of: '--a', '--b'?)",
            "no such option '--x'; did you mean one of: '--a', '--b'?",
        ),
        ("Missing argument 'FILE'.", "missing argument 'FILE'"),
        ("NVE has no thermostat", "NVE has no thermostat"),
        ("", ""),
    ],
)
def test_messages_of_click_are_in_house_style(text, expected):
    assert house_style(text) == expected


def test_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "metatomic_core", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: metatomic ")


@pytest.mark.parametrize("arguments", [[], ["export"]], ids=["metatomic", "export"])
def test_group_without_command_shows_its_help(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Commands:" in result.stdout + result.stderr


def test_version_lists_packages():
    lines = succeed("--version").stdout.splitlines()
    assert lines[0] == f"metatomic-core {importlib.metadata.version('metatomic-core')}"
    assert f"torch {importlib.metadata.version('torch')}" in lines


def command_that_raises(error):
    @click.group(cls=_group.CommandGroup)
    @click.option("--debug", is_flag=True, envvar="METATOMIC_DEBUG")
    def group(debug):
        pass

    @click.command()
    def command():
        raise error

    group.get_command = lambda context, name: command
    group.list_commands = lambda context: ["command"]
    return group


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("expected one, got two"), 1, "expected one, got two"),
        (TypeError("expected one, got two"), 1, "expected one, got two"),
        (RuntimeError("first\n  second"), 1, "first"),
        (RuntimeError(), 1, "RuntimeError"),
        (FileNotFoundError(2, "No such file or directory", "x.pt"), 1, "no such file or directory: 'x.pt'"),
        (click.UsageError("expected one, got two"), 2, "expected one, got two"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_one_line(error, status, line):
    result = CliRunner().invoke(command_that_raises(error), ["command"])
    assert result.exit_code == status
    hint = "; see `group command --help`" if status == 2 else ""
    assert [text for text in result.stderr.splitlines() if text] == [f"metatomic: error: {line}{hint}"]


def test_debugging_shows_tracebacks(monkeypatch):
    group = command_that_raises(ValueError("expected one, got two"))
    assert isinstance(CliRunner().invoke(group, ["--debug", "command"]).exception, ValueError)
    monkeypatch.setenv("METATOMIC_DEBUG", "1")
    assert isinstance(CliRunner().invoke(group, ["command"]).exception, ValueError)


def test_bugs_keep_their_traceback():
    assert isinstance(CliRunner().invoke(command_that_raises(KeyError("x")), ["command"]).exception, KeyError)


def test_warnings_become_one_line():
    @click.group(cls=_group.CommandGroup)
    def group():
        warnings.warn("expected one, got two", stacklevel=2)

    group.get_command = lambda context, name: click.Command("command", callback=lambda: None)
    group.list_commands = lambda context: ["command"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = CliRunner().invoke(group, ["command"])
    assert result.stderr == "metatomic: warning: expected one, got two\n"


def test_process_gives_errors_and_statuses(tmp_path):
    with process("inspect", "none.pt", cwd=tmp_path) as running:
        out, error = running.communicate()
    assert running.returncode == 1
    assert out == ""
    assert error == "metatomic: error: expected a model file, got 'none.pt', which does not exist\n"


def test_json_has_no_numbers_that_json_lacks(capsys):
    print_json({"a": [float("inf"), 1.5], "b": (float("nan"), None)})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": [None, None]}


def test_one_line_of_a_message_without_text():
    assert one_line(ValueError("")) == "ValueError"


def test_outputs_are_checked_before_any_work(tmp_path):
    existing = tmp_path / "there"
    existing.write_text("mine")
    for path, force, expected in (
        (tmp_path, True, "got the directory"),
        (tmp_path / "no" / "file", True, "create it first"),
        (existing, False, "choose another or add --force"),
    ):
        with pytest.raises(ValueError, match=expected):
            checked_output(path, force)
    assert checked_output(existing, True) == existing
