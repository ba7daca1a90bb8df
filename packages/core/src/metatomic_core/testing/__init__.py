"""The contract suite: what every way to run a model must give, for the tests of adapters, kernels and engines.

A `Subject` is one way to evaluate structures with a model file: an engine, on one or several ranks, a kernel, a calling
convention.  It says in a few lines how it does that, what it can not do and why, and how close its results are.
`run_contract` asks it all standard tests that apply; `ContractTests` is the same for pytest.  What is expected comes
from sums over images in NumPy, finite differences, and calculators of others, and never from the pipeline.

Adapters register their subjects under the entry-point group ``metatomic.subjects``; ``metatomic check`` compares the
engines that are installed through them.
"""

from .contract import ContractError, Outcome, StandardTest, problems_of, run_contract, standard_tests
from .subject import ABILITIES, Answer, Request, Subject, Tolerances, installed_subjects

__all__ = [
    "ABILITIES",
    "Answer",
    "ContractError",
    "Outcome",
    "Request",
    "StandardTest",
    "Subject",
    "Tolerances",
    "installed_subjects",
    "problems_of",
    "run_contract",
    "standard_tests",
]
