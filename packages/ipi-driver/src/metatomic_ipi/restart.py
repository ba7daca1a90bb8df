"""Going on from the RESTART that i-PI has left in a directory of ``metatomic-ipi run``."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from metatomic_core.adapters import check_choice, in_one_line

from .input_xml import CASES, SOCKET_MODES

# What i-PI puts before the name of a socket if nothing else is said; what a user's client looks for.
_PERMANENT = "/tmp/ipi_"
_PREFIX = re.compile(r"sockets_prefix\s*=\s*(['\"]).*?\1|<sockets_prefix>.*?</sockets_prefix>", re.DOTALL)
_STEPS = re.compile(r"<total_steps>.*?</total_steps>", re.DOTALL)
_CASE = re.compile(r"<!-- (.*?): i-PI reads this file; written by metatomic-ipi -->")


def make_permanent(restart: Path) -> None:
    """Take the directory of sockets of a run, which is gone, out of its RESTART, so that ``i-pi RESTART`` goes on."""
    if not restart.is_file():
        return
    # whatever else is in it stays as it is
    text = restart.read_text(encoding="utf-8", errors="surrogateescape")
    changed = _PREFIX.sub(
        lambda found: (
            f"<sockets_prefix> {_PERMANENT} </sockets_prefix>"
            if found.group().startswith("<")
            else f"sockets_prefix='{_PERMANENT}'"
        ),
        text,
        count=1,
    )
    if changed != text:
        new = restart.with_name(restart.name + ".new")
        new.write_text(changed, encoding="utf-8", errors="surrogateescape")
        new.replace(restart)


def write_continuation(directory: Path, steps: int | None) -> dict[str, Any]:
    """Write ``continue.xml`` from RESTART.

    Parameters
    ----------
    directory
        Directory of the run.
    steps
        Length of the whole run, from its very start; None for that of the first input.

    Returns
    -------
    dict
        Fields of `input_xml.Settings` that the files fix.

    Raises
    ------
    ValueError
        If there is nothing to go on from.
    """
    for name in ("RESTART", "input.xml", "template.xyz"):
        if not (directory / name).is_file():
            raise ValueError(f"expected '{name}' in '{directory}' to go on from, got none; start without --continue")
    try:
        text = (directory / "RESTART").read_text(encoding="utf-8")
        first = (directory / "input.xml").read_text(encoding="utf-8")
        root, given = ET.fromstring(text), ET.fromstring(first)  # noqa: S314  (files of the own run)
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f"expected files of i-PI in '{directory}', got one that is no XML: {in_one_line(error)}"
        ) from error
    described = _CASE.search(first)
    names = {case.help: name for name, case in CASES.items()}
    if described is None or described.group(1) not in names:
        raise ValueError(f"expected an input of metatomic-ipi in '{directory}', got another one; use i-pi RESTART")
    try:
        total, done = int(root.findtext("total_steps", "0")), int(root.findtext("step", "0"))
        settings = {"case": names[described.group(1)], **_settings(given, names[described.group(1)])}
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"expected files that i-PI and metatomic-ipi wrote in '{directory}', got {in_one_line(error)}"
        ) from error
    if steps is not None:
        text = _STEPS.sub(f"<total_steps> {steps} </total_steps>", text, count=1)
        total = steps
    if done >= total:
        raise ValueError(f"expected steps that are left, got a run that has done {done} of {total}; add --steps")
    (directory / "continue.xml").write_text(text, encoding="utf-8")
    return {**settings, "steps": total}


def _settings(given: ET.Element, case: str) -> dict[str, Any]:
    """Read fields of `input_xml.Settings` from an input; a ValueError or IndexError if they are not there."""
    socket, output = given.find("ffsocket"), given.find("output")
    settings: dict[str, Any] = {
        "prefix": "simulation" if output is None else output.get("prefix", "simulation"),
        "mode": "ffdirect" if socket is None else socket.get("mode", "unix"),
    }
    check_choice("mode", settings["mode"], SOCKET_MODES)
    if case == "remd":
        # "[ 0_, 300 ]": the name of a replica, and its temperature
        settings["temperatures"] = [
            float((one.text or "").strip(" []").split(",")[1]) for one in given.iter("instance")
        ]
    if socket is not None:
        settings["address"] = (socket.findtext("address") or "").strip()
        settings["port"] = int(socket.findtext("port", "31415"))
    return settings
