"""What ``ase info --plugins`` shows: the calculator, in versions of ASE that have plugins.

ASE loads this module when it looks for plugins: it imports no torch.
"""

import contextlib
from typing import Any

__ase_plugins__: set[Any] = set()
# a version of ASE without plugins, or with another interface to them, shows none
with contextlib.suppress(ImportError):
    from ase._4.plugins.plugin import CalculatorPlugin

    __ase_plugins__.add(CalculatorPlugin("metatomic", implementation="metatomic_ase.calculator.MetatomicCalculator"))
