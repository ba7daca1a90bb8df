"""Give this package the name ``metatomic.torch``, for programs that import it by that; see ``docs/porting``.

``vesin.metatomic``, chemiscope and the driver in i-PI use what `metatomic_core` has too, so that they load and run
files of this package as they are once they find it there::

    python -m metatomic_core.foreign.stand_in i-pi-py_driver -m metatomic -o template=start.xyz,model=silicon.pt ...
"""

import importlib
import runpy
import shutil
import sys
import types
from typing import Any

# loaded by its name when it is wanted: all of the package is above this module
_PACKAGE = "metatomic_core"
# Modules that programs import by their names, and where in the package their names are.
_MODULES = {"dftd3": "dftd3", "heat_flux": "heat_flux", "o3": "o3", "weighted_sum": "combining"}


class _StandIn(types.ModuleType):
    """Names of the package; no path, or Python would load modules of it a second time under this name."""

    stands_in = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return getattr(importlib.import_module(_PACKAGE), name)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(_PACKAGE))


def stand_in() -> None:
    """Let ``import metatomic.torch`` give this package for the rest of the process, installed or not.

    Raises
    ------
    RuntimeError
        If that of metatomic-torch was imported already.
    """
    imported = sys.modules.get("metatomic.torch")
    # not by its class, which exists twice when this module is run
    if getattr(imported, "stands_in", False):
        return
    if imported is not None:
        raise RuntimeError("expected `stand_in` before metatomic.torch is imported, got it after; call it first")
    package = importlib.import_module(_PACKAGE)
    module = _StandIn("metatomic.torch", package.__doc__)
    module.__file__ = package.__file__
    module.__version__ = package.__version__  # type: ignore[attr-defined]
    parent = types.ModuleType("metatomic")
    parent.torch = module  # type: ignore[attr-defined]
    sys.modules["metatomic"], sys.modules["metatomic.torch"] = parent, module
    for name, where in _MODULES.items():
        found = importlib.import_module(f"{_PACKAGE}.{where}")
        sys.modules[f"metatomic.torch.{name}"] = found
        setattr(module, name, found)


def main(arguments: list[str]) -> None:
    """Run a program that is written in Python, given by its name or path, with its arguments.

    Raises
    ------
    SystemExit
        If there is none.
    """
    program = shutil.which(arguments[0]) if arguments else None
    if program is None and arguments:
        program = arguments[0]
    if program is None:
        raise SystemExit("usage: python -m metatomic_core.foreign.stand_in PROGRAM [ARGUMENT...]")
    stand_in()
    sys.argv = arguments
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
