"""What the table of docs/models.rst says of a family: imported, compiled and timed here and now, kept as data.

Run by ``nox -s models``, in the environment of each family, on a quiet machine: some minutes each.

    python benchmarks/models/measure.py chgnet           # writes docs/models-measured/chgnet.json
    python benchmarks/models/measure.py --table          # writes docs/models-table.txt from all of them
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import random_checkpoints

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "models-measured"
TABLE = ROOT / "docs" / "models-table.txt"
BENCHMARK = ROOT / "benchmarks" / "importers.py"
DTYPES = ("float32", "float64")
NOT_MEASURED = "-"
# family: checkpoint, or what makes one; options of the command; where users have weights from
MODELS = {
    "sevennet": ("7net-0", {}, "in the package: 7net-0, 7net-l3i5, 7net-mf-0"),
    "chgnet": ("0.3.0", {}, "in the package: 0.3.0, 0.2.0, r2scan"),
    "mace": (random_checkpoints.mace, {}, "files of users"),
    "nequip": (random_checkpoints.nequip, {}, "files of users"),
    "allegro": (random_checkpoints.allegro, {}, "files of users"),
    "torchani": (random_checkpoints.torchani, {}, "files of users, or what torchani has downloaded"),
}
# what is written in a licence, and what it is called
LICENCES = {
    "Permission is hereby granted, free of charge": "MIT",
    "Redistribution and use in source and binary forms": "BSD",
    "Apache License": "Apache",
}
# two tables, each of which fits on a page: heading, and what is in its cells
TABLES = (
    {
        "family": lambda row: row["family"],
        "versions": lambda row: row["with"],
        "weights": lambda row: row["weights"],
        "licence of the code": lambda row: row["licence"],
        "traced": lambda row: row["traced"],
        "file, MB": lambda row: str(row["size"]),
    },
    {
        "family": lambda row: row["family"],
        "dtype": lambda row: _lines(DTYPES),
        "energy, eV/atom": lambda row: _differences(row, "energy"),
        "force, eV/Å": lambda row: _differences(row, "forces"),
        "stress, eV/Å³": lambda row: _differences(row, "stress"),
        "own, ms": lambda row: _time(row, "own"),
        "script, ms": lambda row: _time(row, "script"),
        "compiled, ms": lambda row: _time(row, "compiled"),
        "measured": lambda row: row["date"],
    },
)


def measure(family: str, with_compiled: bool) -> dict[str, object]:
    """Import and time a model of a family, compiled too if that is wanted; give its row."""
    from metatomic_importers import import_model

    source, options, weights = MODELS[family]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found, checkpoints = {}, {}
        for dtype in DTYPES:
            checkpoints[dtype] = source if isinstance(source, str) else str(source(folder, dtype))
            file = folder / f"{dtype}.pt"
            # what one type can be traced in, the other can too
            is_first = dtype == DTYPES[0]
            settings = {"dtype": dtype, "exported": is_first, **options}
            found[dtype] = import_model(family, checkpoints[dtype], file, **settings).rows
        header = _inspected(folder / "float32.pt")
        size = (folder / "float32.pt").stat().st_size / 1e6
        kernels = [
            "--kernel",
            "script",
            *(["--kernel", "compiled"] if with_compiled and not header["untraced"] else []),
        ]
        command = [
            sys.executable,
            str(BENCHMARK),
            family,
            checkpoints["float32"],
            "--dtype",
            "float32",
            "--json",
            *kernels,
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    timed = json.loads(done.stdout)
    extra = header["metadata"]["extra"]
    return {
        "family": family,
        "with": extra["imported from"].partition(", with ")[2],
        "weights": weights,
        "licence": _licence(extra["licence of code"]),
        "traced": header["untraced"] or "yes",
        "agreement": {dtype: _largest(rows) for dtype, rows in found.items()},
        "times": {"n_atoms": timed["n_atoms"], **timed["milliseconds"]},
        "size": round(size, 1),
        "date": dt.datetime.now(tz=dt.timezone.utc).date().isoformat(),
    }


def _inspected(file: Path) -> dict:
    command = [sys.executable, "-m", "metatomic_core", "inspect", "--json", str(file)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _licence(text: str) -> str:
    words = " ".join(text.split())
    return ", ".join(name for phrase, name in LICENCES.items() if phrase in words) or "see the file"


def _largest(rows: list) -> dict[str, float]:
    names = ("energy", "forces", "stress")
    return {name: max((row.differences.get(name, 0.0) for row in rows), default=0.0) for name in names}


def tables() -> str:
    """Give the tables of docs/models.rst; a column of which nothing was measured is left out."""
    rows = [json.loads((MEASURED / f"{name}.json").read_text("utf-8")) for name in MODELS]
    return "\n".join(_table(columns, rows) for columns in TABLES)


def _table(columns: dict[str, Callable[[dict], str]], rows: list[dict]) -> str:
    cells = {heading: [give(row) for row in rows] for heading, give in columns.items()}
    shown = {heading: texts for heading, texts in cells.items() if set(texts) != {NOT_MEASURED}}
    lines = [".. list-table::", "   :header-rows: 1", "   :class: short-cells", ""]
    for line in [list(shown), *map(list, zip(*shown.values(), strict=True))]:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(line)]
    return "\n".join(lines) + "\n"


def _lines(texts: Iterable[str]) -> str:
    """Give texts as lines of one cell."""
    return "\n       ".join(f"| {text}" for text in texts)


def _differences(row: dict, quantity: str) -> str:
    return _lines(f"{row['agreement'][dtype][quantity]:.0e}" for dtype in DTYPES)


def _time(row: dict, kernel: str) -> str:
    return f"{row['times'][kernel]:.0f}" if kernel in row["times"] else NOT_MEASURED


def main() -> None:
    """Measure a family, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="?", choices=MODELS)
    parser.add_argument("--without-compiled", action="store_true", help="leave out what takes minutes of a compiler")
    parser.add_argument("--table", action="store_true", help="write the table of what was measured")
    parser.add_argument("--output", type=Path, default=TABLE, help="file of the table")
    arguments = parser.parse_args()
    if arguments.table:
        arguments.output.write_text(tables(), "utf-8")
        print(f"wrote {arguments.output}")
        return
    if arguments.family is None:
        parser.error("expected a family, or --table")
    row = measure(arguments.family, not arguments.without_compiled)
    MEASURED.mkdir(exist_ok=True)
    (MEASURED / f"{arguments.family}.json").write_text(json.dumps(row, indent=1) + "\n", "utf-8")
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
