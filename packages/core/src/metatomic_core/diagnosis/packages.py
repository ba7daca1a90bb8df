"""What is installed: our packages and what they need, by the metadata of the distributions; nothing is imported."""

import importlib.metadata
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from metatomic_core.adapters.diagnoses import PROBLEM, WARNING, Finding, Trial

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OURS = "metatomic-"
_NAME = re.compile(r"[\w.-]+")
# compiled parts, of which versions do not tell all
_ALSO = ("metatensor-core", "metatensor-operations", "metatensor-learn", "e3nn", "scipy", "mpich", "mpi4py")


def installed_packages(_: Trial) -> Iterator[Finding]:
    """List our packages, what they need, and what goes with them."""
    found = _distributions()
    ours = _ours(found)
    if "metatomic-core" not in found:
        advice = "run `pip install ./packages/core` in a clone of metatomic-core"
        yield Finding("metatomic-core", "runs, but is not installed as a distribution", PROBLEM, advice)
    needed = {_normal(need) for name in ours for need in _names_of_needs(found[name][0])}
    for name in [*ours, *sorted((needed | {*_ALSO}) - {*ours})]:
        if name in found:
            yield _installed(name, found[name])


def unmet_requirements(_: Trial) -> Iterator[Finding]:
    """List what our packages need and is not there, or in another version; the same of what they need."""
    found = _distributions()
    ours = _ours(found)
    n_unmet = 0
    needed: set[str] = set()
    for name in ours:
        needed |= {_normal(need.name) for need in _requirements(found[name][0])}
        for finding in _unmet(found[name][0], found, PROBLEM):
            n_unmet += 1
            yield finding
    # what these need in turn is theirs to say, and not all of it is needed for what is run here
    for name in sorted((needed & found.keys()) - {*ours}):
        for finding in _unmet(found[name][0], found, WARNING):
            n_unmet += 1
            yield finding
    if not n_unmet:
        yield Finding("requirements", "all that these packages require is there")


def _distributions() -> dict[str, list[importlib.metadata.Distribution]]:
    """Give all distributions by name, the one that is used first."""
    found: dict[str, list[importlib.metadata.Distribution]] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(_normal(name), []).append(distribution)
    return found


def _ours(found: Iterable[str]) -> list[str]:
    return sorted(name for name in found if name.startswith(_OURS))


def _names_of_needs(distribution: importlib.metadata.Distribution) -> list[str]:
    """Give the names of what a distribution needs, without what its extras do."""
    texts = [text for text in distribution.requires or () if "extra ==" not in text]
    return [match[0] for match in map(_NAME.match, texts) if match is not None]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str, found: list[importlib.metadata.Distribution]) -> Finding:
    """Describe a distribution that was found once or more; the first one is used."""
    versions = [distribution.version for distribution in found]
    folders = [str(distribution.locate_file("")) for distribution in found]
    text = versions[0] + _of_sources(found[0])
    others = [i for i, version in enumerate(versions) if version != versions[0]]
    if not others:
        return Finding(name, text)
    if any(folders[i] == folders[0] for i in others):
        # left by an upgrade that was stopped, or that did not find all files
        advice = f"run `pip uninstall {name}` until it finds none, then install it again"
        text = f"several versions in {folders[0]}: {', '.join(dict.fromkeys(versions))}"
        return Finding(name, text, PROBLEM, advice)
    text += f", which hides {versions[others[0]]} in {folders[others[0]]}"
    return Finding(name, text, WARNING, "see that this is meant, or make an environment of its own")


def _of_sources(distribution: importlib.metadata.Distribution) -> str:
    """Say of which folder an editable installation is; empty for others."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return ""
    editable = origin.get("dir_info", {}).get("editable", False)
    return f", editable, of {origin.get('url', '').removeprefix('file://')}" if editable else ""


def _requirements(distribution: importlib.metadata.Distribution) -> Iterator["Requirement"]:
    """Give what a distribution needs here, without its extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in distribution.requires or ():
        try:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                yield need
        except InvalidRequirement:
            continue


def _unmet(
    distribution: importlib.metadata.Distribution,
    found: dict[str, list[importlib.metadata.Distribution]],
    status: str,
) -> Iterator[Finding]:
    """List the requirements of a distribution that are not met."""
    name = distribution.metadata["Name"]
    for need in _requirements(distribution):
        there = found.get(_normal(need.name))
        advice = f"run `pip install '{need.name}{need.specifier}'`"
        if there is None:
            yield Finding(need.name, f"not installed, and {name} {distribution.version} needs it", status, advice)
        elif not need.specifier.contains(there[0].version, prereleases=True):
            text = f"{there[0].version}, and {name} {distribution.version} needs {need.specifier}"
            yield Finding(need.name, text, status, advice)
