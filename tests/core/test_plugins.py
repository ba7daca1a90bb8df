"""What installed packages add: formats that are read, and files that are written."""

import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import fail, succeed
from text_potentials import READER, WRITER, install, install_text_potentials

from metatomic_core import AtomisticModel, check_atomistic_model, load_atomistic_model, read_model_metadata
from metatomic_core.engine import Engine, Structure
from metatomic_core.loading import load_compiled, reader_of, readers
from metatomic_core.potentials import lennard_jones
from metatomic_core.writing import WriterOption, convert, writers

STRUCTURE = Structure(np.full(2, 18), np.array([[0.0, 0, 0], [1, 2, 3]]), np.zeros((3, 3)), np.zeros(3, dtype=bool))

ARGON = lennard_jones(["Ar"], 3.405, 0.01032)


def results(model):
    engine = Engine(model, length_unit="angstrom", energy_unit="eV")
    found = engine.evaluate([STRUCTURE], ["energy", "forces"])
    return np.concatenate([found.energy, found.forces.ravel()])


@pytest.fixture
def argon(monkeypatch, tmp_path):
    return install_text_potentials(monkeypatch, tmp_path)


def test_format_of_another_package_runs_like_any_other(argon, tmp_path):
    assert reader_of(argon) == "text-lj"
    assert isinstance(load_atomistic_model(argon), AtomisticModel)
    expected = results(ARGON)
    np.testing.assert_array_equal(results(argon), expected)
    np.testing.assert_allclose(results(load_compiled(argon)), expected, rtol=1e-14)
    check_atomistic_model(argon)
    assert read_model_metadata(argon) == ARGON.metadata()


def test_format_of_another_package_is_inspected(argon):
    text = succeed("inspect", argon).stdout
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith(("species", "format", "local")))
    assert rows == {"species": "Ar", "format": "text-lj", "local": "not known"}
    data = json.loads(succeed("inspect", argon, "--json").stdout)
    assert data["queries"]["atomic_types"] == [18]


def test_format_of_another_package_is_converted(argon, tmp_path):
    succeed("convert", argon, tmp_path / "argon.pt")
    assert reader_of(tmp_path / "argon.pt") is None
    np.testing.assert_allclose(results(tmp_path / "argon.pt"), results(argon), rtol=1e-14)
    assert load_atomistic_model(tmp_path / "argon.pt").header.is_local is True
    succeed("convert", argon, tmp_path / "gromacs.pt", "--to", "gromacs")
    assert (tmp_path / "gromacs.pt").exists()


def test_file_that_tells_nothing_before_it_is_loaded(monkeypatch, tmp_path):
    entry_points = {"metatomic.readers": {"text-lj": "text_reader:silent"}}
    install(monkeypatch, tmp_path, entry_points, {"text_reader": READER})
    (tmp_path / "argon.txt").write_text("text-lj Ar 3.4 0.01")
    assert "which is a model of text-lj; run `metatomic convert" in fail("inspect", tmp_path / "argon.txt")


def test_writer_of_another_package_writes(argon, tmp_path):
    output = tmp_path / "name.txt"
    assert succeed("convert", argon, output, "--to", "name", "--title", "potential").stdout == f"wrote {output}\n"
    assert output.read_text() == "potential: Lennard-Jones Ar"
    data = json.loads(succeed("convert", argon, output, "--to", "name", "--loud", "--json", "--force").stdout)
    assert data == {"file": str(output), "message": f"wrote {output}"}
    assert output.read_text() == "untitled: LENNARD-JONES AR"
    assert "expected --title with --to name, got --to gromacs" in fail(
        "convert", argon, tmp_path / "x.pt", "--to", "gromacs", "--title", "a", status=2
    )


def test_help_lists_writers_and_their_options(argon):
    text = " ".join(succeed("convert", "--help").stdout.split())
    assert "name, the name of a model" in text
    assert "--title TEXT name: Text before the name." in text
    assert "--loud name: Shout." in text
    assert "--pairs gromacs: Take the pairs" in text


def test_help_of_convert_needs_no_torch():
    code = """
import sys
from metatomic_core.cli import metatomic
try:
    metatomic.main(["convert", "--help"])
except SystemExit as end:
    assert end.code == 0
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gromacs" in done.stdout


BROKEN_READERS = """
from pathlib import Path
from metatomic_core.loading import Reader

def fails(*arguments):
    raise KeyError("inside")

of_all = Reader(lambda path, archive: True, fails)
asking = Reader(fails, fails)
another = Reader(lambda path, archive: True, lambda path, directory: 3)
nothing = 3
"""


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"x": "broken:of_all"}, "the reader 'x' of broken-files can load, got KeyError: 'inside'"),
        ({"x": "broken:asking"}, "expected the reader 'x' of broken-files to tell whether it reads"),
        ({"x": "broken:another"}, "expected the reader 'x' of broken-files to load .* as AtomisticModel, got int"),
        ({"x": "broken:nothing"}, "expected a Reader for the reader 'x' in 'broken:nothing' of broken-files, got int"),
        (
            {"x": "broken:missing"},
            "the reader 'x' to be importable from 'broken:missing' of broken-files, got an error",
        ),
        ({"x": "no_such_module:x"}, "importable from 'no_such_module:x' of broken-files, got an error: No module"),
        (
            {"x": "broken:of_all", "y": "broken:another"},
            "expected one reader for .*, got 'x' of broken-files and 'y' of broken-files; remove one",
        ),
        ({"metatomic-torch": "broken:of_all"}, "one reader 'metatomic-torch', got two, of broken-files and of metatom"),
        ({"": "broken:of_all"}, "expected a name for the reader 'broken:of_all' of broken-files, got none"),
    ],
)
def test_readers_that_are_wrong_are_named(entries, message, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, {"metatomic.readers": entries}, {"broken": BROKEN_READERS}, "broken-files")
    (tmp_path / "file.xyz").write_text("hello")
    with pytest.raises(ValueError, match=message) as caught:
        load_atomistic_model(tmp_path / "file.xyz")
    assert "\n" not in str(caught.value)
    # files of ours have nothing to do with it
    lennard_jones().save(tmp_path / "argon.pt")
    load_atomistic_model(tmp_path / "argon.pt")


@pytest.mark.parametrize(
    ("entries", "target", "message"),
    [
        ({"gromacs": "broken:writer"}, "gromacs", "a writer with a name of its own in broken-files, got 'gromacs'"),
        ({"x": "broken:missing"}, "x", "the writer 'x' to be importable from 'broken:missing' of broken-files"),
        (
            {"x": "broken:write"},
            "x",
            "a Writer for the writer 'x' in 'broken:write' of broken-files, got function",
        ),
        ({"x": "broken_option:writer"}, "x", "expected `name` of an option like '--library-dir', and none of --to"),
        ({"x": "valued:writer"}, "gromacs", "expected `--pairs` with or without a value, got both, for --to gromacs"),
    ],
)
def test_writers_that_are_wrong_are_named(entries, target, message, monkeypatch, tmp_path):
    modules = {
        "broken": WRITER,
        "broken_option": WRITER.replace("--title", "--to"),
        "valued": WRITER.replace("--title", "--pairs"),
    }
    install(monkeypatch, tmp_path, {"metatomic.writers": entries}, modules, "broken-files")
    lennard_jones().save(tmp_path / "argon.pt")
    assert message in fail("convert", tmp_path / "argon.pt", tmp_path / "out.pt", "--to", target)
    assert not (tmp_path / "out.pt").exists()


def test_writer_that_does_not_load_leaves_the_others(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, {"metatomic.writers": {"x": "no_such_module:x"}}, {}, "broken-files")
    assert "x, of broken-files, does not load" in " ".join(succeed("convert", "--help").stdout.split())
    lennard_jones().save(tmp_path / "argon.pt")
    succeed("convert", tmp_path / "argon.pt", tmp_path / "gromacs.pt", "--to", "gromacs")


@pytest.mark.parametrize("name", ["title", "-t", "--Title", "--json", "--to", "--a--b"])
def test_options_of_writers_have_names_of_options(name):
    with pytest.raises(ValueError, match="expected `name` of an option like '--library-dir'"):
        WriterOption(name, "title", "Text.")


def test_own_readers_and_writers_are_there():
    assert readers()["metatomic-torch"].package == "metatomic-core"
    assert list(writers()) == ["metatomic-core", "metatomic-torch", "gromacs"]


@pytest.mark.parametrize(("source", "output", "name"), [(ARGON, "a.pt", "source"), ("a.pt", ARGON, "output")])
def test_convert_wants_paths(source, output, name):
    with pytest.raises(TypeError, match=f"expected `{name}` to be a path, got AtomisticModel; a model is saved"):
        convert(source, output)
