"""The table of all broken adapters: what is broken, and the standard tests that catch it.

``python -m zoo.adapters.table [NAMES]`` in the folder `tests` writes it, and that of the documentation.
"""

import sys
from pathlib import Path

import torch
from zoo.adapters import broken_batches, broken_geometry, broken_numbers, broken_pairs, broken_requests, broken_state
from zoo.adapters.base import ALL, Broken

from metatomic_core.testing import run_contract, standard_tests

MODULES = (broken_numbers, broken_pairs, broken_geometry, broken_batches, broken_requests, broken_state)
TABLE = Path(__file__).with_name("table.txt")
PAGE = Path(__file__).parents[3] / "docs/broken-adapters.txt"
# tests that the page names one by one
FEW = 5


def adapters() -> dict[str, type[Broken]]:
    """Give all of them by what is broken, in the order of the modules."""
    order = [module.__name__ for module in MODULES]
    return dict(sorted(ALL.items(), key=lambda row: order.index(row[1].__module__)))


def caught_by(adapter: type[Broken], tests=None) -> list[str]:
    """Give the standard tests that a broken adapter fails."""
    return [outcome.test for outcome in run_contract(adapter(), tests) if outcome.status == "failed"]


def read_table() -> dict[str, list[str]]:
    """Give the table: what is broken, and the standard tests that catch it."""
    rows = [line.split(" | ") for line in TABLE.read_text("utf-8").splitlines()]
    return {name.strip(): tests.split(", ") for name, tests in rows}


def table_text(rows: dict[str, list[str]]) -> str:
    """Give the table as it is kept beside this file."""
    width = max(len(name) for name in rows)
    return "".join(f"{name:{width}} | {', '.join(tests)}\n" for name, tests in rows.items())


def page_text(rows: dict[str, list[str]]) -> str:
    """Give the table for the documentation, where many tests are told by their suites."""
    lines = ["what is broken | caught by"]
    for name, tests in rows.items():
        suites = dict.fromkeys(standard_tests()[test].suite.replace("_", " ") for test in tests)
        caught = ", ".join(tests) if len(tests) <= FEW else f"{len(tests)} tests of {', '.join(suites)}"
        lines.append(f"{name} | {caught}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Ask all of them, or those named, all standard tests, and write the tables."""
    torch.set_num_threads(1)
    chosen = {name: cls for name, cls in adapters().items() if not sys.argv[1:] or cls.__name__ in sys.argv[1:]}
    rows = read_table() if sys.argv[1:] else {}
    for name, adapter in chosen.items():
        rows[name] = caught_by(adapter)
        print(f"{name}: {len(rows[name])} tests")  # noqa: T201
    rows = {name: rows[name] for name in adapters()}
    TABLE.write_text(table_text(rows), "utf-8")
    PAGE.write_text(page_text(rows), "utf-8")


if __name__ == "__main__":
    main()
