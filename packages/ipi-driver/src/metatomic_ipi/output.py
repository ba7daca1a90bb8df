"""What i-PI writes, read back: the table of properties, and a picture of energy and temperature."""

import re
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

_COLUMN = re.compile(r"#\s*column\s+(\d+)\s*-->\s*(\w+)(?:\{(\w+)\})?")
# quantity: label of the axis
_DRAWN = {
    "potential": "potential energy / eV",
    "conserved": "conserved quantity / eV",
    "temperature": "temperature / K",
    "volume": "volume / Å³",
}


def columns(path: Path) -> Dict[str, np.ndarray]:
    """Read the table of properties that i-PI writes, also while it is being written.

    Returns
    -------
    dict
        Values by the name of the property; empty if there is no file yet.
    """
    if not path.exists():
        return {}
    names: Dict[int, str] = {}
    rows: List[List[float]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#"):
            found = _COLUMN.match(line)
            if found is not None:
                names[int(found.group(1)) - 1] = found.group(2)
            continue
        words = line.split()
        if len(words) == len(names):
            rows.append([float(word) for word in words])
    table = np.array(rows).reshape(len(rows), len(names))
    return {name: table[:, index] for index, name in names.items()}


def draw(table: Path, picture: Path) -> Optional[Path]:
    """Draw energies and temperature over time.

    Returns
    -------
    pathlib.Path or None
        The picture; None if there is nothing to draw.
    """
    rows = columns(table)
    drawn = [name for name in _DRAWN if name in rows]
    if not drawn or len(rows[drawn[0]]) < 2:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    moving = "time" in rows and np.ptp(rows["time"]) > 0
    x, label = (rows["time"], "time / ps") if moving else (rows["step"], "step")
    figure = Figure(figsize=(7, 2.2 * len(drawn)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(drawn), sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, drawn, strict=True):
        axis.plot(x, rows[name], linewidth=1)
        axis.set_ylabel(_DRAWN[name])
        axis.ticklabel_format(useOffset=False)
    axes[-1].set_xlabel(label)
    figure.savefig(picture, dpi=150)
    return picture
