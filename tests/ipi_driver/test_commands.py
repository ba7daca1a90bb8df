"""``metatomic-ipi input``, ``run`` and ``pes-path``, and the inputs that they write, run by i-PI."""

import os
import re
import signal
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from command_line import fail, succeed
from ipi_cases import argon, oscillators
from ipi_models import SPRING, Oscillators, exported
from ipi_processes import Bench, Process, free_port

from metatomic_ipi import Evaluator
from metatomic_ipi.input_xml import CASES, standard_form
from metatomic_ipi.output import columns, frequencies
from metatomic_ipi.units import ANGSTROM

STEPS = 4


@pytest.fixture(scope="module")
def argon_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("argon") / "argon.xyz"
    argon().write(path)
    return path


@pytest.mark.parametrize("case", CASES)
def test_input_of_each_case_runs(case, models, argon_file, tmp_path):
    options = ["--steps", STEPS, "--temperature", 60, "--beads", 2] if "pimd" in case else ["--steps", STEPS]
    options = [] if case == "phonons" else options
    result = succeed("ipi", "input", models / "argon.pt", argon_file, "--case", case, "-o", tmp_path, *options)
    assert f"wrote {tmp_path / 'input.xml'}" in result.stdout
    assert "<!--" in (tmp_path / "input.xml").read_text()
    with Bench(tmp_path) as bench:
        server = bench.ipi()
        client = bench.client(models / "argon.pt", address=["--unix", "metatomic", "-S", bench.prefix])
        assert server.wait() == 0
        assert "reports success" in server.text(), server.text()[-1500:]
        assert client.wait(10) == 0
    tables = sorted(tmp_path.glob("*simulation.out"))
    assert len(tables) == (4 if case == "remd" else 1)
    for table in tables:
        rows = columns(table)
        assert np.isfinite(rows["potential"]).all()
        assert ("temperature" in rows) == (case not in ("geop", "phonons"))
    if case == "phonons":
        assert list(tmp_path.glob("simulation.phonons*.eigval"))


MODES = ("unix", "inet", "shm", "ffdirect")
# how a run is ended: signal, options, exit status
ENDS = {
    "interrupt": (signal.SIGINT, ["--clients", 2], 130),
    "termination": (signal.SIGTERM, [], 143),
    "closed terminal": (signal.SIGHUP, [], 129),
}


def start_run(folder, model, *options):
    """Start ``metatomic-ipi run`` on oscillators."""
    oscillators().write(folder / "start.xyz")
    return Process(["metatomic-ipi", "run", model, folder / "start.xyz", "-o", folder / "run", *options], folder, "run")


def started_together(tmp_path_factory, runs):
    """Give runs that are started at the same time: most of their time goes to imports, or is spent waiting."""
    processes = {}
    for name, (model, options) in runs.items():
        processes[name] = start_run(tmp_path_factory.mktemp(name), model, *options)
    yield processes
    for process in processes.values():
        process.close()


@pytest.fixture(scope="module")
def finishing(models, tmp_path_factory):
    """Give a run in each mode."""
    settings = ["--case", "pimd", "--beads", 4, "--steps", STEPS, "--extra", "dipole"]
    more = {"inet": ["--port", free_port()]}
    runs = {mode: (models / "oscillators.pt", [*settings, "--mode", mode, *more.get(mode, [])]) for mode in MODES}
    yield from started_together(tmp_path_factory, runs)


@pytest.fixture(scope="module")
def unfinished(models, tmp_path_factory):
    """Give runs that go on until something happens to them, and one whose model fails."""
    runs = {end: (models / "oscillators.pt", ["--steps", 1000000, *options]) for end, (_, options, _) in ENDS.items()}
    failing = exported(Oscillators(8, 2, "raise"), tmp_path_factory.mktemp("failing") / "model.pt")
    yield from started_together(tmp_path_factory, {**runs, "failure": (failing, [])})


@pytest.mark.parametrize("mode", MODES)
def test_run_in_each_mode(mode, finishing):
    process = finishing[mode]
    assert process.wait(120) == 0, process.text()
    folder = process.log.parent / "run"
    assert process.last_line() == str(folder / "simulation.png")
    assert (folder / "simulation.png").stat().st_size > 10000
    assert np.loadtxt(folder / "simulation.dipole_3").shape == (STEPS + 1, 3)
    assert "finished in" in process.text()


def wait_for_table(process):
    """Wait for the first steps of a run; give the ids of its children."""
    table = process.log.parent / "run" / "simulation.out"
    limit = time.monotonic() + 120
    while not (table.exists() and "\n" in table.read_text().partition("#")[2]) and time.monotonic() < limit:
        time.sleep(0.1)
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


@pytest.mark.parametrize("end", ENDS)
def test_run_stops_all_when_it_is_stopped(end, unfinished):
    number, options, status = ENDS[end]
    process = unfinished[end]
    children = wait_for_table(process)
    assert len(children) == (3 if options else 2), process.text()
    process.kill(number)
    assert process.wait() == status, process.text()
    assert process.last_line().startswith(f"metatomic-ipi: stopped by {number.name}; stopping i-PI")
    assert (process.log.parent / "run" / "RESTART").exists()
    assert not any(os.path.exists(f"/proc/{child}") for child in children)


def test_children_end_with_a_run_that_is_killed(models, tmp_path):
    process = start_run(tmp_path, models / "oscillators.pt", "--steps", 1000000)
    children = wait_for_table(process)
    process.kill(signal.SIGKILL)
    limit = time.monotonic() + 30
    while any(alive(child) for child in children) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(alive(child) for child in children)
    process.close()


def alive(pid):
    """Tell whether a process runs, rather than being gone or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_run_goes_on_with_the_same_trajectory(models, tmp_path):
    model = models / "oscillators.pt"
    options = ["--case", "pimd", "--beads", 2, "--stride", 1]
    stopped = start_run(tmp_path, model, *options, "--steps", 1000000)
    wait_for_table(stopped)
    stopped.kill(signal.SIGTERM)
    assert stopped.wait() == 143, stopped.text()
    folder = tmp_path / "run"
    assert "metatomic-" not in (folder / "RESTART").read_text().partition("<output")[0]
    done = int(columns(folder / "simulation.out")["step"][-1])
    steps = done + 5
    command = ["metatomic-ipi", "run", model, "--continue", "-o", folder, "--steps", steps]
    going_on = Process(command, tmp_path, "continue")
    assert going_on.wait(120) == 0, going_on.text()
    whole = Process(
        ["metatomic-ipi", "run", model, tmp_path / "start.xyz", "-o", tmp_path / "whole", *options, "--steps", steps],
        tmp_path, "whole",
    )  # fmt: skip
    assert whole.wait(120) == 0, whole.text()
    expected, table = (columns(path / "simulation.out") for path in (tmp_path / "whole", folder))
    for name in ("potential", "temperature"):
        rows = dict(zip(table["step"], table[name], strict=True))
        assert list(rows) == list(expected["step"])
        np.testing.assert_allclose(list(rows.values()), expected[name], rtol=1e-7)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ([], 1, "expected 'RESTART' in"),
        (["--temperature", "3"], 2, "expected the conditions of RESTART with --continue, got --temperature"),
    ],
)
def test_nothing_to_go_on_from(options, status, message, models, tmp_path):
    refused = ("ipi", "run", models / "argon.pt", "--continue", "-o", tmp_path, *options)
    assert message in fail(*refused, status=status)


RESULTS = {
    "phonons": ["--case", "phonons"],
    "geop": ["--case", "geop", "--steps", 100],
    "short": ["--case", "geop", "--steps", 1],
    "remd": ["--case", "remd", "--steps", STEPS],
}


@pytest.fixture(scope="module")
def special(models, tmp_path_factory):
    """Give runs of cases with results of their own."""
    runs = {name: (models / "oscillators.pt", options) for name, options in RESULTS.items()}
    yield from started_together(tmp_path_factory, runs)


@pytest.mark.parametrize("name", RESULTS)
def test_results_of_each_case(name, special):
    process = special[name]
    assert process.wait(120) == (1 if name == "short" else 0), process.text()
    assert "doi:10.1063/5.0215869" in process.text()
    folder = process.log.parent / "run"
    assert (folder / "simulation.png").stat().st_size > 5000
    if name == "short":
        assert "not converged after 1 steps" in process.last_line()
    if name == "phonons":
        # six modes are translations and rotations; the others are those of the single oscillator
        exact = np.sqrt(SPRING / 1.00784) * units._hbar / np.sqrt(units._amu / units._e) * 1e10 / units._e / units.invcm
        np.testing.assert_allclose(frequencies(folder, "simulation")[6:], np.full(18, exact), rtol=1e-4)
        printed = re.findall(r"^ +(\d+\.\d{3}) +\d+\.\d{4}$", process.text(), re.MULTILINE)
        assert float(printed[-1]) == pytest.approx(exact, rel=1e-4)


def test_run_explains_failure(unfinished):
    process = unfinished["failure"]
    assert process.wait(120) == 1
    assert "expected a calm sea, got a storm" in process.text()
    assert process.last_line() == "metatomic-ipi: i-PI has not finished"


def test_structure_is_turned_with_its_atoms(models):
    atoms = argon()
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    with pytest.raises(ValueError, match="expected a cell with a along x and b in the plane xy"):
        Evaluator(models / "argon.pt", atoms)
    turned = standard_form(atoms)
    engine = Evaluator(models / "argon.pt", turned)
    (result,) = engine([turned.cell.array.T * ANGSTROM], [turned.positions * ANGSTROM])
    (expected,) = engine([argon().cell.array.T * ANGSTROM], [argon().positions * ANGSTROM])
    assert result.energy == pytest.approx(expected.energy, rel=1e-12)
    np.testing.assert_allclose(turned.cell.array, argon().cell.array, atol=1e-12)


def test_molecule_gets_a_box_that_the_model_does_not_see(models, tmp_path):
    atoms = oscillators()
    atoms.cell = None
    atoms.write(tmp_path / "molecule.xyz")
    succeed("ipi", "input", models / "oscillators.pt", tmp_path / "molecule.xyz", "-o", tmp_path)
    template = ase.io.read(tmp_path / "template.xyz")
    assert not template.pbc.any()
    assert template.cell.volume > 1e6


def test_inputs_are_not_overwritten(models, argon_file, tmp_path):
    succeed("ipi", "input", models / "argon.pt", argon_file, "-o", tmp_path)
    assert "expected no 'input.xml' in" in fail("ipi", "input", models / "argon.pt", argon_file, "-o", tmp_path)
    succeed("ipi", "input", models / "argon.pt", argon_file, "-o", tmp_path, "--force")


def test_nothing_is_written_for_a_model_that_does_not_fit(models, argon_file, tmp_path):
    refused = ("ipi", "input", models / "oscillators.pt", argon_file, "-o", tmp_path / "run")
    assert "expected atomic types that the model knows" in fail(*refused)
    assert not (tmp_path / "run").exists()


def test_parameters_that_ipi_can_not_read_are_refused(models, argon_file, tmp_path):
    model = tmp_path / "argon, quick.pt"
    model.write_bytes((models / "argon.pt").read_bytes())
    message = fail("ipi", "input", model, argon_file, "-o", tmp_path, "--mode", "ffdirect")
    assert "expected `model` without any of & , < { } for --mode ffdirect" in message
    succeed("ipi", "input", model, argon_file, "-o", tmp_path)


def test_pes_path():
    path = Path(succeed("ipi", "pes-path").stdout.strip())
    assert path.name == "pes.py"
    assert "__DRIVER_CLASS__" in path.read_text()


def test_help_names_all_commands():
    text = succeed("ipi", "--help").stdout
    for name in ("client", "input", "run", "pes-path", "Example"):
        assert name in text
    for name in ("client", "input", "run", "pes-path"):
        text = succeed("ipi", name, "--help").stdout
        assert "\nExample:\n  " in text.replace("\n  Example:\n    ", "\nExample:\n  ")
        assert "\\b" not in text
    assert "--max-uncertainty" in succeed("ipi", "client", "--help").stdout


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ([], 2, "expected --unix NAME, or --host and --port, got none of them"),
        (["--unix", "a", "--host", "b"], 2, "expected either --unix or --host and --port, got both"),
        (["--host", "b", "--shm"], 2, "expected --unix with --shm"),
        (["--unix", "a", "--wait", "-1"], 2, "expected --wait and --timeout to be zero or more"),
        (["--unix", "a", "--extra", "dipole"], 1, "got 'dipole'"),
        (["--unix", "a", "--pbc", "q"], 1, "expected `pbc` to be 'template', 'none' or some of 'xyz', got 'q'"),
        (["--unix", "a", "--variant", "energy=pbe"], 1, "expected a variant of 'energy', got 'pbe'"),
        (["--unix", "a", "--variant", "pbe"], 2, "expected NAME=VARIANT, such as energy=pbe, got 'pbe'"),
    ],
)
def test_wrong_options(options, status, message, models, argon_file):
    assert message in fail("ipi", models / "argon.pt", argon_file, *options, status=status)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--case", "npt"], "expected a structure that is periodic along x, y and z for 'npt'"),
        (["--temperature", "-5"], "expected `temperature` to be positive and finite, got -5"),
        (["--temperatures", "1,b"], "expected `--temperatures` as numbers separated by commas, got '1,b'"),
        (["--case", "remd", "--temperatures", "100"], "expected two `temperatures` or more for 'remd', got 100 alone"),
        *[
            (
                ["--case", "remd", "--temperatures", f"100,{x}"],
                f"expected `temperatures` to be positive and finite, got {x}",
            )
            for x in ("-5", "0", "nan", "inf")
        ],
        (["--timestep", "1e300"], "expected `timestep` up to 1000 fs"),
        (["--case", "npt", "--no-virial"], "expected virials for 'npt', got --no-virial"),
        (["--case", "npt", "--pbc", "none"], "expected all directions to be periodic for 'npt', got --pbc none"),
        (["--case", "phonons", "--beads", "4"], "expected one bead for 'phonons'"),
        (["--prefix", "<x>"], "expected `prefix` without spaces and any of"),
        (["--prefix", "a'b"], "expected `prefix` without spaces and any of"),
        (["--address", "a&b"], "expected `address` without spaces and any of"),
        (["--address", "a/b"], "expected `address` to be a name without '/', got 'a/b'"),
        (["--temperatures", "100,200"], "expected `temperatures` only for 'remd', got them for 'nvt'"),
        (["--pressure", "1 bar"], "expected --pressure only for npt, pimd-npt, got it with --case nvt"),
        (["--case", "geop", "--temperature", "1"], "expected --temperature only for nve, nvt"),
        (["--case", "phonons", "--steps", "3"], "expected --steps only for nve, nvt"),
        (["--port", "3"], "expected --port only with --mode inet, got it with unix"),
    ],
)
def test_wrong_settings(options, message, models, tmp_path):
    oscillators().write(tmp_path / "start.xyz")
    refused = ("ipi", "input", models / "oscillators.pt", tmp_path / "start.xyz", "-o", tmp_path / "run", *options)
    assert message in fail(*refused)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "inf"], "expected a number with a unit, such as '300 K', got 'inf'"),
        (["--case", "npt", "--pressure", "nan"], "expected a number with a unit, such as '1 bar', got 'nan'"),
        (["--case", "npt", "--pressure", "0.1"], "expected a number with its unit, such as '1 bar', got '0.1'"),
        (["--timestep", "1 bar"], "expected a value such as '0.5 fs', got '1 bar'"),
        (["--temperature", "1e999"], "expected a finite number, such as '300 K', got '1e999'"),
    ],
)
def test_wrong_quantities(options, message, models, argon_file, tmp_path):
    refused = ("ipi", "input", models / "argon.pt", argon_file, "-o", tmp_path / "run", *options)
    assert message in fail(*refused, status=2)


def test_units_of_settings(models, argon_file, tmp_path):
    options = ["--case", "npt", "--pressure", "20 bar", "--timestep", "0.002 ps", "--thermostat-time", "0.2 ps"]
    succeed("ipi", "input", models / "argon.pt", argon_file, "-o", tmp_path, *options)
    text = (tmp_path / "input.xml").read_text()
    for part in ("'megapascal'> 2 <", "<timestep units='femtosecond'> 2 <", "<tau units='femtosecond'> 200 <"):
        assert part in text


# a structure that i-PI can not start from: what is changed, and what is said
def _nan(atoms):
    atoms.positions[1, 1] = np.nan


def _same_place(atoms):
    atoms.positions[5] = atoms.positions[2]


def _flat(atoms):
    atoms.cell[2] = [0, 0, 1e-9]


def _left_handed(atoms):
    atoms.cell[2] *= -1


def _single(atoms):
    del atoms[1:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_nan, "expected a structure with finite positions and cell, got nan or inf"),
        (_same_place, "expected atoms at different places, got atoms 2 and 5 at one place"),
        (_flat, "expected a cell with a volume, got"),
        (_left_handed, "expected a right-handed cell, got a left-handed one; swap two of its vectors"),
        (_single, "expected two atoms or more, as i-PI fixes the centre of mass, got one atom"),
    ],
)
def test_structures_that_can_not_run(change, message, models, tmp_path):
    atoms = argon()
    change(atoms)
    atoms.write(tmp_path / "start.traj")
    refused = ("ipi", "input", models / "argon.pt", tmp_path / "start.traj", "-o", tmp_path / "run")
    assert message in fail(*refused)
    assert not (tmp_path / "run").exists()


def test_structure_of_an_earlier_input(models, argon_file, tmp_path):
    """init.xyz of one run starts another one."""
    succeed("ipi", "input", models / "argon.pt", argon_file, "-o", tmp_path / "a")
    succeed("ipi", "input", models / "argon.pt", tmp_path / "a" / "init.xyz", "-o", tmp_path / "b")
    assert (tmp_path / "a" / "init.xyz").read_text() == (tmp_path / "b" / "init.xyz").read_text()


def test_typo_of_a_command(models, argon_file):
    message = fail("ipi", "rnu", models / "argon.pt", argon_file, status=2)
    assert "or the file of a model, got 'rnu'; did you mean 'run'" in message


def test_version():
    assert "metatomic-ipi " in succeed("ipi", "--version").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("extra=dipole", "got 'extra'; did you mean 'extras'"),
        ("extras=quadrupole", "got 'quadrupole'"),
        ("max_force=high", "expected `max_force` to be a number, got 'high'"),
        ("virial=maybe", "expected `virial` to be true or false, got 'maybe'"),
        ("variants=energy=third", "expected a variant of 'energy', got 'third'"),
    ],
)
def test_wrong_parameters_of_the_pes(options, message, models, bench):
    given = f"model={models / 'oscillators.pt'},template=template.xyz,{options}"
    path = Path(succeed("ipi", "pes-path").stdout.strip())
    driver = bench.stock_driver("-m", "custom", "-P", path, "-u", "-a", "x", "-S", bench.prefix, "-o", given)
    assert driver.wait() == 1
    assert message in driver.last_line()
