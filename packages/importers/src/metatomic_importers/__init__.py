"""Make model files from checkpoints of other packages: ``metatomic import``, and `import_model` for scripts.

A family of models is a `Family`, an entry point of the group ``metatomic.importers``; those of this package are in
``families``. All that they share is here: what must be installed, what a checkpoint is of, what the file says of where
it comes from, and the comparison with the calculator of the family, without which no file is written.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contents import Contents
    from .family import Family, Imported, Request, Tolerances
    from .importing import import_model
    from .registry import families

__version__ = _version("metatomic-importers")

__all__ = ["Contents", "Family", "Imported", "Request", "Tolerances", "families", "import_model"]

_MODULES = {
    "Contents": "contents",
    "Family": "family",
    "Imported": "family",
    "Request": "family",
    "Tolerances": "family",
    "families": "registry",
    "import_model": "importing",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for on first use, so that help of the command needs no torch."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    found = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = found
    return found
