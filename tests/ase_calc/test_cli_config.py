"""Runs from files of ``--config``: the same as from the command line, continued runs as well."""

import ase.io
import pytest
from ase_models import argon, argon_model
from command_line import fail, load_models_once, succeed

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.cli import metatomic

COMMANDS = ("compare", "elastic", "eos", "eval", "md", "neb", "phonons", "relax")


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
    ase.io.write("argon.xyz", atoms)
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_long_commands_are_configurable(name):
    assert isinstance(
        metatomic.get_command(metatomic.make_context("metatomic", ["--help"], resilient_parsing=True), name),
        ConfigurableCommand,
    )


def test_md_from_a_written_config_is_the_same_run(files):
    arguments = ["argon.pt", "argon.xyz", "-o", "run", "--ensemble", "nvt", "--temperature", "30 K"]
    arguments += ["--timestep", "2 fs", "--steps", 20, "--seed", 3]
    succeed("md", *arguments)
    log, restart = (files / "run.log").read_bytes(), (files / "run.restart").read_bytes()
    succeed("md", *arguments, "--write-config", "md.yaml")
    assert "temperature: 30 K " in (files / "md.yaml").read_text(encoding="utf-8")
    succeed("md", "--config", "md.yaml", "--force")
    assert (files / "run.log").read_bytes() == log
    assert (files / "run.restart").read_bytes() == restart


def test_md_continues_a_run_of_a_config(files):
    (files / "md.yaml").write_text(
        "model: argon.pt\nstructures: argon.xyz\noutput: run\ntemperature: 30 K\nensemble: nvt\nsteps: 20\n"
    )
    succeed("md", "--config", "md.yaml")
    succeed("md", "--config", "md.yaml", "--restart", "run.restart", "--steps", 30)
    assert (files / "run.log").read_text().splitlines()[-1].split()[0] == "30"
    text = (files / "md.yaml").read_text()
    (files / "md.yaml").write_text(text.replace("30 K", "40 K"))
    error = fail("md", "--config", "md.yaml", "--restart", "run.restart", "--steps", 40)
    assert "expected --temperature in the file of --config as in 'run.restart', 30 K, got 40 K" in error
    error = fail("md", "--config", "md.yaml", "--restart", "run.restart", "--temperature", 30, status=2)
    assert "expected no --temperature with --restart" in error


def test_relax_and_eval_run_from_a_config(files):
    (files / "relax.yaml").write_text(
        "model: argon.pt\nstructures: argon.xyz\noutput: out.extxyz\nfmax: 1e-3 eV/A\n"
        "cell: isotropic\npressure: 1 kbar\n"
    )
    assert "converged" in succeed("relax", "--config", "relax.yaml").stdout
    (files / "eval.yaml").write_text("model: argon.pt\nstructures: out.extxyz\nproperty: [energies]\njson: true\n")
    assert '"energies_eV"' in succeed("eval", "--config", "eval.yaml").stdout
    (files / "eval.yaml").write_text("model: argon.pt\nstructures: out.extxyz\nbatch_size: 2.5\n")
    assert "'eval.yaml', line 3: invalid value for '--batch-size'" in fail("eval", "--config", "eval.yaml", status=2)
