"""Forces and stress that a model predicts beside its energy, compared with the derivatives of that energy."""

from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import ask, lacking, usable
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import check
from metatomic_core.engine import Engine, Structure

# by what users ask for: the output that predicts it, and the result that is made from it
_HEADS = {"forces": ("non_conservative_force", "forces"), "stress": ("non_conservative_stress", "virial")}
# Heads that were trained beside an energy are off by some percent of what they predict; this is worth a look.
_FAR = 0.5
# What goes against the derivatives has the wrong sign; what goes along them, and is of another size, a wrong unit.
_AGAINST, _ALONG, _FACTOR = -0.5, 0.9, 2.0


@check("direct predictions", "numerics")
def direct_predictions(bench: Bench) -> Iterator[Finding]:
    """Forces or a stress that the model predicts beside its energy have the other sign, or another unit.

    With the option ``non_conservative``, runs then go uphill, or cells to a wrong pressure.  Direct predictions are no
    derivatives of the energy, and that they deviate is no mistake; by half of their size, it is worth a look.
    """
    name = "direct predictions"
    offered = [what for what, (output, _) in _HEADS.items() if bench.engine.offers(output)]
    if not offered:
        yield Finding(name, Grade.NOT_APPLICABLE, "The model predicts neither forces nor stress beside its energy.")
        return
    if lack := lacking(bench, name, "energy"):
        yield from lack
        return
    direct = bench.new_engine(non_conservative="on" if len(offered) > 1 else offered[0])
    slopes = bench.new_engine(non_conservative="off") if bench.options.get("non_conservative") else bench.engine
    for what in offered:
        yield _compared(bench, name, what, direct, slopes)


def _compared(bench: Bench, name: str, what: str, direct: Engine, slopes: Engine) -> Finding:
    result = _HEADS[what][1]
    structures = {
        key: each for key, each in usable(bench).items() if len(each.types) > 1 and (what == "forces" or each.pbc.all())
    }
    if not structures:
        return Finding(name, Grade.NOT_APPLICABLE, "No structure has forces, or a volume, to compare.", part=what)
    given, right = _values(direct, structures, result), _values(slopes, structures, result)
    norm, size = float(np.linalg.norm(given)), max(float(np.linalg.norm(right)), 1e-300)
    cosine = float(given @ right) / (size * max(norm, 1e-300))
    deviation = float(np.linalg.norm(given - right)) / size
    text = f"Deviation of the direct {what} from the derivatives of the energy: {deviation:.2g} of their size."
    grade = Grade.PASS if deviation <= _FAR else Grade.WARN
    if not np.isfinite(deviation):
        grade, text = Grade.FAIL, f"The direct {what} have values that are no numbers: do not ask for them."
    elif cosine < _AGAINST:
        grade, text = Grade.FAIL, f"The direct {what} have the wrong sign beside the energy: do not ask for them."
    elif cosine > _ALONG and not 1 / _FACTOR < norm / size < _FACTOR:
        text = f"The direct {what} would be right if they were times {size / norm:.4g}: their unit is a wrong one."
        grade = Grade.FAIL
    shown = {} if grade is Grade.PASS else dict([next(iter(structures.items()))])
    return Finding(name, grade, text, what, deviation, _FAR, "", shown)


def _values(engine: Engine, structures: dict[str, Structure], result: str) -> np.ndarray:
    """Give forces or virials of all structures, one after the other."""
    said = ask(engine, list(structures.values()), result)
    return np.concatenate([np.ravel(getattr(each, result)) for each in said])
