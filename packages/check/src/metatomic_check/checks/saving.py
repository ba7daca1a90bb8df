"""The same model, saved again, copied, upgraded, or run by another kernel."""

import contextlib
import copy
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from metatomic_check.agreement import NO_ENERGY, Differences, evaluated, not_applicable, reason, results_of
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import check
from metatomic_core.cli.upgrade import upgrade_file
from metatomic_core.engine import Engine
from metatomic_core.kernels.building import check_compiler
from metatomic_core.kernels.compiling import compile_model


def compared_engines(bench: Bench, other: Engine, results: Sequence[str]) -> Differences:
    """Compare another engine of the model with that of the bench, on all structures that the latter takes."""
    found = Differences(bench.rounding)
    for name, structure, expected in evaluated(bench, results):
        answer = other.evaluate([structure], results)
        for result in results:
            found.add(result, name, structure, getattr(answer, result), getattr(expected, result))
    return found


@check("saving", "numerics")
def check_saving(bench: Bench) -> Iterator[Finding]:
    """A model that was saved again, copied in memory, or upgraded has other results than the file.

    Something that belongs to the model is not saved with it, or only once.
    """
    results = results_of(bench, per_atom=True)
    if "energy" not in results:
        yield not_applicable("saving", NO_ENERGY)
        return
    for part, made in (("saved again", _saved), ("copied", _copied), ("upgraded", _upgraded)):
        try:
            other = made(bench)
        except (NotImplementedError, ValueError, RuntimeError, AttributeError) as error:
            yield not_applicable("saving", f"this kind of file can not be {part}: {reason(error)}", part)
            continue
        yield compared_engines(bench, other, results).finding(
            "saving",
            f"the model has the same results after being {part}",
            f"the model has other results after being {part}; keep the file that it came from",
            part,
        )


def _saved(bench: Bench) -> Engine:
    again = bench.folder / "saved-again.pt"
    bench.engine.model.save(str(again))
    return bench.new_engine(model=again)


def _copied(bench: Bench) -> Engine:
    return bench.new_engine(model=copy.deepcopy(bench.engine.model))


def _upgraded(bench: Bench) -> Engine:
    again = bench.folder / "upgraded.pt"
    upgrade_file(str(bench.file), again, bench.options.get("extensions_directory"))
    return bench.new_engine(model=again)


@check("kernels", "numerics")
def check_kernels(bench: Bench) -> Iterator[Finding]:
    """The exported program or the compiled code of a model has other results than the model itself.

    Engines take compiled code where there is some: run them with the kernel "script".
    """
    results = results_of(bench, per_atom=True)
    if "energy" not in results:
        yield not_applicable("kernels", NO_ENERGY)
        return
    yield _of_kernel(bench, "eager", results)
    if not bench.full or bench.engine.kernel == "eager":
        yield _of_kernel(bench, "compiled", results)
        return
    with _own_cache(bench.folder / "compiled"):
        yield _of_kernel(bench, "compiled", results, _compile)


def _of_kernel(
    bench: Bench, kernel: str, results: Sequence[str], before: Callable[[Bench], None] | None = None
) -> Finding:
    """Compare one kernel with the model itself."""
    try:
        if before is not None:
            before(bench)
        other = bench.new_engine(kernel=kernel)
    except (ValueError, RuntimeError) as error:
        return not_applicable("kernels", reason(error), kernel)
    # a package has what molecular dynamics takes, and perhaps no more
    asked = results if kernel == "eager" else [name for name in results if name != "atomic_energies"]
    try:
        found = compared_engines(bench, other, asked)
    except Exception as error:  # noqa: BLE001  (whatever compiled code raises)
        text = f"The kernel '{kernel}' refuses what the model itself takes, use the kernel 'script': {reason(error)}."
        return Finding("kernels", Grade.FAIL, text, part=kernel)
    if other.fallback:
        return not_applicable("kernels", f"the exported program lacks {other.fallback}", kernel)
    return found.finding(
        "kernels",
        f"the kernel '{kernel}' has the results of the model itself",
        f"the kernel '{kernel}' has other results than the model itself; use the kernel 'script'",
        kernel,
    )


def _compile(bench: Bench) -> None:
    check_compiler()
    compile_model(str(bench.file), extensions_directory=bench.options.get("extensions_directory"))


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Compile into a folder of the check: what it makes changes nothing for the user."""
    before = os.environ.get("METATOMIC_CACHE")
    os.environ["METATOMIC_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["METATOMIC_CACHE"]
        else:
            os.environ["METATOMIC_CACHE"] = before
