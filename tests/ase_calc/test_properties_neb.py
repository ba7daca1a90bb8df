"""Barriers: a vacancy that moves, against ASE's own band, one call of the model for each step, and killed runs."""

import json
import signal
import warnings

import ase.build
import ase.io
import ase.optimize
import numpy as np
import pytest
from ase.mep import NEB
from ase_models import argon_model
from command_line import fail, invoke, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.cli import neb as command_module
from metatomic_ase.properties.nudged_elastic_band import relax_path
from metatomic_ase.properties.path_ends import check_ends, initial_path, relax_ends, swapped_atoms
from metatomic_core.engine import Engine


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def calculator():
    return MetatomicCalculator(argon_model())


def vacancy():
    """Solid argon with a vacancy, and the same with the vacancy one place further."""
    crystal = ase.build.bulk("Ar", a=5.3, cubic=True).repeat(2)
    neighbor = int(np.argmin(crystal.get_distances(0, range(1, len(crystal)), mic=True)))
    before = crystal[1:]
    after = before.copy()
    after.positions[neighbor] = crystal.positions[0]
    return before, after


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neb")
    argon_model().save(str(folder / "argon.pt"))
    for name, atoms in zip(("before", "after"), vacancy()):
        ase.io.write(folder / f"{name}.extxyz", atoms)
    return folder


@pytest.fixture(scope="module")
def ends(calculator):
    return relax_ends(vacancy(), calculator, 0.005)


@pytest.fixture(scope="module")
def path(ends, calculator):
    return relax_path(initial_path(*ends, 5), calculator, fmax=0.005)


def test_steps_are_those_of_ase(ends, calculator):
    images = initial_path(*ends, 3)
    found = relax_path(images, calculator, climb=False, fmax=1e-9, steps=5)
    assert not found.converged
    assert found.n_steps == 5
    for atoms in images:
        atoms.calc = MetatomicCalculator(calculator.model())
    band = NEB(images, k=0.1, method="improvedtangent")
    with ase.optimize.FIRE(band, logfile=None) as dynamics:
        dynamics.run(fmax=1e-9, steps=5)
    for one, other in zip(found.images, images):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)
        assert one.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-9)


def test_all_images_are_one_call_of_the_model(ends, calculator, monkeypatch):
    calls, evaluate = [], Engine.evaluate
    monkeypatch.setattr(
        Engine,
        "evaluate",
        lambda self, some, *more, **named: calls.append(len(some)) or evaluate(self, some, *more, **named),
    )
    found = relax_path(initial_path(*ends, 3), calculator, climb=False, fmax=1e-9, steps=4)
    # the ends once, and the images before each of the steps and after the last
    assert calls == [2, *[3] * (found.n_steps + 1)]


def test_vacancy_has_the_same_barrier_both_ways(path, calculator):
    assert path.converged
    assert path.largest_force < 0.005
    assert path.barrier == pytest.approx(path.reverse_barrier, abs=1e-6)
    assert path.reaction_energy == pytest.approx(0, abs=1e-6)
    assert path.energies.argmax() == 3
    np.testing.assert_allclose(path.energies, path.energies[::-1], atol=1e-4)
    # half way, the mirror image of the path is itself: a saddle point without forces of its own
    saddle = path.images[3].copy()
    saddle.calc = calculator
    assert np.linalg.norm(saddle.get_forces(), axis=1).max() < 0.005
    curve = path.curve()
    assert max(curve.fit_energies) == pytest.approx(path.barrier, abs=1e-4)


def test_image_that_climbs_finds_the_saddle_point_between_images(ends, calculator, path):
    """With an even number of images, none is at the top by itself."""
    climbed = relax_path(initial_path(*ends, 4), calculator, fmax=0.005)
    lying = relax_path(initial_path(*ends, 4), calculator, fmax=0.005, climb=False)
    assert climbed.barrier == pytest.approx(path.barrier, abs=5e-4)
    assert lying.barrier < path.barrier - 1e-3


@pytest.mark.parametrize("interpolation", ["idpp", "linear"])
def test_atoms_take_the_shortest_way_across_the_boundary(interpolation):
    first = ase.Atoms("Ar2", [[0.2, 5, 5], [5, 5, 5]], cell=[10, 10, 10], pbc=True)
    last = first.copy()
    last.positions[0, 0] = 9.6
    images = initial_path(first, last, 3, interpolation=interpolation)
    np.testing.assert_allclose([atoms.positions[0, 0] for atoms in images], [0.2, 0.05, -0.1, -0.25, -0.4], atol=0.02)


def test_path_leads_through_the_structures_between(ends):
    middle = initial_path(*ends, 1)[1]
    middle.positions[3] += [0.1, 0, 0]
    images = initial_path(*ends, 3, between=[middle], interpolation="linear")
    np.testing.assert_allclose(images[2].positions, middle.positions, atol=1e-8)
    np.testing.assert_allclose(images[1].positions, (images[0].positions + middle.positions) / 2, atol=1e-8)
    assert len(initial_path(*ends, 1, between=[middle])) == 3
    with pytest.raises(ValueError, match="expected `n_images` to be at least 2, got 1"):
        initial_path(*ends, 1, between=[middle, middle])


def test_neb_command_gives_all_and_goes_on(files, tmp_path):
    command = ["neb", files / "argon.pt", files / "before.extxyz", files / "after.extxyz", "--images", 3]
    error = fail(*command, "-o", tmp_path / "first", "--steps", 3, "--picture", "none")
    assert "expected forces of the band below 0.05 eV/Å within 3 steps, got" in error
    assert f"go on with `metatomic neb {files / 'argon.pt'} {tmp_path / 'first.extxyz'} -o FURTHER`" in error
    assert not json.loads((tmp_path / "first.json").read_text("utf-8"))["converged"]
    go_on = ["neb", files / "argon.pt", tmp_path / "first.extxyz", "-o", tmp_path / "second", "--picture", "png"]
    data = json.loads(succeed(*go_on, "--fmax", 0.01, "--json").stdout)
    assert data["converged"]
    assert data["barrier_eV"] == pytest.approx(data["reverse_barrier_eV"], abs=1e-5)
    images = ase.io.read(tmp_path / "second.extxyz", ":")
    assert len(images) == 5
    energies = np.array([atoms.get_potential_energy() for atoms in images])
    np.testing.assert_allclose(energies - energies[0], data["energies_eV"], atol=1e-7)
    assert (tmp_path / "second.png").read_bytes().startswith(b"\x89PNG")
    result = succeed(*command, "-o", tmp_path / "third", "--picture", "none")
    assert "barrier of the way back [eV]" in result.stdout
    assert "-0.000000" not in result.stdout


def test_killed_run_goes_on_with_its_images(files, tmp_path, monkeypatch):
    monkeypatch.setattr(command_module, "_KEEP_EVERY", 0.0)
    command = ["neb", files / "argon.pt", files / "before.extxyz", files / "after.extxyz", "--images", 3]
    command += ["-o", tmp_path / "out", "--picture", "none", "--fmax", 0.01]
    after_step, steps, signals = command_module._Work.after_step, [], [signal.SIGINT]

    def interrupted(self, step, images, largest):
        steps.append((step, images[2].positions.copy()))
        if len(steps) == 6 and signals:
            signal.raise_signal(signals.pop())
        return after_step(self, step, images, largest)

    monkeypatch.setattr(command_module._Work, "after_step", interrupted)
    stopped = invoke(*command)
    assert stopped.exit_code == 130
    assert "stopped after 4 steps; go on with the same command and --resume" in stopped.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]
    before = steps[-1][1]
    steps.clear()
    data = json.loads(succeed(*command, "--resume", "--json").stdout)
    np.testing.assert_array_equal(steps[0][1], before)
    assert data["converged"]
    assert data["barrier_eV"] == pytest.approx(data["reverse_barrier_eV"], abs=1e-5)
    assert not (tmp_path / "out.unfinished").exists()


def test_atoms_in_another_order_are_told(files, tmp_path):
    before, after = vacancy()
    order = list(range(len(after)))
    order[4], order[9] = order[9], order[4]
    assert swapped_atoms(before, after) == 0
    assert swapped_atoms(before, after[order]) == 2
    ase.io.write(tmp_path / "after.extxyz", after[order])
    command = ["neb", files / "argon.pt", files / "before.extxyz", tmp_path / "after.extxyz", "-o", tmp_path / "out"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = invoke(*command, "--steps", 1, "--images", 1, "--interpolation", "linear", "--picture", "none")
    assert "warning: expected the same order of atoms at both ends, got 2 atoms in the place of others" in result.stderr


def test_ends_that_do_not_fit_are_refused():
    first = ase.Atoms("ArKr", [[0, 0, 0], [0, 0, 4]], cell=[10, 10, 10], pbc=True)
    wider = first.copy()
    wider.cell[0, 0] = 11
    other = first.copy()
    other.pbc = False
    bad = {
        "expected the same atoms at both ends of the path, got 2 and 1": first[:1],
        "got ArKr and Ar2": ase.Atoms("Ar2", first.positions, cell=first.cell, pbc=True),
        "got Ar and Kr for atom 0; sort the atoms": first[[1, 0]],
        "expected the same cell at both ends of the path, got vectors that differ by 1 Å": wider,
        "expected the same periodic directions": other,
    }
    for text, second in bad.items():
        with pytest.raises(ValueError, match=text):
            check_ends(first, second)


def test_neb_refuses(files, tmp_path):
    command, out = ["neb", files / "argon.pt"], ["-o", tmp_path / "out", "--picture", "none"]
    ase.io.write(tmp_path / "fewer.extxyz", vacancy()[0][2:])
    assert "expected two structures at least, got one in" in fail(*command, files / "before.extxyz", *out)
    assert "expected the same atoms at both ends of the path, got 31 and 29" in fail(
        *command, files / "before.extxyz", tmp_path / "fewer.extxyz", *out
    )
    assert "0 is not in the range 1<=x<=1000" in fail(
        *command, files / "before.extxyz", files / "after.extxyz", *out, "--images", 0, status=2
    )
    assert "expected two structures that differ, got ends of the path with atoms at most" in fail(
        *command, files / "before.extxyz", files / "before.extxyz", *out
    )
    ase.io.write(tmp_path / "silicon.xyz", ase.build.bulk("Si"))
    assert "got Si in structure 0" in fail(*command, files / "before.extxyz", tmp_path / "silicon.xyz", *out)
