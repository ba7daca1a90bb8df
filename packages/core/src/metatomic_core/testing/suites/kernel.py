"""The choice of the kernel that runs the model."""

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


@standard_test("kernels")
def check_kernels_agree(bench: Bench) -> None:
    """A kernel gives other results than the model itself: its program is of another model, or reads other data."""
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    file = bench.file("two lists", programs=True)
    for kernel in ("script", "eager"):
        bench.check("two lists", bench.structures("box"), results, file=file, options={"kernel": kernel})


@standard_test("kernels")
def check_kernel_that_the_file_lacks(bench: Bench) -> None:
    """A kernel that was asked for by name, and that the file has nothing for, was replaced by another one silently."""
    file = bench.file("messages", programs=False)
    for kernel in ("eager", "compiled"):
        bench.refuses(file, bench.structures("box"), "program", "package", kernel, options={"kernel": kernel})


@standard_test("kernels")
def check_unknown_kernel(bench: Bench) -> None:
    """A word that is no kernel was ignored: users would believe that their model runs in the way that they chose."""
    bench.refuses("two lists", bench.structures("box"), "kernel", options={"kernel": "fastest"})
