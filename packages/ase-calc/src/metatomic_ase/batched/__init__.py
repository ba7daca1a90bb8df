"""Many structures at once: ASE's algorithms for each of them, and one call of the model for all.

`relax` minimizes, `run_together` runs anything that asks atoms for energies and forces: molecular dynamics, vibrations,
searches of one's own.  The steps are those of ASE, so results are, too; structures that are done make place for others.
"""

from .relaxing import Relaxed, irelax, relax
from .together import run_together

__all__ = ["Relaxed", "irelax", "relax", "run_together"]
