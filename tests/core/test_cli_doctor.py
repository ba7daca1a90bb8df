"""``metatomic doctor``: what it finds where all is well, and where one thing is broken."""

import json
import math
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke, succeed
from doctor_cases import by_name, distribution, saved_trial

from metatomic_core.adapters.diagnoses import Diagnosis, Finding, NotTriedError, Trial
from metatomic_core.diagnosis import caches, examination, known_versions, machine, packages, parts, plugins, pytorch
from metatomic_core.diagnosis.examination import Section, examine
from metatomic_core.diagnosis.known_versions import KNOWN_VERSIONS, KnownVersion
from metatomic_core.diagnosis.privacy import private
from metatomic_core.kernels.cache import About

SECONDS = 120.0
# one section of a package of somebody else; what its probe does is put in
MODULE = """
import os, signal, time
from metatomic_core.adapters.diagnoses import Diagnosis, Finding

def first(trial):
    print("noise of a library")
    yield Finding("first", "was here")

def second(trial):
    {}

DIAGNOSIS = Diagnosis("Toy engine", (first, second))
"""
FIRST = Finding("first", "was here")


def energy_of_pair(distance):
    """Give the energy of argon that Verlet used, Phys. Rev. 159, 98 (1967): 3.405 angstrom and 119.8 K."""
    epsilon = 119.8 * 8.617333262e-5
    return 4 * epsilon * ((3.405 / distance) ** 12 - (3.405 / distance) ** 6)


@pytest.fixture
def only(monkeypatch):
    """A function that leaves one part to look at."""

    def choose(name):
        chosen = [[part for part in step if part.name == name] for step in parts.parts()]
        assert sum(map(len, chosen)) == 1
        monkeypatch.setattr(examination, "parts", lambda: chosen)

    return choose


@pytest.fixture
def toy(monkeypatch, tmp_path, only):
    """A function that gives the sections of a package whose second probe does something, or whose module is another."""

    def sections(does="pass", module=None, seconds=SECONDS, value="toy_doctor:DIAGNOSIS"):
        modules = {"toy_doctor": MODULE.format(does) if module is None else module}
        entry_points = {"metatomic.diagnoses": {"toy": value}}
        distribution(monkeypatch, tmp_path / "site", "toy-engine", entry_points=entry_points, modules=modules)
        only("toy")
        (section,) = examine(seconds)
        assert section.package == "toy-engine"
        return section

    return sections


@pytest.fixture
def fake_torch(monkeypatch, tmp_path, only):
    """A function that gives the sections of the part of torch, by title, with another torch."""

    def sections(source, seconds=SECONDS):
        (tmp_path / "torch.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        only("torch")
        found = {section.title: section for section in examine(seconds)}
        assert list(found) == list(next(part.titles for part in parts.parts()[0] if part.name == "torch"))
        return found

    return sections


# all is well


@pytest.fixture(scope="module")
def report():
    """The data of a run of all parts of core, and its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examination, "parts", lambda: parts.parts()[:1])
        result = invoke("doctor", "--json")
    return json.loads(result.stdout), result.exit_code


def test_report_has_all_sections_of_core(report):
    data, status = report
    titles = [title for part in parts.parts()[0] for title in part.titles]
    assert [section["title"] for section in data["sections"]] == titles
    assert data["problems"] == 0
    assert status == 0


def test_report_is_of_the_form_that_is_documented(report):
    data, _ = report
    assert list(data) == ["format", "metatomic_core", "problems", "warnings", "sections"]
    assert data["format"] == 1
    statuses = []
    for section in data["sections"]:
        assert list(section) == ["title", "package", "findings", "status"]
        assert section["package"] == "metatomic-core"
        for finding in section["findings"]:
            assert list(finding) == ["name", "value", "status", "advice"]
            assert all(isinstance(text, str) and "\n" not in text for text in finding.values())
            assert finding["advice"] or finding["status"] == "ok"
            statuses.append(finding["status"])
    assert data["warnings"] == statuses.count("warning")


def test_report_says_what_this_process_knows(report):
    import metatensor
    import torch

    found = {
        (section["title"], row["name"]): row["value"]
        for section in report[0]["sections"]
        for row in section["findings"]
    }
    assert platform.python_version() in found["Python", "Python"]
    assert platform.machine() in found["Machine", "operating system"]
    assert found["PyTorch", "torch"].startswith(f"{torch.__version__}, built for ")
    assert found["Packages", "metatensor-core"] == metatensor.__version__
    assert found["A run without an engine", "saved model"].startswith("energy and forces of two atoms right to ")
    assert "nequip (metatomic-core)" in found["Added by packages", "readers"]


# what is printed, and how it ends


@pytest.mark.parametrize(
    ("findings", "status", "last"),
    [
        ([FIRST], 0, "0 problems and 0 warnings"),
        ([FIRST, Finding("b", "old", "warning", "upgrade b")], 0, "0 problems and 1 warning"),
        (
            [Finding("b", "old", "warning", "upgrade b"), Finding("c", "gone", "problem", "get c")],
            1,
            "1 problem and 1 warning",
        ),
    ],
    ids=["ok", "warning", "problem"],
)
def test_exit_status_is_one_with_a_problem(findings, status, last, monkeypatch):
    monkeypatch.setattr(examination, "examine", lambda *_, **__: iter([Section("Toy", "toy", tuple(findings))]))
    result = invoke("doctor")
    assert result.exit_code == status
    lines = result.stdout.splitlines()
    assert lines[0] == "Toy"
    assert lines[-1] == last
    listed = [line.split(maxsplit=1) for line in lines[1:-2]]
    expected = []
    for finding in findings:
        expected.append([finding.status, f"{finding.name}: {finding.value}"])
        expected += [["->", finding.advice]] if finding.advice else []
    assert listed == expected
    assert invoke("doctor", "--json").exit_code == status


def test_output_has_no_colors_where_it_is_no_terminal(monkeypatch):
    section = Section("Toy", "toy", (Finding("b", "old", "warning", "upgrade b"),))
    monkeypatch.setattr(examination, "examine", lambda *_, **__: iter([section]))
    assert "\x1b" not in succeed("doctor").stdout


def test_options_reach_the_examination(monkeypatch):
    given = []
    monkeypatch.setattr(examination, "examine", lambda seconds, *, build: given.append((seconds, build)) or iter([]))
    succeed("doctor", "--build", "--timeout", "7")
    succeed("doctor")
    assert given == [(7.0, True), (120.0, False)]


# packages of others


def test_package_of_somebody_else_has_a_section(toy):
    section = toy('yield Finding("second", "too")')
    assert section.title == "Toy engine"
    assert section.findings == (FIRST, Finding("second", "too"))


def test_error_of_a_probe_is_a_problem_and_keeps_the_rest(toy):
    section = toy('raise OSError("disk\\n is full")')
    assert section.findings[0] == FIRST
    assert section.findings[1].status == "problem"
    assert section.findings[1].value == "OSError: disk is full"


def test_probe_that_hangs_is_stopped_and_keeps_the_rest(toy):
    section = toy("time.sleep(600)", seconds=3.0)
    assert section.findings[0] == FIRST
    assert section.findings[1].status == "problem"
    assert section.findings[1].value == "no end after 3 s, it was stopped"


def is_running(file):
    """Tell whether the process whose number is in a file still runs; a zombie does not."""
    state = Path(f"/proc/{file.read_text()}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_process_that_a_probe_started_ends_with_it(toy, tmp_path):
    file = str(tmp_path / "pid")
    start = f"import subprocess; p = subprocess.Popen(['sleep', '600']); open({file!r}, 'w').write(str(p.pid))"
    toy(f"{start}; time.sleep(600)", seconds=3.0)
    assert not is_running(tmp_path / "pid")


def test_interrupt_ends_what_runs(monkeypatch, tmp_path):
    file = tmp_path / "pid"
    hangs = f"open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    module = MODULE.format(hangs) + '\nQUICK = Diagnosis("Quick", (first,))\n'
    entry_points = {"metatomic.diagnoses": {"hangs": "toy_doctor:DIAGNOSIS", "quick": "toy_doctor:QUICK"}}
    distribution(
        monkeypatch, tmp_path / "site", "toy-engine", entry_points=entry_points, modules={"toy_doctor": module}
    )
    chosen = [part for part in parts.parts()[1] if part.package == "toy-engine"]
    monkeypatch.setattr(examination, "parts", lambda: [sorted(chosen, reverse=True)])
    sections = examine(SECONDS)
    assert next(sections).title == "Quick"
    while not (file.exists() and file.read_text()):
        time.sleep(0.02)
    assert is_running(file)
    sections.close()
    assert not is_running(file)


def test_probe_that_crashes_keeps_the_rest(toy):
    section = toy("os.kill(os.getpid(), signal.SIGSEGV)")
    assert section.findings[0] == FIRST
    assert section.findings[1].status == "problem"
    assert section.findings[1].value == "ended early by SIGSEGV: noise of a library"


def test_probe_that_ends_the_process_is_noticed(toy):
    section = toy("os._exit(0)")
    assert section.findings[0] == FIRST
    assert section.findings[1].value.startswith("ended early by status 0")


def test_wrong_number_of_a_run_is_a_problem(toy):
    section = toy('yield trial.compared("run", trial.energy * (1 + 1e-5), trial.forces)')
    assert section.findings[1].status == "problem"
    assert section.findings[1].value.startswith("wrong energy: ")


@pytest.mark.parametrize(
    ("module", "value", "reason"),
    [
        ("import no_such_module", "toy_doctor:DIAGNOSIS", "No module named 'no_such_module'"),
        ("", "toy_doctor:DIAGNOSIS", "has no attribute 'DIAGNOSIS'"),
        ("DIAGNOSIS = 3", "toy_doctor:DIAGNOSIS", "is a int, not a Diagnosis"),
    ],
)
def test_broken_entry_point_is_a_problem(module, value, reason, toy):
    (finding,) = toy(module=module, value=value).findings
    assert finding.status == "problem"
    assert reason in finding.value
    assert finding.advice == "upgrade or remove toy-engine"


def test_plugins_that_do_not_load_are_problems(monkeypatch, tmp_path):
    entry_points = {"metatomic.readers": {"gone": "no_such_module:reader"}, "metatomic.commands": {"md": "json:dumps"}}
    for name in ("one", "two"):
        distribution(monkeypatch, tmp_path / name, name, entry_points=entry_points)
    listed = list(plugins.plugins(Trial(tmp_path)))
    values = {(finding.name, finding.status): [] for finding in listed}
    for finding in listed:
        values[finding.name, finding.status].append(finding.value)
    *broken, twice = values["reader 'gone'", "problem"]
    assert len(broken) == 2
    assert all("No module named 'no_such_module'" in value for value in broken)
    assert twice == "there are two, of one and of two"
    assert "expected a Command for the command 'md'" in values["command 'md'", "problem"][0]
    (readers,) = values["readers", "ok"]
    assert "nequip (metatomic-core)" in readers
    assert "gone" not in readers


# torch that is missing, crashes or hangs


def test_torch_that_can_not_be_imported_is_one_problem(fake_torch):
    found = fake_torch("raise ImportError('libtorch.so: no such file')")
    problems = [finding for section in found.values() for finding in section.findings if finding.status == "problem"]
    assert [finding.name for finding in problems if finding.name == "torch"] == ["torch"]
    assert "ImportError: libtorch.so: no such file" in problems[0].value
    for title in ("Devices", "Compiled models", "A run without an engine"):
        assert found[title].status == "warning"
        assert found[title].findings[0].value == "not tried: torch can not be imported"


def test_torch_that_crashes_is_a_problem(fake_torch):
    found = fake_torch("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert found["PyTorch"].status == "problem"
    assert found["PyTorch"].findings[-1].value.startswith("ended early by SIGSEGV")
    assert {section.status for title, section in found.items() if title != "PyTorch"} == {"warning"}


def test_torch_that_hangs_is_a_problem(fake_torch):
    found = fake_torch("import time\ntime.sleep(600)", seconds=3.0)
    assert found["PyTorch"].findings[-1].value == "no end after 3 s, it was stopped"


def test_run_without_torch_ends_with_status_one(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('gone')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(examination, "parts", lambda: parts.parts()[:1])
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "  problem  torch: can not be imported: ImportError: gone\n" in result.stdout


# compiler, caches


def test_missing_compiler_is_a_warning(monkeypatch, tmp_path):
    from torch._inductor import cpp_builder

    def none():
        raise RuntimeError("no compiler")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    (finding,) = pytorch.compiler(Trial(tmp_path))
    assert finding.status == "warning"
    assert finding.value.startswith("expected a C++ compiler")
    assert "apt install g++" in finding.advice


def test_compiler_that_fails_is_a_warning(monkeypatch, tmp_path):
    from torch._inductor import cpp_builder

    script = tmp_path / "c++"
    script.write_text("#!/bin/sh\necho 'error: no OpenMP here' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: str(script))
    (finding,) = pytorch.compiler(Trial(tmp_path))
    assert finding.status == "warning"
    assert "ended with status 1: error: no OpenMP here" in finding.value


def put_package(folder, **changes):
    """Write what is said of a compiled package into a cache, as for this torch, or with changes."""
    import dataclasses

    import torch

    fields = {"torch": torch.__version__, "device": "cpu", "dtype": "float64", "march": f"native-{platform.machine()}"}
    about = About(
        program="0" * 64, flavor="forces", cpu_flags=(), inputs=(), outputs=(), per_atom=True, model="argon.pt",
        seconds=1.0, bytes=10, checked={}, **{**fields, **changes},
    )  # fmt: skip
    path = folder / "kernels" / ("0" * 16) / "-".join(["package", *changes.values()])
    path.mkdir(parents=True)
    (path / "about.json").write_text(json.dumps(dataclasses.asdict(about)))
    return path


def test_compiled_packages_that_no_longer_fit_are_warnings(monkeypatch, tmp_path):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path))
    put_package(tmp_path)
    put_package(tmp_path, torch="2.0.1")
    put_package(tmp_path, kernels="abc")
    (put_package(tmp_path, torch="2.0.0") / "about.json").write_text("half of it")
    listed = list(caches.compiled_packages(Trial(tmp_path)))
    assert [(finding.name, finding.status) for finding in listed] == [
        ("cache", "ok"),
        ("compiled", "ok"),
        ("compiled, stale", "warning"),
        ("compiled, stale", "warning"),
        ("compiled, unreadable", "warning"),
    ]
    assert any("got one for 2.0.1" in finding.value for finding in listed)
    assert listed[-1].value == "1 packages"


def test_cache_that_can_not_be_written_is_a_warning(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("METATOMIC_CACHE", str(file))
    (finding,) = caches.compiled_packages(Trial(tmp_path))
    assert finding.status == "warning"
    assert finding.value.endswith("can not be written: Not a directory")


# versions


def test_known_version_that_is_installed_is_reported(monkeypatch, tmp_path):
    row = KnownVersion("toy-engine", ">=2,<2.4", "forgets to say hello", "use 2.4", "problem", "a test")
    monkeypatch.setattr(known_versions, "KNOWN_VERSIONS", (row,))
    (finding,) = known_versions.known_versions(Trial(tmp_path))
    assert finding == Finding("versions known not to work", "none of 1 is installed")
    distribution(monkeypatch, tmp_path / "a", "toy-engine", "2.4")
    assert next(known_versions.known_versions(Trial(tmp_path))).status == "ok"
    distribution(monkeypatch, tmp_path / "b", "toy-engine", "2.3.9+local")
    (finding,) = known_versions.known_versions(Trial(tmp_path))
    assert finding == Finding("toy-engine 2.3.9+local", "forgets to say hello", "problem", "use 2.4")


def test_table_of_versions_is_complete():
    specifiers = pytest.importorskip("packaging.specifiers", reason="a requirement of core")
    for row in KNOWN_VERSIONS:
        specifiers.SpecifierSet(row.versions)
        Finding(row.package, row.what, row.status, row.advice)
        assert all(row)
        assert not row.advice.endswith(".")


def test_requirements_that_are_not_met_are_problems(monkeypatch, tmp_path):
    needs = ["numpy>=99", "no-such-thing>=2", "click", 'neither>3; extra == "more"', "vesin>1; python_version < '3'"]
    distribution(monkeypatch, tmp_path / "a", "metatomic-toy", requires=needs)
    found = by_name(packages.unmet_requirements(Trial(tmp_path)))
    assert found["numpy"].status == "problem"
    assert found["numpy"].value == f"{np.__version__}, and metatomic-toy 1.0 needs >=99"
    assert found["numpy"].advice == "run `pip install 'numpy>=99'`"
    assert found["no-such-thing"].value == "not installed, and metatomic-toy 1.0 needs it"
    assert not {"click", "neither", "vesin"} & found.keys()


def test_requirements_of_requirements_are_warnings(monkeypatch, tmp_path):
    distribution(monkeypatch, tmp_path / "a", "metatomic-toy", requires=["toy-engine"])
    distribution(monkeypatch, tmp_path / "a", "toy-engine", requires=["no-such-thing"])
    found = by_name(packages.unmet_requirements(Trial(tmp_path)))
    assert found["no-such-thing"].status == "warning"


def test_versions_that_hide_or_mix_are_noticed(monkeypatch, tmp_path):
    for name, version in (("a", "1.0"), ("b", "2.0"), ("b", "3.0")):
        distribution(monkeypatch, tmp_path / name, "metatomic-toy", version)
    found = by_name(packages.installed_packages(Trial(tmp_path)))
    assert found["metatomic-toy"].status == "problem"
    assert "several versions in" in found["metatomic-toy"].value
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path / "b")])
    (tmp_path / "c").mkdir()
    distribution(monkeypatch, tmp_path / "c", "metatomic-toy", "4.0")
    found = by_name(packages.installed_packages(Trial(tmp_path)))
    assert found["metatomic-toy"].status == "warning"
    assert found["metatomic-toy"].value == f"4.0, which hides 1.0 in {tmp_path / 'a'}"


# environment, privacy


def test_environment_variables_are_those_that_matter(monkeypatch, tmp_path):
    for name in list(machine.os.environ):
        monkeypatch.delenv(name)
    assert by_name(machine.environment_variables(Trial(tmp_path))).keys() == {"environment variables"}
    given = {
        "OMP_NUM_THREADS": "2",
        "METATOMIC_X": "1",
        "METATOMIC_API_TOKEN": "s3cret",
        "AWS_KEY": "k",
        "PYTORCH_JIT": "0",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = by_name(machine.environment_variables(Trial(tmp_path)))
    assert {name: finding.status for name, finding in found.items()} == {
        "OMP_NUM_THREADS": "ok",
        "METATOMIC_X": "ok",
        "METATOMIC_API_TOKEN": "ok",
        "PYTORCH_JIT": "warning",
    }
    assert found["METATOMIC_API_TOKEN"].value == "(set)"


@pytest.fixture
def jane(monkeypatch):
    from metatomic_core.diagnosis import privacy

    monkeypatch.setattr(privacy, "_homes", lambda: ("/home/jane",))
    monkeypatch.setattr(privacy, "_user", lambda: "jane")


def test_report_names_neither_home_nor_user(toy, jane):
    section = toy('yield Finding("model", "/home/jane/a.pt", "warning", "remove /home/jane/a.pt")')
    assert section.findings[1] == Finding("model", "~/a.pt", "warning", "remove ~/a.pt")


def test_last_words_of_a_process_name_no_home(toy, jane):
    section = toy("print('/home/jane/a.so is gone', flush=True); os.abort()")
    assert section.findings[1].value == "ended early by SIGABRT: ~/a.so is gone"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/jane/x and /home/jane", "~/x and ~"),
        ("/home/janette/x", "/home/janette/x"),
        ("/mnt/home/jane/x", "/mnt/home/USER/x"),
        ("/scratch/jane/venv", "/scratch/USER/venv"),
        ("/tmp/pytest-of-jane/a", "/tmp/pytest-of-USER/a"),
        ("jane is a name\n and a word", "jane is a name and a word"),
    ],
)
def test_paths_say_nothing_of_the_user(text, expected, jane):
    assert private(text) == expected


# the kit


def test_trial_has_the_energy_and_forces_of_the_formula():
    trial = Trial(Path())
    positions = np.array(trial.positions)

    def energy(moved):
        return energy_of_pair(np.linalg.norm(moved[1] - moved[0])) - energy_of_pair(2.5 * 3.405)

    assert trial.energy == pytest.approx(energy(positions), rel=1e-13)
    forces = np.zeros((2, 3))
    for index in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[index] = 1e-4
        forces[index] = (energy(positions - step) - energy(positions + step)) / 2e-4
    np.testing.assert_allclose(trial.forces, forces, atol=1e-9)
    # no image within the cutoff, and no component that an exchange of axes would leave alone
    assert min(np.diag(trial.cell)) > 2 * 2.5 * 3.405
    assert len({round(abs(x), 6) for x in trial.forces[0]}) == 3


@pytest.mark.parametrize(
    ("energy", "forces", "status"),
    [
        (lambda trial: trial.energy, lambda trial: trial.forces, "ok"),
        (lambda trial: trial.energy * (1 + 1e-8), lambda trial: None, "ok"),
        (lambda trial: -trial.energy, lambda trial: trial.forces, "problem"),
        (lambda trial: math.nan, lambda trial: trial.forces, "problem"),
        (lambda trial: trial.energy, lambda trial: trial.forces[::-1], "problem"),
        (lambda trial: trial.energy, lambda trial: [[math.nan] * 3] * 2, "problem"),
        (lambda trial: trial.energy, lambda trial: [[math.inf] * 3] * 2, "problem"),
    ],
)
def test_results_are_compared_with_the_formula(energy, forces, status):
    trial = Trial(Path())
    assert trial.compared("run", energy(trial), forces(trial)).status == status


def test_own_run_notices_wrong_numbers(tmp_path):
    trial = saved_trial(tmp_path, epsilon=0.0104)
    from metatomic_core.engine import Engine, Structure

    engine = Engine(str(trial.model_file()), length_unit="angstrom", energy_unit="eV")
    structure = Structure(
        np.array(trial.types), np.array(trial.positions), np.array(trial.cell), np.ones(3, dtype=bool)
    )
    found = engine.evaluate([structure], ["energy", "forces"])
    assert trial.compared("run", found.energy[0], found.forces).status == "problem"


def test_what_was_not_tried_is_a_warning():
    def not_here(trial):
        raise NotTriedError("there is no such thing")
        yield

    (finding,) = Diagnosis("Toy", (not_here,)).findings(Trial(Path()))
    assert (finding.status, finding.name) == ("warning", "not here")
    assert finding.value == "not tried: there is no such thing"
    with pytest.raises(NotTriedError, match="no model could be saved"):
        Trial(Path()).model_file()


def test_finding_says_what_to_do():
    with pytest.raises(ValueError, match="expected `status` to be one of ok, warning, problem, got 'bad'"):
        Finding("a", "b", "bad")
    with pytest.raises(ValueError, match="expected `advice` for the problem 'a', got none"):
        Finding("a", "b", "problem")
