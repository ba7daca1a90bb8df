"""Looking a unit name up in the table, and saying what an unknown one may stand for.

Scripted: the same rules as in `_unit_parser` hold here.
"""


def _lower(name: str) -> str:
    # TorchScript changes ASCII letters only
    return name.replace("Å", "å").replace("Ö", "ö").lower()


def look_up(name: str, text: str, table: dict[str, list[float]]) -> list[float]:
    """Return the row of a name: exactly so, then in any case, then as a plural."""
    if name in table:
        return table[name][:6]
    lower = _lower(name)
    if lower in table and table[lower][6] >= 1.0:
        return table[lower][:6]
    if lower.endswith("s"):
        singular = lower[:-1]
        if singular in table and table[singular][6] >= 3.0:
            return table[singular][:6]
    raise ValueError(f"unknown unit '{name}' in '{text}'; {_suggest(name, table)}")


def _is_canonical(name: str, table: dict[str, list[float]]) -> bool:
    """Say whether a name is in the table, and not as the lower-case spelling of another."""
    return name in table and table[name][6] != 1.0


def _suggest(name: str, table: dict[str, list[float]]) -> str:
    """Say what an unknown name may stand for."""
    lower = _lower(name)
    found: list[str] = []
    for known in table:
        if _lower(known) == lower and _is_canonical(known, table):
            found.append(f"'{known}'")
    hint = "unit symbols are case-sensitive, did you mean" if len(found) > 0 else "did you mean"
    stem = name.rstrip("0123456789")
    if stem != name and stem in table:
        found.append(f"'{stem}^{name[len(stem) :]}'")
    for i in range(1, len(name)):
        left = name[:i]
        right = name[i:]
        if _is_canonical(left, table) and _is_canonical(right, table):
            found.append(f"'{left} {right}'")
    if len(found) == 0 and len(lower) > 2:
        found = _nearest(lower, table)
    if len(found) == 0:
        return "write it as eV, angstrom, kJ/mol or GPa are"
    return f"{hint} {' or '.join(found[:3])}"


def _nearest(name: str, table: dict[str, list[float]]) -> list[str]:
    """Return the known names at the smallest edit distance, if that is small for the name."""
    # TorchScript counts bytes: a name with letters beyond ASCII may find less there
    best = max(1, len(name) // 3)
    found: list[str] = []
    factors: list[float] = []  # of the names found, to name each unit once
    for known in table:
        if abs(len(known) - len(name)) > best or not _is_canonical(known, table):
            continue
        distance = _edit_distance(name, _lower(known))
        if distance < best:
            best = distance
            found = []
            factors = []
        if distance == best and table[known][0] not in factors:
            found.append(f"'{known}'")
            factors.append(table[known][0])
    return found


def _edit_distance(a: str, b: str) -> int:
    """Count insertions, deletions and replacements between two texts (Levenshtein)."""
    previous = [j for j in range(len(b) + 1)]  # noqa: C416 (scripted)
    for i in range(len(a)):
        current = [i + 1]
        for j in range(len(b)):
            change = 0 if a[i] == b[j] else 1
            current.append(min(previous[j] + change, min(previous[j + 1], current[j]) + 1))
        previous = current
    return previous[len(b)]
