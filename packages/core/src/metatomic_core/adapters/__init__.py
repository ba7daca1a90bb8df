"""The public kit for adapters: what two of them share, on the command line and off it.

Adapters import from this package, `metatomic_core.engine`, `metatomic_core.units` and `metatomic_core` itself, and from
nothing else in core; a test says so.  Nothing here imports torch at module level, so that ``--help`` is quick.

``options`` are the options of engines and ``text_options`` how they are written on command lines, ``inputs`` where the
inputs of models come from, ``quantity`` values with units, ``command_group``, ``console`` and ``progress`` what people
see, ``configuration`` options in files, ``memory`` settings of a process of one's own.
"""

from metatomic_core.data.quantities import base_quantity, canonical_name
from metatomic_core.foundation.atomic_write import replaced_when_done
from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.foundation.elements import covalent_radii, masses, symbols
from metatomic_core.foundation.finite import all_finite
from metatomic_core.foundation.hashes import file_sha256
from metatomic_core.foundation.html_table import html_table
from metatomic_core.foundation.plugins import Plugin, load_plugin, plugins
from metatomic_core.foundation.quoting import in_one_line

__all__ = [
    "Plugin",
    "all_finite",
    "base_quantity",
    "canonical_name",
    "check_choice",
    "check_type",
    "covalent_radii",
    "file_sha256",
    "html_table",
    "in_one_line",
    "load_plugin",
    "masses",
    "plugins",
    "replaced_when_done",
    "symbols",
]
