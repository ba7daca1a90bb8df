"""The ``metatomic`` command.

The group of commands and how they are found is in ``_group``, what commands share in `metatomic_core.adapters`, and
each command in a module of its own.  Nothing here imports torch or an engine at module level, so that
``metatomic --help`` is quick.
"""

from ._group import metatomic

__all__ = ["main", "metatomic"]


def main() -> None:
    """Run the ``metatomic`` console script; ends the process with the exit status."""
    metatomic.main(prog_name="metatomic")
