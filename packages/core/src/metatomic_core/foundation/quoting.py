"""Texts of others in messages: what files, sockets and libraries say, in one line that a terminal shows as it is."""

# A few lines of a terminal.
_LONGEST = 300


def printable(text: str) -> str:
    """Give a text of several lines as a terminal shows it, with a sign for each character that would do something else.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    str
        Text that can be printed.
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def in_one_line(text: object, longest: int = _LONGEST) -> str:
    """Give a text as part of a message: one line without control characters and full stop, cut where it is too long.

    Parameters
    ----------
    text
        The text, or an error.
    longest
        Number of characters to keep.

    Returns
    -------
    str
        The text; empty where nothing in it can be shown.
    """
    # a part of a huge text, before anything is done with all of it
    start = str(text)[: 10 * longest]
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in start).split()).rstrip(".")
    return words if len(words) <= longest else f"{words[:longest]}..."
