"""What i-PI writes, read back: the table of properties, frequencies, and pictures of them."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metatomic_core.adapters import in_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMN = re.compile(r"#\s*column\s+(\d+)\s*-->\s*(\w+)(?:\{(\w+)\})?")
# quantity: label of the axis
_DRAWN = {
    "potential": "potential energy,\nfrom the first / (meV/atom)",
    "conserved": "conserved quantity,\nfrom the first / (meV/atom)",
    "forcemod": "norm of all forces / (eV/Å)",
    "temperature": "temperature / K",
    "volume": "volume / Å³",
    "pressure_md": "pressure / MPa",
}
_ENERGIES = ("potential", "conserved")
# bytes at the end of a table that hold its last row
_TAIL = 8192
# 1/cm of an angular frequency of one atomic unit, hartree / (h c), and THz of 1/cm
_INVERSE_CM = 219474.6313632
THZ = 0.0299792458


def columns(path: Path) -> dict[str, np.ndarray]:
    """Read the table of properties that i-PI writes, also while it is being written.

    Returns
    -------
    dict
        Values by the name of the property; empty if there is no file yet.
    """
    if not path.exists():
        return {}
    names: dict[int, str] = {}
    rows: list[list[float]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#"):
            found = _COLUMN.match(line)
            if found is not None:
                names[int(found.group(1)) - 1] = found.group(2)
            continue
        words = line.split()
        if len(words) == len(names):
            rows.append(_numbers(words))
    # in a damaged file, lines of names come after rows
    rows = [row for row in rows if len(row) == len(names)]
    table = np.array(rows).reshape(len(rows), len(names))
    return {name: table[:, index] for index, name in names.items() if index < table.shape[1]}


def _numbers(words: Sequence[str]) -> list[float]:
    """Give the numbers of a row; NaN for what is none, as in a row that is half written, or damaged."""
    row = []
    for word in words:
        try:
            row.append(float(word))
        except ValueError:
            row.append(math.nan)
    return row


def last_row(path: Path) -> dict[str, float]:
    """Read the last whole row of a table that is being written, however long it is; empty if there is none yet."""
    if not path.exists():
        return {}
    names: dict[int, str] = {}
    with path.open("rb") as file:
        line = file.readline()
        while line.startswith(b"#"):
            found = _COLUMN.match(line.decode(errors="replace"))
            if found is not None:
                names[int(found.group(1)) - 1] = found.group(2)
            line = file.readline()
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        lines = file.read().decode(errors="replace").split("\n")[:-1]
    for text in reversed(lines):
        words = text.split()
        if len(words) == len(names) and not text.startswith("#"):
            row = _numbers(words)
            return {name: row[index] for index, name in names.items() if index < len(row)}
    return {}


def frequencies(directory: Path, prefix: str) -> np.ndarray:
    """Read the frequencies that i-PI has written for phonons, in 1/cm, imaginary ones as negative numbers.

    Raises
    ------
    ValueError
        If the file has something else.
    """
    files = sorted(directory.glob(f"{prefix}.phonons*.eigval"))
    if not files:
        return np.zeros(0)
    try:
        squares = np.loadtxt(files[-1], ndmin=1).reshape(-1)
    except ValueError as error:
        raise ValueError(f"expected frequencies in '{files[-1]}', got {in_one_line(error)}") from error
    found: np.ndarray = np.sort(np.sign(squares) * np.sqrt(np.abs(squares))) * _INVERSE_CM
    return found


def _thz(values: Any) -> Any:
    return values * THZ


def _inverse_cm(values: Any) -> Any:
    return values / THZ


def draw_frequencies(values: np.ndarray, picture: Path, title: str) -> None:
    """Draw frequencies, shape (n,), in 1/cm, as lines."""
    figure = _figure(7, 2.6)
    axis = figure.subplots()
    axis.vlines(values, 0, 1, linewidth=1)
    axis.set(xlabel="frequency / cm$^{-1}$ (imaginary below zero)", yticks=[], ylim=(0, 1.1))
    axis.set_title(title, fontsize="medium", wrap=True)
    top = axis.secondary_xaxis("top", functions=(_thz, _inverse_cm))
    top.set_xlabel("frequency / THz")
    figure.savefig(picture, dpi=150)


def draw(
    tables: Mapping[str, Path], picture: Path, title: str, n_atoms: int, targets: Mapping[str, Sequence[float]]
) -> Path | None:
    """Draw energies, temperature, volume and pressure over time.

    Parameters
    ----------
    tables
        Tables by their labels; the label is only drawn where there are several.
    picture
        Where to write; the ending says in which format.
    title
        Title.
    n_atoms
        Number of atoms, by which energies are divided.
    targets
        Values that quantities should have, by name.

    Returns
    -------
    pathlib.Path or None
        The picture; None if there is nothing to draw.
    """
    all_rows = {label: _in_order(columns(path)) for label, path in tables.items()}
    all_rows = {label: rows for label, rows in all_rows.items() if len(rows.get("step", [])) > 1}
    if not all_rows:
        return None
    first = next(iter(all_rows.values()))
    drawn = [name for name in _DRAWN if name in first]
    moving = "time" in first and np.ptp(first["time"]) > 0
    figure = _figure(7, 0.4 + 2.0 * len(drawn))
    axes = figure.subplots(len(drawn), sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, drawn, strict=True):
        for label, rows in all_rows.items():
            values = rows[name]
            if name in _ENERGIES:
                values = 1000.0 / n_atoms * (values - values[0])
            axis.plot(rows["time" if moving else "step"], values, linewidth=1, label=label)
        for target in targets.get(name, ()):
            axis.axhline(target, color="black", linestyle="--", linewidth=0.8)
        axis.set_ylabel(_DRAWN[name])
        axis.ticklabel_format(useOffset=False)
    if len(all_rows) > 1:
        axes[0].legend(fontsize="small", ncols=len(all_rows))
    axes[0].set_title(title, fontsize="medium", wrap=True)
    axes[-1].set_xlabel("time / ps" if moving else "step")
    figure.savefig(picture, dpi=150)
    return picture


def _in_order(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the last row of each step: a run that goes on writes the step again from which it does."""
    if "step" not in rows or len(rows["step"]) == 0:
        return rows
    _, index = np.unique(rows["step"][::-1], return_index=True)
    return {name: values[::-1][index] for name, values in rows.items()}


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
