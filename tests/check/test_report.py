"""`check_model` and its report: what findings become, files of structures, and JSON."""

import dataclasses
import json
import math
import sys
import warnings

import ase
import ase.io
import numpy as np
import pytest
from models import WithInputs, wrap
from report_cases import DIMER, broken, failing, passing, plot, report, tiny_checks

from metatomic_check import Report, check_model
from metatomic_check.choosing import chosen_checks, chosen_engines
from metatomic_check.finding import Finding, Grade, Line
from metatomic_check.printing import lines_of
from metatomic_check.saved_files import save_configurations
from metatomic_check.structure_files import checked_structures, read_atoms
from metatomic_core import ModelOutput
from metatomic_core.potentials import stillinger_weber


@pytest.fixture(scope="module")
def silicon(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "si.pt"
    stillinger_weber().save(path)
    return path


# --- what is run ---------------------------------------------------------------------------------------------------


def test_error_of_check_is_failure_and_others_go_on(silicon, monkeypatch):
    def raising(bench):
        yield Finding("raising", Grade.PASS, "so far")
        raise RuntimeError("no memory\nfor this")

    tiny_checks(monkeypatch, raising=raising, passing=passing)
    found = check_model(silicon)
    first, second = found.of("raising")
    assert (first.grade, second.grade) == (Grade.PASS, Grade.FAIL)
    assert second.text.startswith("raised RuntimeError: no memory;")
    assert {one.grade for one in found.of("passing")} == {Grade.PASS}
    assert found.grade is Grade.FAIL


def test_check_without_findings_is_not_applicable(silicon, monkeypatch):
    tiny_checks(monkeypatch, idle=lambda bench: iter(()))
    found = check_model(silicon)
    assert [one.grade for one in found.findings] == [Grade.NOT_APPLICABLE]
    assert found.grade is Grade.NOT_APPLICABLE


def test_model_declares_by_design(tmp_path, monkeypatch):
    model = stillinger_weber()
    model.metadata().extra["by design: broken"] = "there is a field"
    model.save(tmp_path / "si.pt")
    tiny_checks(monkeypatch, broken=broken, passing=passing)
    found = check_model(tmp_path / "si.pt")
    (finding,) = found.of("broken")
    assert finding.grade is Grade.BY_DESIGN
    assert finding.text == "by design: there is a field (it is too much; do less)"
    assert (finding.number, finding.limit) == (2.0, 1.0)
    assert found.grade is Grade.BY_DESIGN


def test_declaration_for_no_check_is_warning(tmp_path):
    model = stillinger_weber()
    model.metadata().extra["by design: declaration"] = "a typing mistake"
    model.save(tmp_path / "si.pt")
    (finding,) = check_model(tmp_path / "si.pt", only=["declarations"]).findings
    assert finding.grade is Grade.WARN
    assert "the nearest is 'declarations'" in finding.text


def test_warnings_and_prints_of_checks_stay_out_of_the_way(silicon, monkeypatch, capsys):
    def noisy(bench):
        sys.stdout.write("on standard output\n")
        for _ in range(2):
            warnings.warn("old spelling", UserWarning, stacklevel=1)
        yield Finding("noisy", Grade.PASS, "fine")

    tiny_checks(monkeypatch, noisy=noisy)
    (asked,) = check_model(silicon).checks
    assert asked.warnings == ("old spelling",)
    assert capsys.readouterr() == ("", "on standard output\n")


@pytest.mark.parametrize(
    ("only", "effort", "names"),
    [
        ((), "normal", ["passing", "broken", "slow one"]),
        ((), "full", ["passing", "broken", "slow one"]),
        ((), "quick", ["passing", "broken"]),
        (("slow one",), "quick", ["slow one"]),
        (("contract",), "normal", ["passing", "broken"]),
        (("numerics", "broken"), "normal", ["broken", "slow one"]),
    ],
)
def test_chosen_checks(monkeypatch, only, effort, names):
    tiny_checks(monkeypatch, **{"passing": passing, "broken": broken, "slow one": passing})
    assert [check.name for check in chosen_checks(only, effort)] == names


def test_effort_and_seed_and_options_reach_checks(silicon, monkeypatch):
    seen = []

    def look(bench):
        seen.append((bench.full, bench.seed, bench.only_engines, bench.engine.kernel, bench.engine.check_consistency))
        return ()

    tiny_checks(monkeypatch, look=look)
    check_model(silicon, effort="full", seed=3, engines=[], options={"check_consistency": True})
    check_model(silicon, effort="quick")
    assert seen == [(True, 3, [], "script", True), (False, 0, None, "script", False)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effort": "fast"}, "expected `effort` to be one of"),
        ({"seed": 1.5}, "expected `seed` to be an integer"),
        ({"only": ["declaration"]}, "got 'declaration'; did you mean 'declarations'"),
        ({"engines": ["lamps"]}, "expected the name of an engine for `engines`, got 'lamps'; did you mean 'lammps'"),
        ({"options": {"varaints": {}}}, "did you mean 'variants'"),
        ({"structures": []}, "expected structures in 'structures', got none"),
        ({"structures": ["Si"]}, "expected ase.Atoms in `structures`, got str for frame 0"),
    ],
)
def test_wrong_argument(silicon, arguments, message):
    with pytest.raises((TypeError, ValueError), match=r"^expected") as error:
        check_model(silicon, **arguments)
    assert message in str(error.value)


def test_engines_with_ranks_go_by_the_name_of_the_engine(monkeypatch):
    monkeypatch.setattr("metatomic_check.choosing.plugins", lambda *_: ["lammps", "lammps-2", "mine"])
    assert chosen_engines(["lammps", "mine"]) == (["lammps", "lammps-2", "mine"], {})
    assert chosen_engines(["ase", "mine"]) == (["mine"], {"ase": "metatomic-ase"})
    assert chosen_engines([]) == ([], {})
    assert chosen_engines(None) == (None, {"ase": "metatomic-ase", "ipi": "metatomic-ipi"})


def test_engine_that_is_not_installed_does_not_apply(silicon, monkeypatch):
    monkeypatch.setattr("metatomic_check.choosing.plugins", lambda *_: ["ase"])
    found = check_model(silicon, only=["engines at hand"], engines=["ase", "ipi"]).findings
    assert [(one.part, one.grade) for one in found] == [("ipi", Grade.NOT_APPLICABLE)]
    assert "metatomic-ipi is not installed" in found[0].text


# --- structures ----------------------------------------------------------------------------------------------------


def atoms(**changes):
    given = {"symbols": "Si2", "positions": [[0, 0, 0], [1.3, 1.4, 1.2]], "cell": [5, 5, 5], "pbc": True}
    return ase.Atoms(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbols": "SiO"}, "expected species that the model knows, Si, got O in frame 1 of 'x.xyz'"),
        ({"symbols": "", "positions": np.zeros((0, 3))}, "expected atoms, got none in frame 1"),
        (
            {"positions": [[0, 0, 0], [np.nan, 1, 1]]},
            "expected positions that are numbers, got [nan, 1.0, 1.0] for atom 1",
        ),
        ({"cell": [5, np.inf, 5]}, "expected a cell of numbers"),
        ({"cell": [5, 0, 5]}, "expected a cell vector along each periodic direction"),
        ({"positions": [[0, 0, 0], [4.95, 0, 0]]}, "at least 0.2 angstrom apart, got 0.05 between atoms"),
    ],
)
def test_structure_that_is_none(changes, message):
    with pytest.raises(ValueError, match=r"^expected") as error:
        checked_structures([atoms(), atoms(**changes)], [14], {}, "x.xyz")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("no.xyz", None, "expected a file with structures, got"),
        ("text.xyz", "3\n\nSi 0 0 0\n", "expected structures that ASE reads"),
        ("odd.what", "what", "expected structures that ASE reads"),
        ("empty.xyz", "", "expected structures"),
    ],
)
def test_file_without_structures(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_atoms(tmp_path / name)


def test_structures_of_file_have_inputs_by_name_and_from_ase(tmp_path):
    requested = {
        "charge": ModelOutput(unit="e", sample_kind="system"),
        "mass": ModelOutput(unit="kg", sample_kind="atom"),
        "mine::field/strong": ModelOutput(unit="V/angstrom", sample_kind="system"),
        "ase::arrays::weight": ModelOutput(unit="", sample_kind="atom"),
        "ase::tags": ModelOutput(unit="", sample_kind="atom"),
    }
    one = atoms()
    one.info.update(charge=-1, field_strong=0.25)
    one.set_array("weight", np.array([0.5, 0.75]))
    ase.io.write(tmp_path / "si.extxyz", [one, one])
    found = checked_structures(read_atoms(tmp_path / "si.extxyz"), [14], requested, "si.extxyz")
    assert list(found) == ["frame 0, Si2", "frame 1, Si2"]
    inputs = found["frame 0, Si2"].inputs
    assert inputs["charge"] == -1
    # CODATA: 1 u in kg
    np.testing.assert_allclose(inputs["mass"], 28.085 * 1.66053907e-27, rtol=1e-6)
    assert inputs["mine::field/strong"] == 0.25
    assert inputs["ase::arrays::weight"].tolist() == [0.5, 0.75]
    assert inputs["ase::tags"].tolist() == [0, 0]


def test_input_that_nobody_has_is_named(tmp_path):
    wrap(WithInputs()).save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"expected 'field' in `atoms\.info`.*give structures that have it"):
        check_model(tmp_path / "model.pt", only=["declarations"])


def test_saved_structures_are_read_again(tmp_path):
    inputs = {"mine::field": np.float64(0.5), "weight": np.array([1.0, 2.0])}
    structure = dataclasses.replace(DIMER, inputs=inputs)
    found = report(failing(), dataclasses.replace(failing(), part="a/b c", structures={"one": structure, "two": DIMER}))
    paths = save_configurations(found, tmp_path / "saved")
    assert [path.name for path in paths] == ["forces_dimer.extxyz", "forces_a-b-c.extxyz"]
    first, second = ase.io.read(paths[1], index=":")
    assert first.info == {"check": "forces", "part": "a/b c", "structure": "one", "field": 0.5}
    assert first.arrays["weight"].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(first.positions, DIMER.positions)
    assert not first.pbc.any()
    assert first.get_potential_energy() == -4.3
    assert first.get_forces()[0].tolist() == [0.5, 0.0, 0.0]
    assert second.info["structure"] == "two"
    requested = {"mine::field": ModelOutput(sample_kind="system"), "weight": ModelOutput(sample_kind="atom")}
    again = checked_structures([first], [14], requested, "saved")["frame 0, Si2"]
    assert again.inputs["mine::field"] == 0.5


def test_what_a_model_gives_is_saved_with_the_structure(silicon, monkeypatch):
    tiny_checks(monkeypatch, broken=broken)
    (one,) = check_model(silicon).configurations
    assert (one.check, one.part, one.name) == ("broken", "bulk", "worst")
    assert one.forces.shape == one.structure.positions.shape
    # the deepest that Stillinger-Weber silicon can be is -4.34 eV per atom
    assert -4.34 * len(one.forces) < one.energy


def test_structure_on_which_the_model_raises_is_saved_without_results(silicon, monkeypatch):
    def odd(bench):
        unknown = dataclasses.replace(DIMER, types=np.array([14, 8]))
        yield Finding("odd", Grade.FAIL, "it raises", structures={"worst": unknown})

    tiny_checks(monkeypatch, odd=odd)
    (one,) = check_model(silicon).configurations
    assert (one.energy, one.forces) == (None, None)


def test_types_that_are_no_elements_are_saved(tmp_path):
    structure = dataclasses.replace(DIMER, types=np.array([14, 130]))
    (path,) = save_configurations(report(dataclasses.replace(failing(), structures={"a": structure})), tmp_path)
    read = ase.io.read(path)
    assert read.get_chemical_symbols() == ["Si", "X"]
    assert read.arrays["atomic_types"].tolist() == [14, 130]


# --- the report ----------------------------------------------------------------------------------------------------


def test_grade_is_the_worst():
    good = Finding("forces", Grade.PASS, "fine")
    for grade in (Grade.WARN, Grade.FAIL, Grade.BY_DESIGN):
        assert report(good, Finding("forces", grade, "not so fine")).grade is grade
    assert report(good, Finding("dimers", Grade.INFORMATION, "a picture")).grade is Grade.PASS
    assert report().grade is Grade.NOT_APPLICABLE


def test_json_round_trip_with_numbers_that_are_not_finite():
    odd = Finding("dimers", Grade.WARN, "odd", number=math.nan, limit=math.inf, plots=(plot(x_log=True),))
    found = report(failing(), odd)
    text = found.to_json()

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    data = json.loads(text, parse_constant=refuse)
    assert data["findings"][1]["number"] == "nan"
    assert data["findings"][1]["limit"] == "inf"
    again = Report.from_json(text)
    assert again.to_json() == text
    line = again.findings[1].plots[0].lines[1]
    assert isinstance(line, Line)
    np.testing.assert_array_equal(line.y, plot().lines[1].y)
    assert again.findings[1].plots[0].marks == ((3.8, "cutoff"),)
    assert again.configurations[0].forces.dtype == np.float64
    assert again.structures["dimer"].pbc.dtype == bool


def test_json_schema():
    """Names that programs of others read: they stay, or `schema_version` changes."""
    data = json.loads(report(failing(plots=(plot(),))).to_json())
    assert {key: sorted(value) if isinstance(value, dict) else type(value).__name__ for key, value in data.items()} == {
        "schema_version": "int",
        "grade": "str",
        "counts": ["by design", "fail", "information", "not applicable", "pass", "warn"],
        "model": ["authors", "description", "dtype", "extra", "file", "interaction_range", "n_bytes", "name", "outputs",
                  "references", "sha256", "species"],
        "provenance": ["command", "date", "effort", "machine", "options", "seed", "versions"],
        "checks": "list",
        "findings": "list",
        "structures": ["dimer"],
        "configurations": "list",
    }  # fmt: skip
    assert data["schema_version"] == 1
    assert list(data["checks"][0]) == ["name", "group", "meaning", "seconds", "warnings"]
    assert list(data["findings"][0]) == [
        "check", "grade", "text", "part", "number", "limit", "unit", "structures", "plots"
    ]  # fmt: skip
    assert list(data["configurations"][0]) == ["check", "part", "name", "structure", "energy", "forces"]
    assert list(data["structures"]["dimer"]) == ["types", "positions", "cell", "pbc", "inputs"]
    assert list(data["findings"][0]["plots"][0]) == [
        "title", "x_label", "y_label", "lines", "x_log", "y_log", "marks", "points"
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{}", "[]", '{"schema_version": 2}', '{"schema_version": 1}', "{"])
def test_json_that_is_no_report(text):
    with pytest.raises(ValueError, match=r"expected|Expecting"):
        Report.from_json(text)


def test_passing_findings_of_many_parts_are_one_line():
    many = [Finding("a", Grade.PASS, f"text {k}", part=f"part {k}", number=k % 5, limit=10) for k in range(7)]
    bad = [Finding("a", Grade.FAIL, "bad", part=f"bad {k}") for k in range(5)]
    shown = lines_of([*many, *bad])
    assert shown[0] == (many[4], "part 4 (worst of 7)")
    assert [about for _, about in shown[1:]] == [f"bad {k}" for k in range(5)]
    assert len(lines_of(many[:3])) == 3


def test_report_is_of_the_file(silicon, monkeypatch):
    tiny_checks(monkeypatch, passing=passing)
    found = check_model(silicon, date="today", command="metatomic check si.pt")
    assert found.model.species == ("Si",)
    # 3.77118 angstrom: a sigma = 1.8 * 2.0951 (Stillinger and Weber 1985)
    assert found.model.interaction_range == pytest.approx(1.8 * 2.0951)
    assert (found.provenance.date, found.provenance.command) == ("today", "metatomic check si.pt")
    assert {"Python", "torch", "metatomic-core", "ase"} <= set(found.provenance.versions)
    assert len(found.findings) == len(found.structures)
