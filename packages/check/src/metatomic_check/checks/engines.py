"""Whether simulation engines give what the model gives: the same structures through each engine that is installed."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metatomic_check.abilities import lacked, needs_of_model, needs_of_structure
from metatomic_check.agreement import Differences, evaluated, gap, named, not_applicable, reason, results_of, size
from metatomic_check.asking import cutoffs, lacking
from metatomic_check.bench import Bench
from metatomic_check.differences import how_they_differ
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import check
from metatomic_core.engine import Evaluation, Structure
from metatomic_core.testing import Answer, Request, Subject, installed_subjects

_NAME = "engines"
# results, and what an engine must be able to do for each
_ABILITIES = {
    "energy": "",
    "forces": "forces",
    "virial": "virial",
    "atomic_energies": "atomic energies",
}
# kernels are no engines: a check of its own compares them
_NO_ENGINE = "kernel-"
# A short run: its number of steps, how far each atom goes at random in one, and how far all of them go together, in
# angstrom: through skins and out of the cell.
_N_FRAMES, _STEP, _DRIFT = 6, 0.12, np.array([0.7, 0.4, -0.5])

Asked = list[tuple[str, Structure, Answer]]


@check(_NAME, _NAME, quick=False)
def check_engines(bench: Bench) -> Iterator[Finding]:
    """An engine gives other energies, forces or virials than the model.

    The engine, its version, or the adapter of this project is wrong for this model: a sign, a factor, the order of
    atoms, an image or a ghost atom that is missing, a list that is not up to date.  Do not run it in this engine.
    """
    if lack := lacking(bench, _NAME, "energy"):
        yield from lack
        return
    subjects = _chosen(installed_subjects(), bench.only_engines)
    if not subjects:
        yield not_applicable(_NAME, "no engine is installed or asked for")
        return
    # what the model says, once for all engines
    expected = [
        (name, structure, _answer(found, _results(bench)))
        for name, structure, found in evaluated(bench, _results(bench))
    ]
    frames = _frames(bench, expected)
    for name, subject in subjects.items():
        yield from _of_subject(bench, name, subject, expected, frames)


def _chosen(installed: Mapping[str, Subject], names: Sequence[str] | None) -> dict[str, Subject]:
    """Give the subjects that a user asked for; those of engines if nothing is said."""
    if names is None:
        return {name: subject for name, subject in installed.items() if not name.startswith(_NO_ENGINE)}
    for name in names:
        if name not in installed:
            nearest = difflib.get_close_matches(name, installed, 1)
            hint = f"did you mean '{nearest[0]}'" if nearest else f"installed are {', '.join(installed) or 'none'}"
            raise ValueError(f"expected engines that are installed in `engines`, got '{name}'; {hint}")
    return {name: installed[name] for name in names}


def _results(bench: Bench) -> tuple[str, ...]:
    return results_of(bench, per_atom=True)


def _answer(evaluation: Evaluation, results: Sequence[str]) -> Answer:
    """Give what the model says about one structure as engines say it."""
    found: dict[str, Any] = {result: getattr(evaluation, result) for result in results}
    for result in {"energy", "virial"} & found.keys():
        found[result] = found[result][0]
    return Answer(**found)


def _frames(bench: Bench, expected: Asked) -> Asked:
    """Move the atoms of a structure, the largest one of up to some ten atoms, as in a run."""
    candidates = [item for item in expected if len(item[1].types) > 1]
    if not candidates:
        return []
    # cells that are oblique tell more than others
    name, structure, _ = min(candidates, key=lambda item: (not item[1].pbc.all(), abs(len(item[1].types) - 8)))
    rng, positions = bench.random(), structure.positions
    moved: dict[str, Structure] = {}
    for number in range(_N_FRAMES):
        moved[f"{name}, step {number}"] = dataclasses.replace(structure, positions=positions)
        positions = positions + _DRIFT + rng.uniform(-_STEP, _STEP, positions.shape)
    found = evaluated(dataclasses.replace(bench, structures=moved), _results(bench))
    return [(each, frame, _answer(found, _results(bench))) for each, frame, found in found]


def _of_subject(bench: Bench, name: str, subject: Subject, expected: Asked, frames: Asked) -> Iterator[Finding]:
    """Compare one engine."""
    missing = subject.absent() or "; ".join(
        subject.lacks[need] for need in lacked(subject.lacks, needs_of_model(bench))
    )
    if missing:
        yield not_applicable(_NAME, missing, name)
        return
    results = tuple(result for result in _results(bench) if _ABILITIES[result] not in subject.lacks)
    reach = max(cutoffs(bench), default=0.0)
    taken: Asked = []
    left_out: dict[str, list[str]] = {}
    for item in expected:
        lack = lacked(subject.lacks, needs_of_structure(item[1], reach))
        if lack:
            left_out.setdefault(subject.lacks[lack[0]], []).append(item[0])
        else:
            taken.append(item)
    for why, names in left_out.items():
        yield not_applicable(_NAME, f"{why}, so not compared: {', '.join(names)}", f"{name}: {', '.join(names)}")
    answered, refused = _ask(bench, subject, taken, results)
    if refused:
        yield _refusal(name, refused, len(taken))
    yield from _compared(bench, (name, subject), answered, results)
    yield from _run(bench, (name, subject), frames, results, reach)


def _run(
    bench: Bench, named_subject: tuple[str, Subject], frames: Asked, results: tuple[str, ...], reach: float
) -> Iterator[Finding]:
    """Compare the steps of a run, through which an engine keeps its lists."""
    name, subject = named_subject
    part = f"{name}: run"
    needs = ["continued", *{need: None for _, frame, _ in frames for need in needs_of_structure(frame, reach)}]
    if not frames or (lack := lacked(subject.lacks, needs)):
        why = subject.lacks[lack[0]] if frames else "no structure has two atoms or more"
        yield not_applicable(_NAME, why, part)
        return
    try:
        answers = subject.evaluate(_request(bench, [frame for _, frame, _ in frames], results, continued=True))
    except Exception as error:  # noqa: BLE001  (whatever an engine raises)
        yield _refusal(part, [(*frames[0][:2], reason(error))], 1)
        return
    answered = list(zip(frames, answers, strict=True))
    yield from _compared(bench, named_subject, answered, results, run=part)


def _request(
    bench: Bench, structures: list[Structure], results: tuple[str, ...], *, continued: bool = False
) -> Request:
    return Request(bench.file, structures, results, continued=continued, options=bench.options)


Answered = list[tuple[tuple[str, Structure, Answer], Answer]]


def _ask(
    bench: Bench, subject: Subject, taken: Asked, results: tuple[str, ...]
) -> tuple[Answered, list[tuple[str, Structure, str]]]:
    """Ask an engine for all structures; one by one if it refuses them together, to know which it refuses."""
    if not taken:
        return [], []
    try:
        answers = subject.evaluate(_request(bench, [structure for _, structure, _ in taken], results))
        return list(zip(taken, answers, strict=True)), []
    except Exception:  # noqa: BLE001, S110  (said below, of the structure that it is about)
        pass
    answered, refused = [], []
    for item in taken:
        try:
            [answer] = subject.evaluate(_request(bench, [item[1]], results))
            answered.append((item, answer))
        except Exception as error:  # noqa: BLE001  (as above)
            refused.append((item[0], item[1], reason(error)))
    return answered, refused


def _refusal(part: str, refused: list[tuple[str, Structure, str]], n_asked: int) -> Finding:
    """Say what an engine refuses: nobody is misled by that, but it may be why somebody looks."""
    label, structure, why = refused[0]
    text = f"The engine refuses {len(refused)} of {n_asked} structures, such as '{label}': {why.rstrip('.')}."
    return Finding(_NAME, Grade.WARN, text, f"{part}: refused", structures={label: structure})


def _compared(
    bench: Bench,
    named_subject: tuple[str, Subject],
    answered: Answered,
    results: tuple[str, ...],
    *,
    run: str = "",
) -> Iterator[Finding]:
    """Compare answers: a finding for each result, or one for all of them, of the steps of a `run`."""
    (name, subject), what = named_subject, "steps of a run" if run else "structures"
    found = {result: Differences(bench.rounding) for result in results}
    hints: dict[str, set[str]] = {}
    together = Differences(bench.rounding)
    for (label, structure, expected), answer in answered:
        for result in results:
            right, given = getattr(expected, result), getattr(answer, result)
            # ASE has no stress of structures without a volume
            if given is None and result == "virial" and not structure.pbc.all():
                continue
            right, given = _as_passed_on(subject, result, right), _as_passed_on(subject, result, given)
            limit = _limit(bench, subject, result, right, len(structure.types))
            for differences in (together, found[result]):
                differences.add_gap(result, label, structure, gap(given, right), limit)
            if not gap(given, right) <= limit:
                hint = _hints(right, given, limit)
                # what is not so for all of them is not what is wrong
                hints[result] = hints.get(result, hint) & hint
    if run:
        results, found, hints = ("all",), {"all": together}, {"all": set().union(*hints.values())}
    for result in results:
        if not found[result]:
            continue
        how = f" ({', '.join(sorted(hints[result]))})" if hints.get(result) else ""
        wrong = f"in {name}, results are not those of the model{how}: do not run it there"
        right_text = f"in {name}, results are those of the model for {len(answered)} {what}"
        yield found[result].finding(_NAME, right_text, wrong, run or f"{name}: {named(result)}")


def _as_passed_on(subject: Subject, result: str, values: Any) -> Any:
    """Give what of a virial reaches an engine: the mean of components that may differ, where it has one for both."""
    if values is None or result != "virial" or "asymmetric virials" not in subject.lacks:
        return values
    return 0.5 * (np.asarray(values) + np.asarray(values).T)


def _limit(bench: Bench, subject: Subject, result: str, right: np.ndarray | float, n_atoms: int) -> float:
    """Give how far a result may be off: in the digits of the engine, and relative to the largest number."""
    allowed = subject.tolerances
    absolute = {"energy": allowed.energy * n_atoms, "forces": allowed.forces, "virial": allowed.virial * n_atoms}
    relative = allowed.relative + (allowed.float32 if bench.dtype == "float32" else 0.0)
    largest = size(result, np.asarray(right), n_atoms)
    return absolute.get(result, allowed.energy) + relative * largest


def _hints(right: np.ndarray | float, given: np.ndarray | float | None, limit: float) -> set[str]:
    """Say in which ways that are known results are wrong."""
    one, two = np.asarray(right, dtype=float), np.asarray(np.nan if given is None else given, dtype=float)
    if one.shape != two.shape or not np.isfinite(two).all() or np.abs(one).max(initial=0.0) <= limit:
        return set()
    is_virial = one.shape == (3, 3)
    found = {
        how_they_differ(one.ravel(), two.ravel(), limit): True,
        "it is transposed": is_virial and np.abs(one - two.T).max() <= limit,
        "atoms are in another order": not is_virial and one.ndim > 0 and _same_rows(one, two, limit),
    }
    return {how for how, is_so in found.items() if how and is_so}


def _same_rows(one: np.ndarray, two: np.ndarray, limit: float) -> bool:
    norms = [np.sort(np.linalg.norm(each.reshape(len(each), -1), axis=1)) for each in (one, two)]
    return bool(np.abs(norms[0] - norms[1]).max(initial=0.0) <= 2.0 * limit)
