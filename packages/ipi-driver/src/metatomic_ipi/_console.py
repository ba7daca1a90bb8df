"""What the commands and the runner share: lines for the user, and the file of the PES."""

import contextlib
from pathlib import Path

import click


def say(text: str) -> None:
    """Print a line for the user at once: often into a log that somebody follows."""
    # a terminal that was closed takes nothing more, which must not be in the way of stopping i-PI
    with contextlib.suppress(OSError):
        click.echo(f"metatomic-ipi: {text}", err=True)


def pes_file() -> Path:
    """Give the path of the file of the PES."""
    return Path(__file__).with_name("pes.py")
