"""Which check catches which model of the zoo: asks all, keeps the answers, and writes the table of the documentation.

python tests/zoo/table.py                      # writes docs/broken-models.txt from tests/zoo/caught.json
python tests/zoo/table.py --measure            # asks all models all checks first: some minutes
python tests/zoo/table.py --measure handed     # asks some of them again
python tests/zoo/table.py --measure --checks saving "free boundaries"     # asks all of them some checks again
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
CAUGHT = HERE / "caught.json"
TABLE = HERE.parents[1] / "docs" / "broken-models.txt"
# names of checks in a row
MOST = 5
HEADER = "what is broken | how a user meets it | caught by"


def recorded() -> dict[str, dict[str, str]]:
    """Give what was caught: for each model the grades of checks that are no pass."""
    return json.loads(CAUGHT.read_text("utf-8")) if CAUGHT.exists() else {}


def rows(answers: dict[str, dict[str, str]]) -> str:
    """Give the table: a line for each model."""
    from zoo.models import BROKEN

    lines = [HEADER]
    for name, specimen in BROKEN.items():
        # those that are meant to catch it first, as NaN and noise go everywhere
        grades = answers.get(name, {})
        checks = sorted(grades, key=lambda check: check not in specimen.by)
        words = [check if grades[check] == "fail" else f"{check} (warning)" for check in checks]
        lines.append(" | ".join((specimen.broken, specimen.met, _few(words))))
    return "\n".join(lines) + "\n"


def _few(words: list[str]) -> str:
    """Give some names, and how many more there are."""
    return ", ".join(words) if len(words) <= MOST else f"{', '.join(words[:MOST])}, and {len(words) - MOST} more"


def measure(names: Sequence[str], checks: Sequence[str]) -> None:
    """Ask models some checks, and keep each answer at once; none stands for all, of models and of checks."""
    from zoo.models import BROKEN, HEALTHY
    from zoo.visit import GROUPS, caught, visit

    from metatomic_check.table import all_checks

    everything = {**HEALTHY, **BROKEN}
    answers = recorded()
    for name in names or everything:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = visit(everything[name], Path(folder), checks or GROUPS)
        asked = {check.name for check in report.checks}
        kept = {check: grade for check, grade in answers.get(name, {}).items() if check not in asked}
        found = {**kept, **caught(report)}
        answers[name] = {check: found[check] for check in all_checks() if check in found}
        known = {each: answers[each] for each in everything if each in answers}
        CAUGHT.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
        sys.stdout.write(f"{name}: {answers[name]} ({time.perf_counter() - start:.1f} s)\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs="*", metavar="MODEL", help="ask these models again; none for all")
    parser.add_argument("--checks", nargs="+", default=(), metavar="CHECK", help="ask these checks only")
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE.parent))
    os.environ["METATOMIC_EXPORTED"] = "0"
    if arguments.measure is not None:
        measure(arguments.measure, arguments.checks)
    TABLE.write_text(rows(recorded()), "utf-8")


if __name__ == "__main__":
    main()
