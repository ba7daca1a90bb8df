"""Installations that are broken in one way, for the tests of ``metatomic doctor``."""

from pathlib import Path
from typing import Iterable, Mapping

from metatomic_core.adapters.diagnoses import Finding, Trial
from metatomic_core.potentials import lennard_jones


def distribution(
    monkeypatch,
    folder: Path,
    name: str,
    version: str = "1.0",
    requires: Iterable[str] = (),
    entry_points: Mapping[str, Mapping[str, str]] = {},
    modules: Mapping[str, str] = {},
) -> None:
    """Install a package before all others, for this process and those that it starts."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))


def saved_trial(folder: Path, **parameters: float) -> Trial:
    """Give a trial with the model that ``metatomic doctor`` saves, or one with other parameters."""
    path = folder / "argon.pt"
    lennard_jones(**parameters).save(str(path), exported=False)
    own = folder / "run"
    own.mkdir()
    return Trial(own, path)


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Give findings by name, each of which must be there once."""
    listed = list(findings)
    found = {finding.name: finding for finding in listed}
    assert len(found) == len(listed), listed
    return found
