"""``metatomic import``: what it prints, and its errors."""

import json
import subprocess
import sys

import pytest
from command_line import fail, succeed
from text_potentials import install

from metatomic_core import load_atomistic_model


def test_table_of_differences_is_printed(toy, checkpoint, tmp_path):
    text = succeed("import", "toy", checkpoint, "-o", tmp_path / "toy.pt").stdout
    lines = text.splitlines()
    assert lines[0].split("  ")[0] == "structure"
    assert "energy off by" in lines[0]
    assert "stress off by" in lines[0]
    rows = {line[:12].strip(): line[12:].split() for line in lines[1:8]}
    assert list(rows) == ["bulk", "triclinic", "slab", "molecule", "atom", "small cell", "all species"]
    assert rows["atom"][0] == "1"
    assert rows["atom"][-1] == "-"
    assert lines[-1] == f"wrote {tmp_path / 'toy.pt'}; differences are in eV per atom, eV/A and eV/A^3"
    load_atomistic_model(tmp_path / "toy.pt")


def test_json_has_all_of_it(toy, checkpoint, tmp_path):
    text = succeed(
        "import", "toy", checkpoint, "-o", tmp_path / "toy.pt", "--json", "--species", "Si", "--dtype", "float32"
    ).stdout
    data = json.loads(text)
    assert data["file"] == str(tmp_path / "toy.pt")
    rows = {row["structure"]: row for row in data["compared"]}
    assert rows["all species"]["n_atoms"] == 1
    assert set(rows["bulk"]) == {"structure", "n_atoms", "energy", "forces", "stress"}
    assert 0 < rows["bulk"]["forces"] < 1e-4
    assert load_atomistic_model(tmp_path / "toy.pt").capabilities().dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "missing argument 'FAMILY'; see `metatomic import --help`"),
        (("toy",), 2, "missing argument 'CHECKPOINT'"),
        (("toy", "{checkpoint}"), 2, "missing option '-o' / '--output'"),
        (("toy", "{checkpoint}", "-o", "{tmp}"), 1, "expected `-o` to be a file name, got the directory"),
        (("toy", "{checkpoint}", "-o", "{tmp}/no/toy.pt"), 1, "expected the directory of `-o` to exist"),
        (("toy", "{checkpoint}", "-o", "{tmp}/old.pt"), 1, "which exists; choose another or add --force"),
        (("tyo", "{checkpoint}", "-o", "{tmp}/toy.pt"), 1, "got 'tyo'; did you mean 'toy'"),
        (("toy", "no.ckpt", "-o", "{tmp}/toy.pt"), 1, "expected a checkpoint file of toy, got 'no.ckpt', which is not"),
        (
            ("toy", "{checkpoint}", "-o", "{tmp}/toy.pt", "--head", "a"),
            2,
            "expected no part of a model for toy, got --he",
        ),
        (("toy", "{checkpoint}", "-o", "{tmp}/toy.pt", "--species", "Si,C"), 1, "like Si as `species`, got 'Si,C'"),
        (("toy", "{checkpoint}", "-o", "{tmp}/toy.pt", "--species", "H"), 1, "expected `species` among Ar Si C, got H"),
        (("toy", "{checkpoint}", "-o", "{tmp}/toy.pt", "--dtype", "float16"), 2, "'float16' is not one of 'float32'"),
    ],
)
def test_errors_are_one_line(arguments, status, message, toy, checkpoint, tmp_path):
    (tmp_path / "old.pt").write_text("old")
    given = [text.format(checkpoint=checkpoint, tmp=tmp_path) for text in arguments]
    assert message in fail("import", *given, status=status)
    assert [path.name for path in tmp_path.iterdir()] == ["old.pt"]
    assert (tmp_path / "old.pt").read_text() == "old"


def test_only_the_part_of_the_family_is_an_option(changed, checkpoint, tmp_path):
    changed(part="task")
    arguments = ["import", "toy", checkpoint, "-o", tmp_path / "toy.pt"]
    assert "expected --task for toy, got --modal" in fail(*arguments, "--modal", "a", "--task", "b", status=2)
    succeed(*arguments, "--task", "b")
    assert load_atomistic_model(tmp_path / "toy.pt").metadata().extra["task"] == "b"


def test_model_that_differs_is_refused_in_one_line(changed, toy, checkpoint, tmp_path):
    from ase.calculators.morse import MorsePotential

    changed({"calculator": lambda: MorsePotential(epsilon=0.1001, r0=2.5, rho0=3.0, rcut1=1.9, rcut2=2.7)})
    error = fail("import", "toy", checkpoint, "-o", tmp_path / "toy.pt")
    assert "expected the results of MorsePotential, got 'bulk' with energy off by" in error
    assert not (tmp_path / "toy.pt").exists()


def rows_of(text):
    """Give the lines of a table of families, by their first word."""
    return {line.split()[0]: line for line in text.splitlines() if line[:1].strip()}


def test_families_are_listed_whatever_is_installed(changed, monkeypatch, tmp_path):
    changed(shipped=lambda: {"toy-0": tmp_path, "toy-1": tmp_path})
    other = "import dataclasses\nfrom toy_family import FAMILY\n"
    other += "def fails(): raise RuntimeError('not called')\n"
    other += "other = dataclasses.replace(FAMILY, name='other', requirements=('no-such-net>=3',), shipped=fails)\n"
    entries = {"other": "other:other", "gone": "no_such_module:x"}
    install(monkeypatch, tmp_path, {"metatomic.importers": entries}, {"other": other}, "other-family")
    text = succeed("import", "--families").stdout
    rows = rows_of(text)
    assert {"family", "toy", "other", "gone", "sevennet", "chgnet", "mace", "nequip", "allegro", "torchani"} == set(
        rows
    )
    assert "ase>=3.26" in rows["toy"]
    assert "toy-0" in rows["toy"]
    assert "Morse potentials" in rows["toy"]
    assert "toy-1" in text
    assert rows["other"].split()[1:3] == ["no-such-net>=3", "no"]
    assert "does not load; upgrade or remove other-family" in rows["gone"]


HELP = """
import sys
import metatomic_importers
from metatomic_core.cli import metatomic
for arguments in (["import", "--help"], ["import", "no-family", "a", "-o", "b.pt"]):
    try:
        metatomic.main(arguments)
    except SystemExit as end:
        assert (end.code == 0) == ("--help" in arguments)
loaded = {"torch", "ase", "numpy"} & sys.modules.keys()
assert not loaded, loaded
assert metatomic_importers.__version__
import metatomic_importers.checkpoints, metatomic_importers.contents, metatomic_importers.requirements
loaded = {"torch", "ase"} & sys.modules.keys()
assert not loaded, loaded
"""


def test_help_needs_no_torch():
    done = subprocess.run([sys.executable, "-W", "error", "-c", HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "metatomic import sevennet 7net-0 -o 7net0.pt" in done.stdout
    assert "expected `family` to be one of" in done.stderr


def test_public_names_are_there_on_first_use():
    import metatomic_importers

    for name in metatomic_importers.__all__:
        assert getattr(metatomic_importers, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'importer'"):
        _ = metatomic_importers.importer
