"""``metatomic md``: conservation, ensembles, files, restarts, interrupts and refusals."""

import hashlib
import json
import re
import shutil
import signal
import time
import warnings

import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.verlet import VelocityVerlet
from ase_models import argon, argon_model
from command_line import fail, invoke, load_models_once, process, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.cli._dynamics import INTEGRATORS
from metatomic_ase.cli._restart import read_restart
from metatomic_core import ModelMetadata
from metatomic_core.potentials import lennard_jones, stillinger_weber

STEP, TIME, POTENTIAL, KINETIC, TOTAL, TEMPERATURE, PRESSURE, VOLUME = range(8)
CONDITIONS = {
    "nve": ["--ensemble", "nve"],
    "langevin": ["--ensemble", "nvt"],
    "bussi": ["--ensemble", "nvt", "--thermostat", "bussi"],
    "nose-hoover": ["--ensemble", "nvt", "--thermostat", "nose-hoover"],
    "isotropic": ["--ensemble", "npt", "--pressure", "100 bar"],
    "full": ["--ensemble", "npt", "--pressure", "100 bar", "--barostat", "full"],
}


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    """Load each model file once: it takes longer than most of these runs."""
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a model and structures."""
    folder = tmp_path_factory.mktemp("md")
    argon_model().save(str(folder / "argon.pt"))
    ase.io.write(folder / "argon.xyz", argon())
    ase.io.write(folder / "silicon.xyz", ase.Atoms("Si"))
    return folder


def md(files, prefix, *arguments):
    return [
        *("md", files / "argon.pt", files / "argon.xyz", "-o", prefix, "--timestep", "4 fs", "--temperature", 40),
        *arguments,
    ]


def going_on(files, prefix, *arguments):
    return ["md", files / "argon.pt", "--restart", f"{prefix}.restart", *arguments]


def test_methods_all_have_conditions():
    assert CONDITIONS.keys() == INTEGRATORS.keys()


def test_nve_conserves_energy_and_follows_ase(files, tmp_path):
    succeed(*md(files, tmp_path / "run", "--steps", 200, "--log-every", 4, "--trajectory-every", 100))
    log = np.loadtxt(tmp_path / "run.log")
    assert log.shape == (51, 8)
    np.testing.assert_array_equal(log[:, STEP], np.arange(0, 201, 4))
    np.testing.assert_allclose(log[:, TIME], log[:, STEP] * 0.004, atol=1e-12)
    np.testing.assert_allclose(log[:, POTENTIAL] + log[:, KINETIC], log[:, TOTAL], atol=3e-9)
    # energy goes back and forth, and the total stays: 1e-5 eV per atom in 10 ps is what the demonstration allows
    assert np.ptp(log[:, KINETIC]) > 0.02
    assert abs(np.polyfit(log[:, TIME], log[:, TOTAL], 1)[0]) / 32 * 10 < 1e-5
    assert log[0, TEMPERATURE] == pytest.approx(40, abs=1e-4)

    frames = ase.io.read(tmp_path / "run.traj", index=":")
    assert [frame.info["step"] for frame in frames] == [0, 100, 200]
    atoms = frames[0].copy()
    atoms.calc = MetatomicCalculator(str(files / "argon.pt"))
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-12
    VelocityVerlet(atoms, 4 * units.fs).run(200)
    np.testing.assert_allclose(atoms.positions, frames[-1].positions, atol=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), frames[-1].get_forces(), atol=1e-9)
    pressure = -np.trace(atoms.get_stress(voigt=False, include_ideal_gas=True)) / 3 / units.GPa
    assert log[-1, PRESSURE] == pytest.approx(pressure, abs=1e-6)
    assert log[-1, VOLUME] == pytest.approx(atoms.get_volume(), abs=1e-4)


@pytest.mark.parametrize("thermostat", ["langevin", "bussi", "nose-hoover"])
def test_nvt_mean_temperature_is_the_one_asked_for(files, tmp_path, thermostat):
    """Half of the kinetic energy goes into the lattice at first; the thermostat brings it back."""
    result = succeed(*md(files, tmp_path / "run", *CONDITIONS[thermostat], "--steps", 350, "--log-every", 2, "--json"))
    log = np.loadtxt(tmp_path / "run.log")
    # relative standard deviation sqrt(2 / 96) = 0.144 of a sample; some 20 of them are independent; 5 standard errors
    assert log[50:, TEMPERATURE].mean() == pytest.approx(40, rel=0.16)
    summary = json.loads(result.stdout)
    assert summary["temperature_K"]["mean"] == pytest.approx(log[:, TEMPERATURE].mean(), rel=1e-5)
    assert summary["settings"]["thermostat"] == thermostat
    assert "drift_eV_per_atom_per_ps" not in summary


@pytest.mark.parametrize("barostat", ["isotropic", "full"])
def test_npt_cell_gives_way_to_pressure(files, tmp_path, barostat):
    arguments = ["--barostat-time", "300 fs", "--steps", 100, "--barostat", barostat]
    for prefix, pressure in (("low", "0"), ("high", "2 GPa")):
        conditions = ["--ensemble", "npt", "--pressure", pressure]
        succeed(*md(files, tmp_path / prefix, *conditions, *arguments))
    low, high = (np.loadtxt(tmp_path / f"{prefix}.log") for prefix in ("low", "high"))
    assert high[-1, VOLUME] < 0.9 * low[-1, VOLUME]
    cell = ase.io.read(tmp_path / "high.traj").cell.array
    cubic = np.allclose(cell, cell[0, 0] * np.eye(3), atol=1e-9)
    assert cubic == (barostat == "isotropic")


@pytest.mark.parametrize("method", CONDITIONS)
def test_restart_continues_to_the_last_bit(files, tmp_path, method):
    arguments = [*CONDITIONS[method], "--restart-every", 20, "--log-every", 3, "--trajectory-every", 7]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    succeed(*md(files, whole, *arguments, "--steps", 40))
    succeed(*md(files, parts, *arguments, "--steps", 20))
    succeed(*going_on(files, parts, "--steps", 40))
    one, two = read_restart(f"{whole}.restart"), read_restart(f"{parts}.restart")
    assert one.step == two.step == 40
    np.testing.assert_array_equal(one.atoms.positions, two.atoms.positions)
    np.testing.assert_array_equal(one.atoms.get_momenta(), two.atoms.get_momenta())
    np.testing.assert_array_equal(one.atoms.cell.array, two.atoms.cell.array)
    assert one.random == two.random
    assert one.state.keys() == two.state.keys()
    for name, values in one.state.items():
        np.testing.assert_array_equal(values, two.state[name])
    assert (tmp_path / "whole.log").read_text() == (tmp_path / "parts.log").read_text()
    frames = [ase.io.read(f"{prefix}.traj", index=":") for prefix in (whole, parts)]
    assert [frame.info["step"] for frame in frames[0]] == [frame.info["step"] for frame in frames[1]]
    np.testing.assert_array_equal(frames[0][-1].positions, frames[1][-1].positions)


@pytest.mark.parametrize("suffix", [".traj", ".extxyz"])
def test_restart_after_a_kill_cuts_the_files_back(files, tmp_path, suffix):
    """A killed process leaves lines and frames beyond its last restart file."""
    prefix = tmp_path / "run"
    trajectory = tmp_path / f"run{suffix}"
    every = ["--log-every", 5, "--trajectory-every", 10, "--trajectory", trajectory]
    succeed(*md(files, prefix, "--steps", 20, *every))
    shutil.copy(f"{prefix}.restart", tmp_path / "earlier")
    succeed(*going_on(files, prefix, "--steps", 40))
    log = (tmp_path / "run.log").read_text()
    shutil.copy(tmp_path / "earlier", f"{prefix}.restart")
    succeed(*going_on(files, prefix, "--steps", 40))
    assert (tmp_path / "run.log").read_text() == log
    assert [frame.info["step"] for frame in ase.io.read(trajectory, index=":")] == [0, 10, 20, 30, 40]


def test_restart_into_new_files_leaves_the_old_ones(files, tmp_path):
    prefix = tmp_path / "run"
    succeed(*md(files, prefix, "--steps", 20))
    before = (tmp_path / "run.log").read_bytes(), (tmp_path / "run.restart").read_bytes()
    succeed(*going_on(files, prefix, "--steps", 30, "-o", tmp_path / "more"))
    assert before == ((tmp_path / "run.log").read_bytes(), (tmp_path / "run.restart").read_bytes())
    assert read_restart(str(tmp_path / "more.restart")).step == 30
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "more.log")[:, STEP], [20, 30])


def test_restart_of_a_moved_folder(files, tmp_path):
    (tmp_path / "here").mkdir()
    succeed(*md(files, tmp_path / "here" / "run", "--steps", 10))
    (tmp_path / "here").rename(tmp_path / "there")
    succeed(*going_on(files, tmp_path / "there" / "run", "--steps", 20))
    assert np.loadtxt(tmp_path / "there" / "run.log")[-1, STEP] == 20


def test_restart_with_another_model_warns(files, tmp_path):
    succeed(*md(files, tmp_path / "run", "--steps", 10))
    lennard_jones(cutoff=5.5, shift="smooth").save(str(tmp_path / "other.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = succeed("md", tmp_path / "other.pt", "--restart", tmp_path / "run.restart", "--steps", 20)
    assert "metatomic: warning: expected the model that" in result.stderr


def test_velocities_of_the_input_are_kept(files, tmp_path):
    atoms = argon()
    atoms.set_momenta(np.linspace(-1, 1, 96).reshape(32, 3))
    ase.io.write(tmp_path / "moving.extxyz", atoms)
    arguments = ["md", files / "argon.pt", tmp_path / "moving.extxyz", "--steps", 1]
    succeed(*arguments, "-o", tmp_path / "kept")
    frame = ase.io.read(tmp_path / "kept.traj", index=0)
    np.testing.assert_allclose(frame.get_momenta(), atoms.get_momenta(), atol=1e-7)
    drawn = ["--new-velocities", "--temperature", "20 K"]
    succeed(*arguments, "-o", tmp_path / "drawn", *drawn)
    assert np.loadtxt(tmp_path / "drawn.log")[TEMPERATURE] == pytest.approx(20, abs=1e-4)
    succeed(*arguments, "-o", tmp_path / "repeated", "--repeat", 2, 1, 1, "--temperature", "20 K")
    frame = ase.io.read(tmp_path / "repeated.traj", index=0)
    assert len(frame) == 64
    assert not np.allclose(frame.get_momenta()[:32], frame.get_momenta()[32:])


def test_seed_decides_the_velocities(files, tmp_path):
    for prefix, seed in (("a", 1), ("b", 1), ("c", 2)):
        succeed(*md(files, tmp_path / prefix, "--steps", 1, "--seed", seed))
    a, b, c = (ase.io.read(tmp_path / f"{prefix}.traj", index=0).get_momenta() for prefix in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_units_of_options_are_converted(files, tmp_path):
    arguments = ["--steps", 1, "--json", "--ensemble", "npt"]
    given = ["--pressure", "2.5 kbar", "--timestep", "0.002 ps", "--barostat-time", "1ps"]
    summary = json.loads(succeed(*md(files, tmp_path / "run", *arguments, *given)).stdout)
    assert summary["settings"]["pressure"] == pytest.approx(0.25)
    assert summary["settings"]["timestep"] == pytest.approx(2)
    assert summary["settings"]["barostat_time"] == pytest.approx(1000)


def test_interrupt_writes_a_restart_and_says_how_to_go_on(files, tmp_path):
    """A real process, interrupted as Ctrl-C does."""
    arguments = md(files, "run", "--steps", 1000000, "--log-every", 1, "--trajectory-every", 50)
    with process(*arguments, cwd=tmp_path) as running:
        log, deadline = tmp_path / "run.log", time.monotonic() + 60
        while not (log.exists() and log.read_text().count("\n") > 5):
            assert running.poll() is None, running.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert stderr.splitlines()[-1].endswith("--restart run.restart`")
    step = read_restart(str(tmp_path / "run.restart")).step
    assert np.loadtxt(log)[-1, STEP] == step
    succeed(*going_on(files, tmp_path / "run", "--steps", step + 2))
    np.testing.assert_array_equal(np.loadtxt(log)[:, STEP], np.arange(step + 3))


def test_failure_of_the_model_keeps_the_last_restart(files, tmp_path, monkeypatch):
    calculate, calls = MetatomicCalculator.calculate, []

    def fails_later(self, *arguments, **keywords):
        calls.append(1)
        if len(calls) > 25:
            raise ValueError("expected finite values of 'forces' from the model, got nan")
        calculate(self, *arguments, **keywords)

    monkeypatch.setattr(MetatomicCalculator, "calculate", fails_later)
    error = fail(*md(files, tmp_path / "run", "--steps", 100, "--restart-every", 10))
    assert "got nan" in error
    assert f"'{tmp_path / 'run.restart'}' holds step 20" in error
    monkeypatch.undo()
    assert read_restart(str(tmp_path / "run.restart")).step == 20
    succeed(*going_on(files, tmp_path / "run"))
    assert np.loadtxt(tmp_path / "run.log")[-1, STEP] == 100


def test_results_in_the_input_are_not_used(files, tmp_path):
    """Structures often come with energies of another method."""
    atoms = argon()
    atoms.calc = SinglePointCalculator(atoms, energy=-1000.0, forces=np.ones((32, 3)))
    ase.io.write(tmp_path / "other.extxyz", atoms)
    arguments = ["--temperature", 10, "--steps", 1, "-o", tmp_path / "run"]
    succeed("md", files / "argon.pt", tmp_path / "other.extxyz", *arguments)
    atoms.calc = MetatomicCalculator(argon_model())
    assert np.loadtxt(tmp_path / "run.log")[POTENTIAL] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_output_has_no_escape_codes(files, tmp_path):
    result = succeed(*md(files, tmp_path / "run", "--steps", 20))
    assert "\x1b" not in result.stdout + result.stderr
    assert "32 atoms (Ar), Lennard-Jones Ar, NVE, 4 fs, 20 steps" in result.stderr
    assert re.search(r"step 2/20 \(10 %\).* \d+ K, [\d.e+]+ steps/s, [\d.e+]+ ns/day", result.stderr)
    assert "energy drift" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["--ensemble", "nvd"], 2, "'nvd'"),
        (["--ensemble", "nve", "--pressure", "1 bar"], 2, "expected --pressure only with --ensemble npt, got nve"),
        (["--ensemble", "npt"], 2, "expected --pressure for --ensemble npt, got none"),
        (
            ["--ensemble", "nvt", "--thermostat", "bussi", "--friction", "1"],
            2,
            "expected --friction only with --thermostat langevin, got bussi",
        ),
        (["--pressure", "1"], 2, "expected a number with its unit, such as '1 bar', got '1'"),
        (["--pressure", "1 eV"], 2, "expected a value such as '1 bar', got '1 eV': expected units of one dimension"),
        (["--timestep", "1 fz"], 2, "expected a value such as '1 fs', got '1 fz'"),
        (["--timestep", "-1"], 2, "expected a positive number, such as '1 fs', got '-1'"),
        (["--temperature", "warm"], 2, "expected a number with a unit, such as '300 K', got 'warm'"),
        (["--stpes", "3"], 2, "--steps"),
        (["--trajectory", "run.pdb"], 1, "expected `--trajectory` to end in .traj or .extxyz or .xyz, got 'run.pdb'"),
        (["--log", "no/such/run.log"], 1, "expected the directory of `--log` to exist, got 'no/such'"),
        (["--index", "7"], 1, "expected an index of a structure in"),
        (["--format", "foo"], 1, "expected `--format` to be a format of ASE, got 'foo'"),
        (["--device", "tpu"], 1, "expected `device` to be one of 'cuda', 'cpu', got 'tpu'"),
        (["--variant", "pbe"], 2, "expected NAME=VARIANT, such as energy=pbe, got 'pbe'"),
    ],
)
def test_wrong_options_are_refused(files, tmp_path, arguments, status, expected):
    assert expected in fail(*md(files, tmp_path / "run", *arguments), status=status)
    assert list(tmp_path.iterdir()) == []


def test_wrong_files_are_refused(files, tmp_path):
    model, out = files / "argon.pt", ["-o", tmp_path / "run", "--temperature", 10]
    assert "none.pt', which does not exist" in fail("md", "none.pt", files / "argon.xyz", *out)
    assert "none.xyz', which does not exist" in fail("md", model, "none.xyz", *out)
    assert "expected structures that ASE reads" in fail("md", model, model, *out)
    expected = "expected species that the model knows, Ar, got Si in structure 0"
    assert expected in fail("md", model, files / "silicon.xyz", *out)
    assert "expected STRUCTURES, or --restart, got neither" in fail("md", model, *out, status=2)
    assert "expected --temperature for initial velocities" in fail(
        "md", model, files / "argon.xyz", "-o", tmp_path / "run", status=2
    )
    assert list(tmp_path.iterdir()) == []


def test_structures_that_do_not_suit_are_refused(files, tmp_path):
    slab = argon()
    slab.pbc = [True, True, False]
    ase.io.write(tmp_path / "slab.extxyz", slab)
    arguments = ["md", files / "argon.pt", tmp_path / "slab.extxyz", "-o", tmp_path / "run", "--temperature", 10]
    assert "periodic in three directions" in fail(*arguments, "--ensemble", "npt", "--pressure", "1 bar")


def test_existing_files_are_kept_without_force(files, tmp_path):
    arguments = md(files, tmp_path / "run", "--steps", 1)
    succeed(*arguments)
    before = (tmp_path / "run.log").read_bytes()
    assert "which exists; choose another or add --force" in fail(*arguments)
    assert (tmp_path / "run.log").read_bytes() == before
    succeed(*arguments, "--force")


def test_restarts_that_make_no_sense_are_refused(files, tmp_path):
    prefix = tmp_path / "run"
    succeed(*md(files, prefix, "--steps", 10))
    assert "expected `--steps` above 10" in fail(*going_on(files, prefix))
    assert "expected no --temperature with --restart" in fail(
        *going_on(files, prefix, "--steps", 20, "--temperature", 10), status=2
    )
    broken = tmp_path / "broken.restart"
    broken.write_bytes((tmp_path / "run.restart").read_bytes()[:200])
    assert "expected a restart file of `metatomic md`" in fail("md", files / "argon.pt", "--restart", broken)
    assert "which does not exist" in fail("md", files / "argon.pt", "--restart", tmp_path / "none")
    (tmp_path / "run.log").write_text("#\n")
    assert "it is not the file that the restart belongs to" in fail(*going_on(files, prefix, "--steps", 20))
    (tmp_path / "run.log").unlink()
    assert "of the run to continue, got none" in fail(*going_on(files, prefix, "--steps", 20))


def test_help_has_examples():
    result = invoke("md", "--help")
    assert "metatomic md silicon.pt silicon.xyz -o nve --temperature 600 --steps 10000" in result.stdout


@pytest.mark.parametrize("timestep", ["100", "1 ps"])
def test_run_that_explodes_fails_and_keeps_its_files(tmp_path, timestep):
    stillinger_weber().save(str(tmp_path / "silicon.pt"))
    ase.io.write(tmp_path / "silicon.xyz", ase.build.bulk("Si", cubic=True))
    out = ["-o", tmp_path / "hot", "--restart-every", 1, "--timestep", timestep, "--temperature", 600]
    error = fail("md", tmp_path / "silicon.pt", tmp_path / "silicon.xyz", *out)
    assert " failed: expected " in error
    assert "use a smaller --timestep" in error
    log = np.loadtxt(tmp_path / "hot.log", ndmin=2)
    frames = ase.io.read(tmp_path / "hot.traj", index=":")
    # the state that failed is there to be looked at, and not in the restart file
    assert frames[-1].info["step"] == log[-1, STEP] > 0
    if "there is no restart file yet" not in error:
        assert read_restart(str(tmp_path / "hot.restart")).step == log[-1, STEP] - 1


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--max-temperature", "45 K"], "expected a temperature of at most 45 K, got 4"),
        (["--max-energy-change", "0.1 meV"], "expected a potential energy within 0.0001 eV per atom of that at the"),
        (["--max-move", "1e-3 angstrom"], "expected atoms that move at most 0.001 Å in a step, got 0.0"),
    ],
)
def test_limits_of_a_run_can_be_set(files, tmp_path, option, expected):
    error = fail(*md(files, tmp_path / "run", "--steps", 500, "--ensemble", "nvt", *option))
    assert expected in error
    assert f"raise {option[0]}" in error


def test_limits_go_on_with_the_restart(files, tmp_path):
    succeed(*md(files, tmp_path / "run", "--steps", 2, "--max-temperature", "1e6 K"))
    assert read_restart(str(tmp_path / "run.restart")).limits == {"temperature": 1e6}
    assert "at most 1 K" in fail(*going_on(files, tmp_path / "run", "--steps", 9, "--max-temperature", 1))


@pytest.mark.parametrize("name", ["argon.xyz", "argon.pt", "pickled.npz"])
def test_restart_from_another_kind_of_file_is_one_sentence(files, tmp_path, name):
    np.savez(files / "pickled.npz", text=np.array([{}], dtype=object))
    error = fail("md", files / "argon.pt", "--restart", files / name)
    assert error.startswith(f"metatomic: error: expected a restart file of `metatomic md`, got '{files / name}', which")
    assert "pickle" not in error.replace("pickled.npz", "")


@pytest.mark.parametrize("suffix", [".traj", ".extxyz"])
def test_outputs_say_what_they_come_from(files, tmp_path, suffix, kept_memory):
    digest = hashlib.sha256((files / "argon.pt").read_bytes()).hexdigest()
    arguments = ["--steps", 20, "--seed", 7, "--trajectory-every", 10, "--trajectory", tmp_path / f"run{suffix}"]
    data = json.loads(succeed(*md(files, tmp_path / "run", *arguments, "--json")).stdout)
    assert kept_memory == [1]
    source = {"name": "Lennard-Jones Ar", "file": str(files / "argon.pt"), "sha256": digest}
    # nothing was compiled
    assert data["origin"]["model"] == {**source, "kernel": "script"}
    assert data["origin"]["versions"]["ase"] == ase.__version__
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line[0] for line in lines[:4]] == ["#"] * 4
    assert digest in lines[1]
    assert "seed=7" in lines[2]
    assert np.loadtxt(tmp_path / "run.log").shape == (3, 8)
    succeed(*going_on(files, tmp_path / "run", "--steps", 30))
    frames = ase.io.read(tmp_path / f"run{suffix}", index=":")
    assert len(frames) == 4
    if suffix == ".traj":
        with ase.io.trajectory.Trajectory(tmp_path / "run.traj") as trajectory:
            assert trajectory.description["model"]["sha256"] == digest
            assert trajectory.description["options"]["timestep"] == 4
    else:
        assert frames[0].info["metatomic_sha256"] == digest
        assert "seed=7" in frames[0].info["metatomic_options"]
        assert "from_step=20" in frames[-1].info["metatomic_options"]


def test_origin_of_the_input_is_not_that_of_the_run(files, tmp_path):
    atoms = argon()
    atoms.info.update({"metatomic_sha256": "of another model", "metatomic_charge": 1})
    ase.io.write(tmp_path / "in.extxyz", atoms)
    out = ["-o", tmp_path / "run", "--temperature", 40, "--steps", 1]
    succeed("md", files / "argon.pt", tmp_path / "in.extxyz", *out)
    assert ase.io.read(tmp_path / "run.traj").info.keys() == {"metatomic_charge", "step", "time_ps"}


def test_summary_says_what_it_averages(files, tmp_path):
    text = succeed(*md(files, tmp_path / "run", "--steps", 50)).stdout
    assert "averages       of 0 to 0.2 ps, equilibration included (see --equilibrate)" in text
    assert "Å^3, fixed" in text
    text = succeed(*going_on(files, tmp_path / "run", "--steps", 100)).stdout
    assert "of 0.24 to 0.4 ps, the part since the restart, equilibration included" in text
    arguments = md(files, tmp_path / "other", "--steps", 50, "--equilibrate", "120 fs", "--json")
    summary = json.loads(succeed(*arguments).stdout)
    log = np.loadtxt(tmp_path / "other.log")
    assert summary["averages_from_ps"] == pytest.approx(0.12)
    assert summary["temperature_K"]["mean"] == pytest.approx(log[log[:, STEP] >= 30, TEMPERATURE].mean(), rel=1e-5)


@pytest.mark.parametrize("references", [{}, {"architecture": ["A. Author", "Both"], "model": ["Both"]}])
def test_what_to_cite_is_said_at_the_end(files, tmp_path, monkeypatch, references):
    metadata = ModelMetadata("Cited", references=references)
    monkeypatch.setattr(MetatomicCalculator, "metadata", lambda self: metadata)
    result = succeed(*md(files, tmp_path / "run", "--steps", 1))
    assert "please cite" not in result.stdout
    block = "please cite\n  Both (the model and its architecture)\n  A. Author (its architecture)\n"
    assert result.stderr.endswith(block) if references else "please cite" not in result.stderr
