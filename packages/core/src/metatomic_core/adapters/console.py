"""What commands share, in core and in adapters: options, checks of output files, and how text and data are printed."""

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from metatomic_core.foundation.atomic_write import check_replaceable
from metatomic_core.foundation.quoting import in_one_line

if TYPE_CHECKING:
    import rich.console
    import rich.table

# Width of output that does not go to a terminal.
_FILE_WIDTH = 120
# Of an error, for people: they may have given a text of any length.
LONGEST_MESSAGE = 800

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")


def one_line(error: BaseException) -> str:
    """Give the message of an error in one line: the first one that says something.

    Parameters
    ----------
    error
        The error.

    Returns
    -------
    str
        The message.
    """
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror.lower()}: '{os.fspath(error.filename)}'"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return in_one_line(lines[0], LONGEST_MESSAGE) if lines else type(error).__name__


def house_style(message: str) -> str:
    """Give a message of click as ours are: one line, lower-case start, no full stop; questions stay questions.

    Parameters
    ----------
    message
        Message of click.

    Returns
    -------
    str
        The message in our form.
    """
    text = in_one_line(message, LONGEST_MESSAGE)
    # click: "No such option '--jsn'. Did you mean '--json'?", and "(Did you mean one of: '--a', '--b'?)"
    text = text.replace(" (Did you mean", ". Did you mean").replace("?)", "?")
    text = text.replace(".. Did", ". Did").replace(". Did you mean", "; did you mean")
    # not "NVE", nor a sentence that starts with a name in quotes
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning in one line on standard error, for ``warnings.showwarning``.

    Parameters
    ----------
    message
        What the warning says.
    category, filename, lineno, file, line
        Not shown: a person at a terminal has no use for them.
    """
    click.echo(f"metatomic: warning: {' '.join(str(message).split())}", err=True)


def print_json(data: Any) -> None:
    """Print data as JSON, with null for numbers that are not finite, which JSON does not have.

    Parameters
    ----------
    data
        Dictionaries, lists, texts and numbers.
    """
    click.echo(json_text(data))


def json_text(data: Any) -> str:
    """Give data as `print_json` prints it, for files.

    Parameters
    ----------
    data
        Dictionaries, lists, texts and numbers.

    Returns
    -------
    str
        The text.
    """
    text = json.dumps(_plain(data), indent=1, ensure_ascii=False)
    # what a terminal would obey is written as JSON writes it in ASCII
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if hasattr(data, "tolist"):
        return _plain(data.tolist())
    if isinstance(data, os.PathLike):
        return os.fspath(data)
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def checked_output(path: str | os.PathLike[str], force: bool, option: str = "-o") -> Path:
    """Check, before any work, that a file can be written.

    Parameters
    ----------
    path
        The file.
    force
        Whether it may exist.
    option
        Option that names it, for messages.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ValueError
        If it exists and may not, is a directory or a device, or its directory does not exist or is not writable.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"expected `{option}` to be a file name, got the directory '{path}'")
    if not path.parent.is_dir():
        raise ValueError(f"expected the directory of `{option}` to exist, got '{path.parent}'; create it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"expected a directory that can be written to for `{option}`, got '{path.parent}'")
    check_replaceable(path, option)
    if path.exists() and not force:
        raise ValueError(
            f"expected a new file for `{option}`, got '{path}', which exists; choose another or add --force"
        )
    return path


def console(stderr: bool = False) -> "rich.console.Console":
    """Give a console that writes colors on terminals and plain text elsewhere.

    Parameters
    ----------
    stderr
        For standard error rather than standard output.

    Returns
    -------
    rich.console.Console
        The console.
    """
    import rich.console

    found = rich.console.Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = _FILE_WIDTH
    return found


def columns(*headers: str, title: str | None = None) -> "rich.table.Table":
    """Give an empty table without lines; without headers for names and values.

    Parameters
    ----------
    *headers
        Titles of the columns.
    title
        Title of the table.

    Returns
    -------
    rich.table.Table
        The table.
    """
    import rich.table

    table = rich.table.Table(
        *headers,
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
        show_header=bool(headers),
    )
    if not headers:
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
    return table


def print_table(table: "rich.table.Table") -> None:
    """Print a table on standard output; elsewhere than on a terminal without the blanks that fill its lines.

    Parameters
    ----------
    table
        The table.
    """
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as text:
        out.print(table)
    for line in text.get().splitlines():
        click.echo(line.rstrip())
