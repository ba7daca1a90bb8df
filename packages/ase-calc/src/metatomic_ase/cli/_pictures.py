"""Pictures of properties, in the size and style of a column of a paper."""

import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metatomic_core.adapters import replaced_when_done

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from metatomic_ase.properties.comparison import Errors
    from metatomic_ase.properties.elastic import ElasticConstants
    from metatomic_ase.properties.equation_of_state import EquationOfState
    from metatomic_ase.properties.nudged_elastic_band import EnergyPath
    from metatomic_ase.properties.phonons import Bands

# behind text
_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
# inches: one column of two
WIDTH = 3.4
STYLE: Any = {
    "font.size": 8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}
# of Okabe and Ito, which all people can tell apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save(make: "Callable[[], Figure]", path: Path) -> None:
    """Draw in the style of papers, and write the picture; the suffix gives the format."""
    import matplotlib as mpl

    # remarks about the dates of fonts
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    with mpl.rc_context(STYLE), replaced_when_done(path) as temporary:
        make().savefig(temporary, format=path.suffix[1:], bbox_inches="tight")


def new_axes(width: float = WIDTH, height: float = 2.5, **more: Any) -> tuple["Figure", Any]:
    """Give a figure without a window, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**more)


def equation_of_state(found: "EquationOfState", n_atoms: int) -> "Figure":
    """Draw energies, the equation through them, and its minimum."""
    figure, axes = new_axes()
    volumes = np.linspace(found.volumes[0], found.volumes[-1], 200)
    axes.plot(volumes / n_atoms, (found.energy_at(volumes) - found.energy) / n_atoms * 1000, color=COLORS[0])
    points = (found.energies - found.energy) / n_atoms * 1000
    axes.plot(found.volumes / n_atoms, points, "o", color=COLORS[1], mfc="none")
    axes.axvline(found.volume / n_atoms, color="0.6", lw=0.6, ls="--", zorder=0)
    text = f"$V_0$ = {found.volume / n_atoms:.3f} Å$^3$/atom\n$B_0$ = {found.bulk_modulus:.4g} GPa"
    axes.text(
        0.5,
        0.95,
        f"{text}\n$B_0'$ = {found.derivative:.3g}",
        transform=axes.transAxes,
        ha="center",
        va="top",
        bbox=_WHITE,
    )
    axes.set(xlabel="volume (Å$^3$/atom)", ylabel="energy (meV/atom)")
    return figure


def elastic_constants(found: "ElasticConstants") -> "Figure":
    """Draw the modulus of Young for directions in the three Cartesian planes."""
    figure, all_axes = new_axes(2 * WIDTH, 2.6, ncols=3, subplot_kw={"projection": "polar"})
    angles = np.linspace(0, 2 * np.pi, 361)
    for axes, (first, second) in zip(all_axes, ((0, 1), (0, 2), (1, 2)), strict=True):
        directions = np.zeros((len(angles), 3))
        directions[:, first], directions[:, second] = np.cos(angles), np.sin(angles)
        axes.plot(angles, found.young_modulus(directions), color=COLORS[0])
        axes.set_title(f"{'xyz'[first]}{'xyz'[second]} plane")
        axes.set_ylim(bottom=0)
        axes.set_rlabel_position(67)
        axes.grid(lw=0.3)
    figure.supxlabel("Young's modulus (GPa)", fontsize=8)
    return figure


def _label(name: str) -> str:
    """Give the name of a point for matplotlib: "S_0" with a subscript."""
    if "_" not in name or "$" in name:
        return name
    return "|".join(f"${one}$" if "_" in one else one for one in name.split("|"))


def phonons(bands: "Bands", dos: tuple[np.ndarray, np.ndarray]) -> "Figure":
    """Draw bands, and beside them the density of states."""
    figure, (left, right) = new_axes(2 * WIDTH, 2.8, ncols=2, sharey=True, width_ratios=(3, 1))
    ends = [float(bands.distances[0][0])]
    names = [bands.labels[0][0]]
    for number, (distances, frequencies) in enumerate(zip(bands.distances, bands.frequencies, strict=True)):
        left.plot(distances, frequencies, color=COLORS[0])
        if number and bands.labels[number][0] != bands.labels[number - 1][1]:
            names[-1] += f"|{bands.labels[number][0]}"
        ends.append(float(distances[-1]))
        names.append(bands.labels[number][1])
    for end in ends[1:-1]:
        left.axvline(end, color="0.6", lw=0.6, zorder=0)
    left.set_xticks(ends, [_label(name) for name in names])
    left.tick_params(axis="x", length=0)
    left.set(xlim=(ends[0], ends[-1]), ylabel="frequency (THz)")
    right.plot(dos[1], dos[0], color=COLORS[0])
    right.fill_betweenx(dos[0], dos[1], color=COLORS[0], alpha=0.2, lw=0)
    right.set(xlim=(0, None), xlabel="modes per THz")
    lowest = min(float(one.min()) for one in bands.frequencies)
    if lowest < -0.1:
        for axes in (left, right):
            axes.axhline(0, color="0.6", lw=0.6, ls="--", zorder=0)
    else:
        left.set_ylim(0, 1.05 * max(float(one.max()) for one in bands.frequencies))
    return figure


def energy_path(found: "EnergyPath") -> "Figure":
    """Draw energies along a path, and a curve through them and their slopes."""
    figure, axes = new_axes()
    curve = found.curve()
    axes.plot(curve.fit_path, curve.fit_energies, color=COLORS[0])
    axes.plot(curve.path, curve.energies, "o", color=COLORS[1], mfc="none")
    axes.axhline(0, color="0.6", lw=0.6, ls="--", zorder=0)
    axes.set(xlabel="path (Å)", ylabel="energy (eV)", title=f"barrier {found.barrier:.4g} eV")
    return figure


def parity(found: "Mapping[str, Mapping[str, Errors]]") -> "Figure":
    """Draw each number of each model against that of the reference."""
    from metatomic_ase.properties.comparison import QUANTITIES

    drawn = [one for one in QUANTITIES if any(one.name in errors for errors in found.values())]
    figure, all_axes = new_axes(0.7 * WIDTH * max(len(drawn), 1), 0.7 * WIDTH, ncols=max(len(drawn), 1), squeeze=False)
    for axes, quantity in zip(all_axes[0], drawn, strict=False):
        for (label, errors), color in zip(found.items(), itertools.cycle(COLORS)):
            if quantity.name in errors:
                one = errors[quantity.name]
                # tens of thousands of points would make a file that no reader of a paper opens
                axes.plot(one.reference, one.predicted, ".", color=color, ms=2, label=label, rasterized=True)
        ends = axes.get_xlim()
        axes.plot(ends, ends, color="0.6", lw=0.6, zorder=0)
        axes.set(xlabel=f"reference ({quantity.unit})", ylabel=f"model ({quantity.unit})", title=quantity.label)
        axes.legend(loc="upper left", handletextpad=0.1)
    return figure
