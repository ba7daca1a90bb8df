"""Commands of the i-PI driver: ``metatomic ipi`` and ``metatomic-ipi``.

Both refuse, with one line and a non-zero exit status, until there is a driver.
"""

import click

NOT_AVAILABLE = (
    "the i-PI driver is not part of release 0.1.1 yet; let i-PI call ASE instead: give a subclass "
    "of `ipi.pes._ase.ASEDriver` a `metatomic_ase.MetatomicCalculator` (recipe in the README of "
    "metatomic-ipi)"
)

# whatever the user asks of a command that only refuses, the answer is the refusal
_ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=_ANY_ARGUMENTS)
def ipi() -> None:
    """Run a model as an i-PI driver (not available in this release)."""
    raise click.ClickException(NOT_AVAILABLE)


def main() -> None:
    """Console script ``metatomic-ipi``: the same command under its own name."""
    ipi(prog_name="metatomic-ipi")
