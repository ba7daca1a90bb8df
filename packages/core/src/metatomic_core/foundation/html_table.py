"""Tables for notebooks: what ``_repr_html_`` of models and calculators gives."""

import html
from collections.abc import Mapping


def html_table(title: str, rows: Mapping[str, str]) -> str:
    """Give a table of two columns; texts are those of people, and are escaped.

    Parameters
    ----------
    title
        What stands above it.
    rows
        Text by name; rows without a text are left out.

    Returns
    -------
    str
        The table.
    """
    left = 'style="text-align: left"'
    cells = "".join(
        f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(text)}</td></tr>"
        for name, text in rows.items()
        if text
    )
    return f"<table><caption>{html.escape(title)}</caption>{cells}</table>"
