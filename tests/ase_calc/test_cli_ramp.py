"""Temperatures that change during ``metatomic md``, pictures of runs, and what is to be cited."""

import re

import ase.build
import ase.io
import ase.md.langevin
import numpy as np
import pytest
from ase import units
from ase_models import argon, argon_model
from command_line import fail, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.cli._citations import METHODS, PAPERS
from metatomic_ase.cli._temperatures import Temperatures, schedule

RAMP = "20 K:60 K@20 fs:60 K@30 fs:10 K@40 fs"
PICTURES = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argon_model().save("argon.pt")
    atoms = argon(1)
    atoms.info, atoms.calc = {}, None
    atoms.set_momenta(np.random.default_rng(1).normal(size=(len(atoms), 3)) * np.sqrt(40 * units.kB * 2 * 20))
    ase.io.write("argon.traj", atoms)
    return tmp_path


def test_ramp_is_that_of_langevin_with_a_new_temperature_each_step(files):
    arguments = ["argon.pt", "argon.traj", "-o", "run", "--ensemble", "nvt", "--temperature", RAMP, "--seed", 5]
    succeed("md", *arguments, "--timestep", "2 fs", "--steps", 25, "--restart-every", 100)
    atoms = ase.io.read("argon.traj")
    atoms.calc = MetatomicCalculator("argon.pt")
    rng = np.random.default_rng(5)
    more = {"friction": 10 / (1000 * units.fs), "fixcm": False, "rng": rng}
    dynamics = ase.md.langevin.Langevin(atoms, 2 * units.fs, temperature_K=20, **more)
    # temperature at the end of each step of 2 fs
    wanted = [24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 60, 60, 60, 60, 60, 50, 40, 30, 20, 10, 10, 10, 10, 10, 10]
    for temperature in wanted:
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.step()
    assert np.loadtxt("run.log")[-1, 0] == 20
    succeed("md", "argon.pt", "--restart", "run.restart", "--steps", 30)
    for _ in range(5):
        dynamics.step()
    assert np.loadtxt("run.log")[-1, 5] == pytest.approx(atoms.get_temperature(), rel=1e-5)


# the first part is told that it does not get to the end
@pytest.mark.filterwarnings("ignore:expected temperatures within the run")
@pytest.mark.parametrize(
    "more",
    [
        ["nvt"],
        ["nvt", "--thermostat", "bussi"],
        ["nvt", "--thermostat", "nose-hoover", "--thermostat-time", 20],
        ["npt", "--pressure", "1 bar"],
        ["npt", "--pressure", "1 bar", "--barostat", "full"],
    ],
)
def test_ramp_goes_on_to_the_last_bit(files, more):
    arguments = ["argon.pt", "argon.traj", "--ensemble", *more, "--temperature", RAMP, "--timestep", "2 fs"]
    arguments += ["--log-every", 1, "--restart-every", 9]
    succeed("md", *arguments, "-o", "whole", "--steps", 27)
    succeed("md", *arguments, "-o", "parts", "--steps", 9)
    succeed("md", "argon.pt", "--restart", "parts.restart", "--steps", 27)
    whole, parts = np.loadtxt("whole.log"), np.loadtxt("parts.log")
    np.testing.assert_array_equal(whole, parts)
    # the ramp makes a difference
    succeed("md", *["20 K" if one == RAMP else one for one in arguments], "-o", "constant", "--steps", 27)
    assert np.abs(np.loadtxt("constant.log")[-1] - whole[-1])[5] > 1e-3


def test_temperatures_without_times_part_the_run_evenly():
    stops = Temperatures().convert("300 K:900:900K:300", None, None)
    assert schedule(stops, 12.0) == [[0, 300], [4, 900], [8, 900], [12, 300]]
    assert schedule(Temperatures().convert("300 K", None, None), 12.0) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("300:400@5 ps:500", "expected a time for each temperature after the first, or for none"),
        ("300@1 ps:400@5 ps", "expected times that grow from 0"),
        ("300:400@5 ps:500@5 ps", "expected times that grow from 0"),
        ("300:", "expected a number with a unit, such as '300 K', got ''"),
        ("300:0", "expected a positive number"),
        ("300:400@5 K", "expected a value such as '5 ps'"),
    ],
)
def test_temperatures_refuse(files, value, message):
    arguments = ["md", "argon.pt", "argon.traj", "--ensemble", "nvt", "--temperature", value]
    assert message in fail(*arguments, status=2)


def test_ramp_needs_a_thermostat(files):
    error = fail("md", "argon.pt", "argon.traj", "--temperature", "20:30", status=2)
    assert "expected one --temperature with --ensemble nve, which has no thermostat" in error


@pytest.mark.parametrize(("suffix", "ensemble"), [(".png", ["nve"]), (".pdf", ["nvt"]), (".svg", ["npt"])])
def test_md_draws_the_run(files, suffix, ensemble):
    arguments = ["argon.pt", "argon.traj", "-o", "run", "--ensemble", *ensemble, "--temperature", "20", "--steps", 20]
    arguments += ["--pressure", "1 bar"] if ensemble == ["npt"] else []
    succeed("md", *arguments, "--plot", f"run{suffix}")
    assert (files / f"run{suffix}").read_bytes().startswith(PICTURES[suffix])
    assert "which exists" in fail("md", *arguments[:2], "-o", "other", "--plot", f"run{suffix}")
    if suffix == ".svg":
        text = (files / "run.svg").read_text(encoding="utf-8")
        assert all(label in text for label in ("temperature (K)", "(meV/atom)", "time (ps)", "/atom)"))


def test_relax_draws_the_run(files):
    succeed("relax", "argon.pt", "argon.traj", "-o", "out.extxyz", "--plot", "run.svg")
    text = (files / "run.svg").read_text(encoding="utf-8")
    assert all(label in text for label in ("last (meV/atom)", "(eV/Å)", ">step<"))
    error = fail("relax", "argon.pt", "argon.traj", "-o", "other.extxyz", "--plot", "run.tiff")
    assert "expected `--plot` to end in .pdf, .png, .svg, got 'run.tiff'" in error


def test_bibtex_has_model_and_methods(files):
    succeed("export", "sw", "-o", "silicon.pt")
    ase.io.write("silicon.xyz", ase.build.bulk("Si", cubic=True, a=5.4))
    arguments = ["md", "silicon.pt", "silicon.xyz", "--ensemble", "nvt", "--thermostat", "bussi", "--temperature", 300]
    result = succeed(*arguments, "--steps", 1, "--bibtex", "cite.bib")
    text = (files / "cite.bib").read_text(encoding="utf-8")
    assert re.findall(r"^@(\w+)\{([\w-]+),$", text, re.MULTILINE) == [
        ("misc", "model-1"),
        ("article", "method-ase"),
        ("article", "method-bussi"),
    ]
    assert re.findall(r"doi = \{(.*)\}", text) == [
        "10.1103/PhysRevB.31.5262",
        "10.1088/1361-648X/aa680e",
        "10.1063/1.2408420",
    ]
    assert text.count("{") == text.count("}")
    line = "methods to cite: ASE (doi:10.1088/1361-648X/aa680e), thermostat (doi:10.1063/1.2408420)"
    assert line in result.stderr.splitlines()


def test_all_methods_have_papers():
    assert {key for keys in METHODS.values() for key in keys} | {"ase"} == set(PAPERS)
    assert all(re.fullmatch(r"10\.\d{4}/\S+", paper.doi) for paper in PAPERS.values())


@pytest.mark.filterwarnings("default:expected temperatures within the run")
def test_ramp_that_the_run_does_not_reach_is_told(files):
    ramp = ["--ensemble", "nvt", "--temperature", "20 K:60 K@20 fs", "--timestep", "2 fs"]
    whole = succeed("md", "argon.pt", "argon.traj", *ramp, "--steps", 10, "-o", "whole")
    assert "raise --steps" not in whole.stderr
    part = succeed("md", "argon.pt", "argon.traj", *ramp, "--steps", 5, "-o", "part")
    assert "within the run of 0.01 ps, got 60 K at 0.02 ps, which is not reached; raise --steps" in part.stderr
