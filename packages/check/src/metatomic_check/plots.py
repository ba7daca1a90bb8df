"""Plots of findings as SVG for a page: text stays text, and colors are variables of the page, which has two themes."""

import io
import re
from typing import Any

import numpy as np

from .finding import Line, Plot
from .printing import unit_text

# stand in for variables of the style sheet while matplotlib draws
_INK, _GRID = "#0a0b0c", "#0a0b0d"
_SERIES = tuple(f"#0a0c0{k}" for k in range(8))
_VARIABLES = {_INK: "--ink", _GRID: "--line", **{color: f"--series-{k}" for k, color in enumerate(_SERIES)}}
# with colors, so that lines can be told apart in print
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)))
_MARKERS = "osD^vP*X"
# a legend with more entries hides what it explains
_MOST_ENTRIES, _MOST_COLUMNS = 12, 3
# of fewer there is no line to see
_LEAST_POINTS = 3
_INCHES = (5.0, 3.1)
# a dictionary; matplotlib lists all keys in its type
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.size": 10,
    # labels are plain text, whatever is in them
    "text.parse_math": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 5),
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "metatomic-check",
}


def svg_of(plot: Plot, name: str) -> str:
    """Draw a plot.

    Parameters
    ----------
    plot
        The plot.
    name
        What the names inside of it start with, so that those of two plots of a page are not the same.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=_INCHES, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        for number, line in enumerate(plot.lines):
            _draw(axes, plot, line, number)
        _set_axes(axes, plot)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(text.getvalue(), name)


def _points(line: Line, logs: tuple[bool, bool]) -> np.ndarray:
    """Tell which points of a line can be drawn."""
    is_drawn = np.isfinite(line.x) & np.isfinite(line.y)
    for values, is_log in zip((line.x, line.y), logs, strict=True):
        is_drawn &= ~np.asarray(is_log) | (values > 0)
    return is_drawn


def _scales(plot: Plot) -> tuple[bool, bool]:
    """Tell which axes are logarithmic: none where nothing would be left to be seen."""
    logs = plot.x_log, plot.y_log
    return logs if any(_points(line, logs).any() for line in plot.lines) else (False, False)


def _draw(axes: Any, plot: Plot, line: Line, number: int) -> None:
    color = _SERIES[number % len(_SERIES)]
    is_drawn = _points(line, _scales(plot))
    x, y = (np.where(is_drawn, values, np.nan) for values in (line.x, line.y))
    style: dict[str, Any] = {"linestyle": _DASHES[(number + number // len(_SERIES)) % len(_DASHES)]}
    if plot.points or is_drawn.sum() < _LEAST_POINTS:
        style = {"linestyle": "none", "marker": _MARKERS[number % len(_MARKERS)]}
    axes.plot(x, y, color=color, label=line.label, **style)


def _set_axes(axes: Any, plot: Plot) -> None:
    """Set scales and labels, marks and the legend."""
    for letter, is_log in zip("xy", _scales(plot), strict=True):
        getattr(axes, f"set_{letter}scale")("log" if is_log else "linear")
    axes.set_xlabel(unit_text(plot.x_label))
    axes.set_ylabel(unit_text(plot.y_label))
    for position, label in plot.marks:
        if np.isfinite(position):
            axes.axvline(position, color=_INK, linewidth=0.8, linestyle=(0, (1, 2)))
            # above the axes, where no line is
            place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "center"}
            axes.annotate(label, (position, 1), (0, 3), fontsize=9, **place)
    if len(plot.lines) > 1:
        handles, labels = axes.get_legend_handles_labels()
        shown = min(len(labels), _MOST_ENTRIES)
        columns = min(shown, _MOST_COLUMNS)
        axes.figure.legend(handles[:shown], labels[:shown], loc="outside lower center", ncols=columns)


def _for_page(svg: str, name: str) -> str:
    """Take what belongs to a file of its own away, and the names and colors into the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    # the size is that of the page
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    # sizes stay, the family is that of the page
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return svg.strip()


def described(plot: Plot) -> str:
    """Say in words what a plot shows, for those who do not see it.

    Parameters
    ----------
    plot
        The plot.

    Returns
    -------
    str
        A sentence.
    """
    lines = []
    for line in plot.lines[:_MOST_ENTRIES]:
        seen = line.y[np.isfinite(line.y)]
        extent = f"from {seen.min():.3g} to {seen.max():.3g}" if len(seen) else "without values"
        lines.append(f"{line.label} {extent}".strip())
    more = len(plot.lines) - len(lines)
    return f"{plot.title}: {unit_text(plot.y_label)} against {unit_text(plot.x_label)}; {'; '.join(lines)}" + (
        f"; and {more} more" if more > 0 else ""
    )
