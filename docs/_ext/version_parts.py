"""Versions: those known not to work, from the table of ``metatomic doctor``; those that are declared, and tested."""

import re
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from rst import code, plain, table, with_code

from metatomic_core.diagnosis.known_versions import KNOWN_VERSIONS

ROOT = Path(__file__).parents[2]
# status of findings, and what the table calls it
WORDS = {"problem": "problem", "warning": "warning", "ok": "note"}
HEADER = ["package", "what goes wrong", "what to do"]


def known_versions() -> str:
    """Give the table."""
    rows = [
        [
            f"{code(row.package)} {plain(row.versions)}: {WORDS[row.status]}",
            f"{with_code(row.what)} ({plain(row.source)})",
            with_code(row.advice),
        ]
        for row in KNOWN_VERSIONS
    ]
    return table(HEADER, rows, [20, 45, 35])


def versions() -> str:
    """Give what packages declare, and what the tests run with."""
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = [Requirement(line.partition(" #")[0]) for line in constraints.splitlines() if re.match(r"[\w.-]+==", line)]
    # for the Python that all tests run with
    here = {"python_version": "3.11", "python_full_version": "3.11.7"}
    tested = {
        each.name.lower(): str(each.specifier)[2:] for each in pinned if not each.marker or each.marker.evaluate(here)
    }
    declared: dict[str, dict[str, list[str]]] = {}
    for file in sorted(ROOT.glob("packages/*/pyproject.toml")):
        project = tomllib.loads(file.read_text("utf-8"))["project"]
        for text in project["dependencies"]:
            needed = Requirement(text)
            if not needed.name.startswith("metatomic-"):
                users = declared.setdefault(needed.name, {}).setdefault(str(needed.specifier), [])
                users.append(project["name"].removeprefix("metatomic-"))
    rows = [
        [name, plain(" or ".join(ranges)), tested.get(name.lower(), "any"), _users(ranges)]
        for name, ranges in declared.items()
    ]
    return table(["needed", "versions", "tested", "by"], sorted(rows), [20, 25, 20, 35])


def _users(ranges: dict[str, list[str]]) -> str:
    return code(*sorted({user for users in ranges.values() for user in users}))
