"""Versions known not to work, from the table that ``metatomic doctor`` has."""

from rst import plain, table, with_code

from metatomic_core.diagnosis.known_versions import KNOWN_VERSIONS

# status of findings, and what the table calls it
WORDS = {"problem": "problem", "warning": "warning", "ok": "note"}
HEADER = ["package", "versions", "status", "what goes wrong", "what to do", "source"]


def known_versions() -> str:
    """Give the table."""
    rows = [
        [
            row.package,
            plain(row.versions),
            WORDS[row.status],
            with_code(row.what),
            with_code(row.advice),
            plain(row.source),
        ]
        for row in KNOWN_VERSIONS
    ]
    return table(HEADER, rows, [14, 12, 10, 26, 26, 12])
