"""LAMMPS plugin for exported models: its sources, the command that compiles them, and where LAMMPS finds the result.

The pair style itself is C++, in ``plugin/``.  Importing this package imports neither torch nor LAMMPS.
"""

from importlib.metadata import version

from .build import build_plugin, plugin_path

__all__ = ["__version__", "build_plugin", "plugin_path"]

__version__ = version("metatomic-lammps")
