"""LAMMPS plugin for exported models: the name is reserved, the plugin is not written yet.

What belongs here later: the C++ sources of a pair style, the command that compiles them
against the installed LAMMPS and libtorch, and the place where LAMMPS finds the result. In
this release the command in :py:mod:`metatomic_lammps.cli` says that there is no plugin and
what to use instead. Importing this package imports neither torch nor LAMMPS.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("metatomic-lammps")
