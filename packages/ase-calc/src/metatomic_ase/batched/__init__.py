"""Many structures at once: ASE's algorithms for each of them, and one call of the model for all.

`relax` minimizes, `run_together` runs anything that asks atoms for energies and forces: molecular dynamics, vibrations,
searches of one's own.  The steps are those of ASE, so results are, too; structures that are done make place for others.
`Evaluator` is what they stand on, for algorithms of one's own that have many structures at hand at once.
"""

from ._evaluating import Evaluator, Results
from ._sizes import is_out_of_memory
from .relaxing import Relaxed, irelax, relax
from .together import run_together

__all__ = ["Evaluator", "Relaxed", "Results", "irelax", "is_out_of_memory", "relax", "run_together"]
