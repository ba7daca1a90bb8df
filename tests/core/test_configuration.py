"""Options of commands in files: ``--config`` and ``--write-config``."""

import click
import pytest
from click.testing import CliRunner

from metatomic_core.adapters.command_group import CleanGroup
from metatomic_core.adapters.configuration import ConfigurableCommand, given_in_file
from metatomic_core.adapters.quantity import Quantity

GOT = {}


@click.group(cls=CleanGroup)
def group():
    """Commands of these tests."""


@group.command("run", cls=ConfigurableCommand)
@click.argument("model")
@click.argument("structures", nargs=-1)
@click.option("-o", "--output", "prefix", default="out")
@click.option("--time-step", type=Quantity("fs", "1 fs"), default="1", help="Of the run.")
@click.option("--mode", type=click.Choice(["on", "off"]), default="off")
@click.option("--relax/--no-relax", default=True)
@click.option("--repeat", type=(int, int, int))
@click.option("--property", "names", multiple=True)
@click.option("--variant", multiple=True, metavar="NAME=VARIANT")
@click.option("--force", is_flag=True)
@click.pass_context
def run(ctx, **options):
    """Note what it got."""
    GOT.clear()
    GOT.update(options, in_file=given_in_file(ctx))


def call(*arguments):
    return CliRunner().invoke(group, ["run", *map(str, arguments)], catch_exceptions=False)


def read(tmp_path, text, *arguments):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    result = call("--config", path, *arguments)
    assert result.exit_code == 0, result.stderr
    return dict(GOT)


def refused(tmp_path, text, *arguments):
    path = tmp_path / "run.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = call("--config", path, *arguments)
    assert result.exit_code in (1, 2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("metatomic: error: ")
    return line.replace(str(path), "FILE")


def test_config_gives_values_as_flags_do(tmp_path):
    text = """
model: a.pt
structures: [b.xyz, c.xyz]
time_step: 0.002 ps
mode: on          # YAML 1.1 reads true
relax: no
repeat: [1, 2, 3]
property: energies
variant: {energy: pbe, dipole: off}
output: 1e-3
"""
    got = read(tmp_path, text)
    assert got.pop("in_file") == {*got} - {"force"}
    assert got["time_step"] == pytest.approx(2.0, rel=1e-15)
    del got["time_step"]
    assert got == {
        "model": "a.pt",
        "structures": ("b.xyz", "c.xyz"),
        "prefix": "1e-3",
        "mode": "on",
        "relax": False,
        "repeat": (1, 2, 3),
        "names": ("energies",),
        "variant": ("energy=pbe", "dipole=off"),
        "force": False,
    }


def test_command_line_wins_over_config(tmp_path):
    text = "model: a.pt\ntime-step: 5\nrelax: false\nproperty: [one, two]\n"
    got = read(tmp_path, text, "--time-step", "2 fs", "--relax", "--property", "three")
    assert (got["time_step"], got["relax"], got["names"]) == (2.0, True, ("three",))
    assert got["in_file"] == {"model"}


def test_empty_values_and_files_give_defaults(tmp_path):
    assert read(tmp_path, "time-step:\nmode: null\n", "a.pt")["time_step"] == 1.0
    assert read(tmp_path, "", "a.pt")["mode"] == "off"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "time-stp: 1",
            "'FILE', line 1: expected an option of metatomic run, got 'time-stp'; did you mean 'time-step'",
        ),
        ("no-relax: true", "got 'no-relax'; did you mean 'relax'"),
        ("config: a.yaml", "got 'config'; known are model, structures, output, "),
        ("\ntime-step: 1 kg", "'FILE', line 2: invalid value for '--time-step': expected a value such as '1 fs'"),
        ("mode: maybe", "'FILE', line 1: invalid value for '--mode'"),
        ("relax: perhaps", "'FILE', line 1: invalid value for '--relax"),
        ("repeat: [1, 2]", "'FILE', line 1: "),
        ("time-step: [1, 2]", "line 1: expected one value for 'time-step', got a list"),
        ("time-step: {a: 1}", "line 1: expected one value for 'time-step', got names with values"),
        ("property: [[a]]", "line 1: expected a value or a list of values for 'property', got a list"),
        ("mode: on\nmode: off", "line 2: expected each option once, got 'mode' again, after line 1"),
        ("time-step: 1\ntime_step: 2", "line 2: expected each option once, got 'time_step' again"),
        ("- a", "line 1: expected options as `name: value`, got something else"),
        ("mode: on\n\ta: [", "line 2: expected YAML, got a line that is not"),
        (b"\xff\xfe\xfa", "expected a text file with YAML for `--config`"),
        ("a: \x00", "expected a text file with YAML for `--config`"),
    ],
)
def test_config_refuses(tmp_path, text, message):
    assert message in refused(tmp_path, text, "a.pt")


def test_config_that_is_not_there():
    assert "got 'none.yaml', which does not exist" in call("--config", "none.yaml").stderr
    # help helps whatever else is wrong
    assert call("--config", "none.yaml", "--help").exit_code == 0


def test_errors_of_the_command_line_name_no_file(tmp_path):
    assert "FILE" not in refused(tmp_path, "time-step: 1", "a.pt", "--time-step", "nonsense")


def test_written_config_gives_the_same_run(tmp_path):
    path = tmp_path / "run.yaml"
    arguments = [
        "a.pt",
        "dir with blanks/b: c.pt",
        "d.xyz",
        "--time-step",
        "0.5 fs",
        "--mode",
        "off",
        "--repeat",
        1,
        2,
        3,
    ]
    arguments += ["--no-relax", "--variant", "energy=#1", "-o", "null", "--property", "- ", "--property", 'a"\\\n,b']
    GOT.clear()
    written = call(*arguments, "--write-config", path)
    assert (written.exit_code, GOT) == (0, {})
    call(*arguments)
    expected = {**GOT}
    call("--config", path)
    in_file = GOT.pop("in_file")
    del expected["in_file"]
    assert expected == GOT
    # what was given, at its default or not, is given again
    assert in_file == set(expected) - {"force"}
    call("--config", path, "--write-config", tmp_path / "again.yaml")
    lines = (tmp_path / "again.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == path.read_text(encoding="utf-8").splitlines()[1:]


def test_written_config_has_defaults_as_comments(tmp_path):
    path = tmp_path / "run.yaml"
    call("a.pt", "--mode", "on", "--write-config", path)
    lines = [line.partition("  #")[0].rstrip() for line in path.read_text(encoding="utf-8").splitlines()[2:]]
    assert lines == [
        "model: a.pt",
        "# structures:",
        "# output: out",
        "# time-step: 1",
        "mode: on",
        "# relax: true",
        "# repeat:",
        "# property:",
        "# variant:",
    ]


def test_written_config_keeps_files(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("mine")
    assert "which exists; choose another or add --force" in call("a.pt", "--write-config", path).stderr
    assert path.read_text() == "mine"
    assert call("a.pt", "--write-config", path, "--force").exit_code == 0
    assert "force" not in path.read_text(encoding="utf-8")


def test_names_beyond_the_first_plane_are_written_and_read(tmp_path):
    path = tmp_path / "written.yaml"
    assert call("\U0001d70e.pt", "--write-config", path).exit_code == 0
    assert call("--config", path).exit_code == 0
    assert GOT["model"] == "\U0001d70e.pt"
