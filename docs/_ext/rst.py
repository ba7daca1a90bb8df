"""Pieces of reStructuredText."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\*`|]|_(?=\W|$))")


def plain(text: str) -> str:
    """Give a text in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", text)


def with_code(text: str) -> str:
    """Give a text in which single backquotes, as messages and docstrings have them, make code."""
    return "".join(
        f"``{piece}``" if odd else plain(piece)
        for odd, piece in ((k % 2, piece) for k, piece in enumerate(text.split("`")))
        if piece
    )


def code(*words: str, between: str = ", ") -> str:
    """Give words as code."""
    return between.join(f"``{word}``" for word in words)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int], looks: str = "") -> str:
    """Give a table whose cells are reStructuredText; no header makes one without."""
    lines = [".. list-table::", f"   :widths: {' '.join(map(str, widths))}"]
    lines += [f"   :class: {looks}"] if looks else []
    lines += ["   :header-rows: 1", ""] if header else [""]
    for row in [header, *rows] if header else rows:
        for k, cell in enumerate(row):
            first, *more = cell.splitlines() or [""]
            lines.append(f"   {'* -' if k == 0 else '  -'} {first}".rstrip())
            lines += [f"       {line}".rstrip() for line in more]
    return "\n".join([*lines, ""])


def heading(text: str, level: str) -> str:
    """Give a heading, underlined."""
    return f"\n{text}\n{level * len(text)}\n"


def indented(text: str, indent: str = "   ") -> str:
    """Give a text further to the right."""
    return "\n".join(f"{indent}{line}".rstrip() for line in text.splitlines())
