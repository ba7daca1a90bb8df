"""``metatomic check``: every option, what it prints, its exit status, and its errors."""

import json
import subprocess
import sys

import ase.build
import ase.io
import pytest
from command_line import fail, invoke, load_models_once, succeed
from report_cases import broken, passing, tiny_checks

from metatomic_check import Finding, Grade, Report
from metatomic_core.cli import metatomic
from metatomic_core.potentials import stillinger_weber


@pytest.fixture(scope="module", autouse=True)
def _loaded_once():
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def silicon(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "si.pt"
    stillinger_weber().save(path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Run in an empty folder, where the command writes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def good(monkeypatch):
    tiny_checks(monkeypatch, passing=passing, **{"slow one": lambda bench: [Finding("slow one", Grade.PASS, "fine")]})


@pytest.fixture
def bad(monkeypatch):
    tiny_checks(monkeypatch, passing=passing, broken=broken)


def test_model_that_passes(good, silicon, here):
    text = succeed("check", silicon).stdout
    assert "What a potential promises\n" in text
    assert "(worst of 7)" in text
    assert text.splitlines()[-1].startswith("Stillinger-Weber Si passes: 2 checks in ")
    assert text.splitlines()[-1].endswith("findings: 8 pass")
    assert list(here.iterdir()) == []


def test_model_that_fails_says_what_it_means_and_what_to_look_at(bad, silicon, here):
    result = invoke("check", silicon)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-6:-2] == [
        "broken: fail",
        "  what it means: Meaning of broken.",
        "  bulk: It is too much; do less.",
        "    look at it: si-check/broken_bulk.extxyz",
    ]
    assert ase.io.read(here / "si-check" / "broken_bulk.extxyz").info["check"] == "broken"
    # a second time in a folder of its own
    assert "look at it: si-check-2/broken_bulk.extxyz" in invoke("check", silicon).stdout


def test_save_folder_and_none(bad, silicon, here):
    assert "look at it: looked/broken_bulk.extxyz" in invoke("check", silicon, "--save", "looked").stdout
    assert [path.name for path in (here / "looked").iterdir()] == ["broken_bulk.extxyz"]
    assert "expected a new or empty folder for `--save`, got 'looked'" in fail("check", silicon, "--save", "looked")
    assert "look at it: looked" in invoke("check", silicon, "--save", "looked", "--force").stdout
    assert "--save FOLDER saves the structure" in invoke("check", silicon, "--save", "none").stdout
    assert [path.name for path in here.iterdir()] == ["looked"]


def test_json_is_a_report(bad, silicon, here):
    result = invoke("check", silicon, "--json", "--seed", "5", "--check", "--engines", "none")
    assert result.exit_code == 1
    report = Report.from_json(result.stdout)
    assert report.grade is Grade.FAIL
    assert json.loads(result.stdout)["counts"] == {
        "fail": 1, "warn": 0, "by design": 0, "pass": 7, "information": 0, "not applicable": 0
    }  # fmt: skip
    assert report.provenance.seed == 5
    assert report.provenance.options == {"check_consistency": "true"}
    # structures are in it; files only with --save
    assert list(here.iterdir()) == []
    invoke("check", silicon, "--json", "--save", "looked")
    assert len(list((here / "looked").iterdir())) == 1


def test_efforts_and_only(good, silicon, here):
    def names(*arguments):
        return [one["name"] for one in json.loads(succeed("check", silicon, "--json", *arguments).stdout)["checks"]]

    assert names() == ["passing", "slow one"]
    assert names("--full") == ["passing", "slow one"]
    assert names("--quick") == ["passing"]
    assert names("--only", "slow one", "--quick") == ["slow one"]
    assert names("--only", "contract", "--only", "slow one") == ["passing", "slow one"]


def test_structures_of_a_file(good, silicon, here):
    cell = ase.build.bulk("Si", cubic=True)
    ase.io.write("si.xyz", [cell, cell * 2])
    arguments = ("check", silicon, "--json", "--structures", "si.xyz")
    assert list(json.loads(succeed(*arguments).stdout)["structures"]) == ["frame 0, Si8", "frame 1, Si64"]
    last = json.loads(succeed(*arguments, "--index", "-1", "--format", "extxyz").stdout)
    assert list(last["structures"]) == ["frame 0, Si64"]


def test_engine_options_reach_the_model(silicon, here, monkeypatch):
    seen = []
    tiny_checks(monkeypatch, look=lambda bench: seen.append((bench.engine.kernel, bench.options)) or ())
    succeed("check", silicon, "--device", "cpu", "--skin", "0.5", "--kernel", "script")
    assert seen == [("script", {"device": "cpu", "neighbor_skin": 0.5, "kernel": "script"})]


def test_html_is_written(bad, silicon, here):
    result = invoke("check", silicon, "--html", "report.html", "--save", "none")
    assert result.stdout.endswith("wrote report.html\n")
    assert (here / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert "exists; choose another or add --force" in fail("check", silicon, "--html", "report.html")
    assert invoke("check", silicon, "--html", "report.html", "--force", "--save", "none").exit_code == 1


def test_list_of_checks(good):
    lines = succeed("check", "--list").stdout.splitlines()
    assert lines[0].split() == ["check", "group", "quick", "what", "a", "failure", "means"]
    assert lines[1].split("  ")[0] == "passing"
    assert [line.split()[-1] for line in lines[1:]] == ["passing.", "one."]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "missing argument 'MODEL'; see `metatomic check --help`"),
        (("no.pt",), 1, "no.pt"),
        (("{model}", "--structures", "no.xyz"), 1, "expected a file with structures, got 'no.xyz', which is none"),
        (("{model}", "--structures", "{model}"), 1, "expected structures that ASE reads, got"),
        (("{model}", "--structures", "o.xyz"), 1, "expected species that the model knows, Si, got O in frame 0"),
        (("{model}", "--structures", "o.xyz", "--format", "xzy"), 1, "expected a format of ASE, got 'xzy'"),
        (("{model}", "--structures", "o.xyz", "--index", "a"), 1, "expected the index of structures to be a number"),
        (("{model}", "--structures", "o.xyz", "--index", "7"), 1, "expected structures with the index '7' in 'o.xyz'"),
        (("{model}", "--structures", "o.xyz", "--index", "7:9"), 1, "with the index '7:9' in 'o.xyz', got none"),
        (("{model}", "--index", "0"), 2, "expected --structures FILE with --format and --index, got none"),
        (("{model}", "--engines", "lamps"), 1, "for `engines`, got 'lamps'; did you mean 'lammps'"),
        (("{model}", "--engines", "ase,none"), 2, "expected names with commas between them, or none, got 'ase,none'"),
        (("{model}", "--engines", ""), 2, "expected names with commas between them"),
        (("{model}", "--only", "passng"), 1, "for `only`, got 'passng'; did you mean 'passing'"),
        (("{model}", "--only", "xyz"), 1, "got 'xyz'; there are passing, slow one, contract, numerics"),
        (("{model}", "--seed", "x"), 2, "'x' is not a valid integer"),
        (("{model}", "--html", "no/report.html"), 1, "expected the directory of `--html` to exist"),
        (("{model}", "--save", "o.xyz"), 1, "expected `--save` to be a folder, got the file 'o.xyz'"),
        (("{model}", "--variant", "energy"), 2, "expected NAME=VARIANT"),
        (("{model}", "--variant", "energy=pbe"), 1, "'pbe'"),
        (("{model}", "--device", "toaster"), 1, "toaster"),
        (("{model}", "--kernel", "fast"), 2, "'fast' is not one of"),
        (("{model}", "--non-conservative", "on"), 1, "non_conservative"),
        (("{model}", "--extensions", "no"), 1, "no"),
        (("{model}", "--jsn"), 2, "no such option '--jsn'; did you mean one of: '--json'"),
    ],
)  # fmt: skip
def test_errors(good, silicon, here, arguments, status, message):
    ase.io.write("o.xyz", ase.build.molecule("O2"))
    given = [text.replace("{model}", str(silicon)) for text in arguments]
    assert message in fail("check", *given, status=status)


def test_help_needs_neither_torch_nor_ase():
    code = """
import sys
from click.testing import CliRunner
from metatomic_core.cli import metatomic
result = CliRunner().invoke(metatomic, ["check", "--help"])
assert result.exit_code == 0 and "metatomic check silicon.pt" in result.stdout, result.stderr
found = {"torch", "ase", "matplotlib", "jinja2"} & set(sys.modules)
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_group_knows_the_command_before_its_package_is_installed(monkeypatch):
    monkeypatch.setattr("metatomic_core.cli._group._installed", dict)
    assert "check" not in metatomic.list_commands(None)
    assert "the command 'check' is part of metatomic-check; run `pip install ./packages/core ./packages/check`" in fail(
        "check", "si.pt"
    )
