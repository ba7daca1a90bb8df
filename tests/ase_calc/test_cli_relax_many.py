"""``metatomic relax`` of many structures: as each by itself, whatever becomes of the others, and after a kill."""

import json

import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from ase_models import argon, argon_model
from command_line import fail, load_models_once, succeed

from metatomic_ase.cli import _eval_many, _relax_many, _structures

N = 5


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argon_model().save("argon.pt")
    for number in range(N):
        atoms = argon(1, 0.02 + 0.01 * number)
        atoms.set_cell(atoms.cell * (1 + 0.005 * number), scale_atoms=True)
        atoms.info, atoms.calc = {"name": f"number {number}"}, None
        ase.io.write(f"{number}.extxyz", atoms)
    return tmp_path


ALL = [f"{number}.extxyz" for number in range(N)]
MORE = ["--cell", "isotropic", "--fmax", 1e-3, "--smax", 0.01]


def same(found, expected):
    np.testing.assert_allclose(found.positions, expected.positions, atol=1e-6)
    np.testing.assert_allclose(found.cell.array, expected.cell.array, atol=1e-6)
    assert found.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-7)
    np.testing.assert_allclose(found.get_forces(), expected.get_forces(), atol=1e-6)


def test_many_are_as_each_by_itself(files):
    result = succeed("relax", "argon.pt", *ALL, "-o", "many.extxyz", *MORE, "--bibtex", "cite.bib")
    many = ase.io.read("many.extxyz", ":")
    assert len(many) == N
    for number, atoms in enumerate(many):
        succeed("relax", "argon.pt", f"{number}.extxyz", "-o", f"alone{number}.extxyz", *MORE)
        same(atoms, ase.io.read(f"alone{number}.extxyz"))
        assert atoms.info["name"] == f"number {number}"
        assert atoms.info["metatomic_source"] == f"structure 0 of '{number}.extxyz'"
        assert "optimizer=lbfgs" in atoms.info["metatomic_options"]
    assert ["converged", str(N)] in [line.split() for line in result.stdout.splitlines()]
    assert not (files / "many.extxyz.unfinished").exists()
    assert "10.1007/BF01589116" in (files / "cite.bib").read_text()


def test_all_structures_of_a_file(files):
    ase.io.write("all.extxyz", [ase.io.read(name) for name in ALL])
    data = json.loads(succeed("relax", "argon.pt", "all.extxyz", "--index", ":", "-o", "out.traj", "--json").stdout)
    assert [one["source"] for one in data["structures"]] == [f"structure {k} of 'all.extxyz'" for k in range(N)]
    assert all(one["converged"] and one["fmax_eV_per_A"] < 0.01 for one in data["structures"])


def test_bad_structures_stop_no_others(files):
    bad = ase.io.read("0.extxyz")
    bad.positions[1] = np.nan
    ase.io.write("nan.traj", bad)
    bad = ase.io.read("0.extxyz")
    bad.symbols[0] = "Fe"
    ase.io.write("iron.extxyz", bad)
    arguments = ["relax", "argon.pt", "0.extxyz", "nan.traj", "iron.extxyz", "1.extxyz", "-o", "out.extxyz"]
    error = fail(*arguments)
    assert "expected forces below 0.01 eV/Å for all 4 structures, got 2 that failed or did not converge" in error
    assert [atoms.info["name"] for atoms in ase.io.read("out.extxyz", ":")] == ["number 0", "number 1"]


def test_structures_that_do_not_converge_are_written(files):
    error = fail("relax", "argon.pt", *ALL, "-o", "out.extxyz", "--steps", 1, "--fmax", 1e-6)
    assert f"got {N} that failed or did not converge" in error
    assert [atoms.info["metatomic_converged"] for atoms in ase.io.read("out.extxyz", ":")] == [False] * N


def test_many_relax_to_a_stress(files):
    arguments = ["relax", "argon.pt", *ALL, "--cell", "full", "--fmax", 0.1, "-o", "out.extxyz", "--json", "--force"]
    found = []
    for more in ([], ["--smax", "1 bar"]):
        data = json.loads(succeed(*arguments, *more).stdout)["structures"]
        stresses = [np.abs(atoms.get_stress()).max() / units.GPa for atoms in ase.io.read("out.extxyz", ":")]
        np.testing.assert_allclose([one["smax_GPa"] for one in data], stresses, atol=1e-5)
        found.append(max(stresses))
    assert found[1] < 1e-4 < found[0]
    error = fail(*arguments, "--smax", "1 bar", "--steps", 1)
    assert "expected forces below 0.1 eV/Å and stress below 0.0001 GPa for all 5 structures, got 5 that failed" in error


def test_killed_run_goes_on(files, monkeypatch):
    bad = ase.io.read("0.extxyz")
    bad.symbols[0] = "Fe"
    ase.io.write("iron.extxyz", bad)
    arguments = ["relax", "argon.pt", *ALL, "iron.extxyz", *MORE, "-o"]
    fail(*arguments, "whole.extxyz")
    writes, write = [], _relax_many.write_kept

    def dies(*given):
        write(*given)
        writes.append(1)
        if len(writes) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_relax_many, "_WRITE_EVERY", 0.0)
        patch.setattr(_relax_many, "write_kept", dies)
        assert "interrupted" in fail(*arguments, "parts.extxyz", status=130)
    assert not (files / "parts.extxyz").exists()
    assert "go on with it with --resume" in fail(*arguments, "parts.extxyz")
    other = ["relax", "argon.pt", *ALL, "iron.extxyz", "-o", "parts.extxyz"]
    assert "expected a run of the same model, structure and options" in fail(*other, "--resume")
    relaxed, started = _relax_many.irelax, []
    monkeypatch.setattr(
        _relax_many,
        "irelax",
        lambda structures, *more, **kept: relaxed((started.append(1) or one for one in structures), *more, **kept),
    )
    fail(*arguments, "parts.extxyz", "--resume")
    assert 0 < len(started) < N
    whole, parts = ase.io.read("whole.extxyz", ":"), ase.io.read("parts.extxyz", ":")
    assert len(whole) == len(parts) == N
    for one, other in zip(whole, parts, strict=True):
        same(one, other)
        assert one.info == other.info
    assert not (files / "parts.extxyz.unfinished").exists()


def test_killed_eval_goes_on(files, monkeypatch):
    ase.io.write("all.extxyz", [ase.io.read(name) for name in ALL])
    arguments = ["eval", "argon.pt", "all.extxyz", "--batch-size", 1, "-o"]
    succeed(*arguments, "whole.extxyz")
    write = _structures.write_structures

    def dies(path, structures):
        write(path, structures)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_eval_many, "WRITE_EVERY", 0.0)
        patch.setattr(_structures, "write_structures", dies)
        assert "interrupted" in fail(*arguments, "parts.extxyz", status=130)
    assert len(ase.io.read("parts.extxyz", ":")) == 1
    succeed(*arguments, "parts.extxyz", "--resume")
    assert (files / "parts.extxyz").read_bytes() == (files / "whole.extxyz").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trajectory", "steps.traj"], "expected --trajectory and --plot only for one structure, got 5"),
        (["--plot", "run.png"], "expected --trajectory and --plot only for one structure, got 5"),
    ],
)
def test_many_refuse(files, more, message):
    assert message in fail("relax", "argon.pt", *ALL, "-o", "out.extxyz", *more, status=2)


def test_one_structure_does_not_resume(files):
    assert "expected --resume only for several structures, got one" in fail(
        "relax", "argon.pt", "0.extxyz", "-o", "out.extxyz", "--resume", status=2
    )


def test_format_for_one_structure_is_refused(files):
    assert "expected a format for 5 structures" in fail("relax", "argon.pt", *ALL, "-o", "POSCAR")
