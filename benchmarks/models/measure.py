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
from pathlib import Path

import random_checkpoints

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "models-measured"
TABLE = ROOT / "docs" / "models-table.txt"
BENCHMARK = ROOT / "benchmarks" / "importers.py"
DTYPES = ("float32", "float64")
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
COLUMNS = {
    "family": "family",
    "with": "versions",
    "weights": "weights",
    "licence": "licence of the code",
    "traced": "traced",
    "agreement": "differences, float32 and float64: eV/atom, eV/Å, eV/Å^3",
    "times": "ms per force call: own, script, compiled (float32)",
    "size": "file, MB",
    "date": "measured",
}


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


def table() -> str:
    """Give the table of docs/models.rst."""
    rows = [json.loads((MEASURED / f"{name}.json").read_text("utf-8")) for name in MODELS]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for cells in [list(COLUMNS.values()), *([_cell(row, name) for name in COLUMNS] for row in rows)]:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def _cell(row: dict, name: str) -> str:
    value = row[name]
    if name == "agreement":
        return "; ".join(", ".join(f"{number:.0e}" for number in value[dtype].values()) for dtype in DTYPES)
    if name == "times":
        return ", ".join(f"{value[each]:.0f}" if each in value else "-" for each in ("own", "script", "compiled"))
    return str(value)


def main() -> None:
    """Measure a family, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="?", choices=MODELS)
    parser.add_argument("--without-compiled", action="store_true", help="leave out what takes minutes of a compiler")
    parser.add_argument("--table", action="store_true", help="write the table of what was measured")
    parser.add_argument("--output", type=Path, default=TABLE, help="file of the table")
    arguments = parser.parse_args()
    if arguments.table:
        arguments.output.write_text(table(), "utf-8")
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
