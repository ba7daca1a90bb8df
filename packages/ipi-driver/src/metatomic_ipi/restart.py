"""Going on from the RESTART that i-PI has left in a directory of ``metatomic-ipi run``."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from .input_xml import CASES

# What i-PI puts before the name of a socket if nothing else is said; what a user's client looks for.
_PERMANENT = "/tmp/ipi_"
_PREFIX = re.compile(r"sockets_prefix\s*=\s*(['\"]).*?\1|<sockets_prefix>.*?</sockets_prefix>", re.DOTALL)
_STEPS = re.compile(r"<total_steps>.*?</total_steps>", re.DOTALL)
_CASE = re.compile(r"<!-- (.*?): i-PI reads this file; written by metatomic-ipi -->")


def make_permanent(restart: Path) -> None:
    """Take the directory of sockets of a run, which is gone, out of its RESTART, so that ``i-pi RESTART`` goes on."""
    if not restart.is_file():
        return
    text = restart.read_text(encoding="utf-8")
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
        new.write_text(changed, encoding="utf-8")
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
    text = (directory / "RESTART").read_text(encoding="utf-8")
    first = (directory / "input.xml").read_text(encoding="utf-8")
    try:
        root, given = ET.fromstring(text), ET.fromstring(first)  # noqa: S314  (files of the own run)
    except ET.ParseError as error:
        raise ValueError(f"expected files of i-PI in '{directory}', got one that is no XML: {error}") from error
    described = _CASE.search(first)
    names = {case.help: name for name, case in CASES.items()}
    if described is None or described.group(1) not in names:
        raise ValueError(f"expected an input of metatomic-ipi in '{directory}', got another one; use i-pi RESTART")
    total = int(root.findtext("total_steps", "0"))
    done = int(root.findtext("step", "0"))
    if steps is not None:
        text = _STEPS.sub(f"<total_steps> {steps} </total_steps>", text, count=1)
        total = steps
    if done >= total:
        raise ValueError(f"expected steps that are left, got a run that has done {done} of {total}; add --steps")
    (directory / "continue.xml").write_text(text, encoding="utf-8")
    socket = given.find("ffsocket")
    output = given.find("output")
    settings: dict[str, Any] = {
        "case": names[described.group(1)],
        "steps": total,
        "prefix": "simulation" if output is None else output.get("prefix", "simulation"),
        "mode": "ffdirect" if socket is None else socket.get("mode", "unix"),
    }
    if settings["case"] == "remd":
        # "[ 0_, 300 ]": the name of a replica, and its temperature
        settings["temperatures"] = [
            float((one.text or "").strip(" []").split(",")[1]) for one in given.iter("instance")
        ]
    if socket is not None:
        settings["address"] = (socket.findtext("address") or "").strip()
        settings["port"] = int(socket.findtext("port", "31415"))
    return settings
