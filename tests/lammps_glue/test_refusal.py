"""The LAMMPS command of this release refuses, in one line that says what to use instead."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from metatomic_lammps.cli import NOT_AVAILABLE, lammps


@pytest.mark.parametrize("arguments", [[], ["build"], ["build", "--jobs", "2"]])
def test_lammps_refuses_any_arguments(arguments):
    result = CliRunner().invoke(lammps, arguments)
    assert result.exit_code == 1
    assert result.output == f"Error: {NOT_AVAILABLE}\n"


def test_lammps_help_says_not_available():
    result = CliRunner().invoke(lammps, ["--help"])
    assert result.exit_code == 0
    assert "not available in this release" in result.output


def test_refusal_is_one_line_with_an_alternative():
    assert "\n" not in NOT_AVAILABLE
    assert "metatomic_ase.MetatomicCalculator" in NOT_AVAILABLE


def test_installed_command_refuses():
    program = shutil.which("metatomic", path=Path(sys.executable).parent)
    assert program is not None
    done = subprocess.run([program, "lammps"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert NOT_AVAILABLE in " ".join(done.stderr.split())
