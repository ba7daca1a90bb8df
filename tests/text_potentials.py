"""A package of somebody else, installed in a test: it reads and writes a format that is not even an archive."""

import sys
from pathlib import Path
from typing import Dict, Mapping

READER = """
from metatomic_core.loading import Reader, header_of
from metatomic_core.potentials import lennard_jones

def recognises(path, archive):
    with open(path, "rb") as file:
        return file.read(8) == b"text-lj "

def load(path, extensions_directory):
    _, species, sigma, epsilon = path.read_text().split()
    return lennard_jones([species], float(sigma), float(epsilon))

def describe(path):
    return header_of(load(path, None))

reader = Reader(recognises, load, describe)
silent = Reader(recognises, load)
"""
WRITER = """
from metatomic_core.writing import Writer, WriterOption

def write(source, output, title="untitled", loud=False):
    from metatomic_core import load_atomistic_model

    name = load_atomistic_model(source).metadata().name
    output.write_text(f"{title}: {name.upper() if loud else name}")
    return f"wrote {output}"

options = (WriterOption("--title", "title", "Text before the name.", "TEXT"), WriterOption("--loud", "loud", "Shout."))
writer = Writer("the name of a model", write, options)
"""
CONTENT = "text-lj Ar 3.405 0.01032"


def install(
    monkeypatch,
    folder: Path,
    entry_points: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
    package: str = "text-potentials",
) -> None:
    """Install a package for the rest of a test: a folder on the path, with its modules and its metadata."""
    site = folder / package
    metadata = site / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, source in modules.items():
        (site / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(site))


def install_text_potentials(monkeypatch, folder: Path) -> Path:
    """Install the package of the format, and give a file in it: argon."""
    entry_points: Dict[str, Dict[str, str]] = {
        "metatomic.readers": {"text-lj": "text_reader:reader"},
        "metatomic.writers": {"name": "text_writer:writer"},
    }
    install(monkeypatch, folder, entry_points, {"text_reader": READER, "text_writer": WRITER})
    (folder / "argon.txt").write_text(CONTENT)
    return folder / "argon.txt"
