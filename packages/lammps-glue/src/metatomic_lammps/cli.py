"""Command of the LAMMPS plugin: ``metatomic lammps``.

It refuses, with one line and a non-zero exit status, until there is a plugin.
"""

import click

NOT_AVAILABLE = (
    "the LAMMPS plugin is not part of release 0.1.1 yet; use metatomic-ase instead: `metatomic md` "
    "and `metatomic relax`, or `metatomic_ase.MetatomicCalculator` in an ASE script"
)

# whatever the user asks of a command that only refuses, the answer is the refusal
_ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=_ANY_ARGUMENTS)
def lammps() -> None:
    """Build or load the LAMMPS plugin (not available in this release)."""
    raise click.ClickException(NOT_AVAILABLE)
