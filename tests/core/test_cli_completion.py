"""Completion in shells, which click does: the lines of the documentation give a script, which finds options."""

import os
import subprocess
import sys

import pytest


def completed(**variables):
    """Give what the command prints for a shell that completes."""
    program = "from metatomic_core.cli import main; main()"
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'metatomic'; {program}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout


@pytest.mark.parametrize(
    ("shell", "text"), [("zsh", "#compdef metatomic"), ("fish", "complete --no-files --command metatomic")]
)
def test_shells_get_a_script(shell, text):
    assert text in completed(_METATOMIC_COMPLETE=f"{shell}_source")


def test_options_are_completed():
    words = {"COMP_WORDS": "metatomic doctor --js", "COMP_CWORD": "2", "_METATOMIC_COMPLETE": "bash_complete"}
    assert completed(**words) == "plain,--json\n"
