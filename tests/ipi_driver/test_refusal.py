"""The i-PI commands of this release refuse, in one line that says what to use instead."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from metatomic_ipi.cli import NOT_AVAILABLE, ipi


@pytest.mark.parametrize("arguments", [[], ["model.pt"], ["run", "--port", "31415"]])
def test_ipi_refuses_any_arguments(arguments):
    result = CliRunner().invoke(ipi, arguments)
    assert result.exit_code == 1
    assert result.output == f"Error: {NOT_AVAILABLE}\n"


def test_ipi_help_says_not_available():
    result = CliRunner().invoke(ipi, ["--help"])
    assert result.exit_code == 0
    assert "not available in this release" in result.output


def test_refusal_is_one_line_with_an_alternative():
    assert "\n" not in NOT_AVAILABLE
    assert "metatomic_ase.MetatomicCalculator" in NOT_AVAILABLE


@pytest.mark.parametrize("command", [["metatomic-ipi", "model.pt"], ["metatomic", "ipi"]])
def test_installed_command_refuses(command):
    program = shutil.which(command[0], path=Path(sys.executable).parent)
    assert program is not None
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert NOT_AVAILABLE in " ".join(done.stderr.split())
