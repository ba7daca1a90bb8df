"""What goes into a public report: paths start at the home folder, and the name of the user is not in them."""

import functools
import getpass
import os
import re
from pathlib import Path

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|(?:^|_)KEY(?:$|_)", re.IGNORECASE)
_AFTER_PATH = r"(?=$|[/\\:;,'\"\s)\]])"


@functools.cache
def _homes() -> tuple[str, ...]:
    """Give the home folder as it is written and as it is, longest first."""
    try:
        home = Path.home()
        found = {str(home), os.path.realpath(home)}
    except (RuntimeError, OSError):
        return ()
    return tuple(sorted((path for path in found if len(path) > 1), key=len, reverse=True))


@functools.cache
def _user() -> str:
    try:
        return getpass.getuser()
    except Exception:  # noqa: BLE001  (no such user, as in some containers; which error depends on Python)
        return ""


def private(text: str) -> str:
    """Give a text in one line, with ``~`` for the home folder and USER for the user's name in other paths.

    Parameters
    ----------
    text
        Any text.
    """
    found = " ".join(text.split())
    for home in _homes():
        found = re.sub(r"(?<![\w.-])" + re.escape(home) + _AFTER_PATH, "~", found)
    if _user():
        found = re.sub(rf"(?<=[/\\-]){re.escape(_user())}{_AFTER_PATH}", "USER", found)
    return found


def is_secret(name: str) -> bool:
    """Tell whether the value of an environment variable is none of ours to show."""
    return _SECRET.search(name) is not None
