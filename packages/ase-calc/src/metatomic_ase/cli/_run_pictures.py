"""Pictures of runs: molecular dynamics from its log, and relaxations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._output import Sample
from ._pictures import COLORS, WIDTH, new_axes, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._run import Run

_HEIGHT = 1.25


def draw_dynamics(run: "Run", path: Path) -> None:
    """Draw temperature, energies, and what the ensemble lets change, of all that the log of a run has."""
    rows = np.loadtxt(run.files["log"], ndmin=2)
    log = Sample(*rows.T)  # columns, each under the name of its number
    save(lambda: _dynamics(run, log), path)


def _dynamics(run: "Run", log: Sample) -> "Figure":
    settings, n_atoms = run.start.settings, len(run.atoms)
    time = np.asarray(log.time)
    third = _third(settings.ensemble, log, n_atoms)
    n_panels = 2 if third is None else 3
    figure, panels = new_axes(WIDTH, n_panels * _HEIGHT + 0.3, nrows=n_panels, sharex=True)
    panels[0].plot(time, log.temperature, color=COLORS[0])
    if settings.ensemble != "nve":
        wanted = [settings.temperature_at(int(step)) for step in np.asarray(log.step)]
        panels[0].plot(time, wanted, color="0.4", lw=0.6, ls="--")
    panels[0].set_ylabel("temperature (K)")
    for values, color, label in ((log.potential, COLORS[1], "potential"), (log.total, COLORS[0], "total")):
        panels[1].plot(time, (np.asarray(values) - np.asarray(values)[0]) / n_atoms * 1000, color=color, label=label)
    # room for the legend, wherever the curves are
    low, high = panels[1].get_ylim()
    panels[1].set_ylim(low, high + 0.25 * (high - low))
    panels[1].legend(loc="upper right", ncols=2)
    panels[1].set_ylabel("energy change\n(meV/atom)")
    if third is not None:
        values, label = third
        panels[2].plot(time, values, color=COLORS[2])
        panels[2].set_ylabel(label)
        # differences are what the picture is for
        panels[2].ticklabel_format(axis="y", useOffset=False)
    panels[-1].set_xlabel("time (ps)")
    if len(time) > 1:
        panels[-1].set_xlim(time[0], time[-1])
    figure.align_ylabels(panels)
    return figure


def _third(ensemble: str, log: Sample, n_atoms: int) -> tuple[Any, str] | None:
    """Give values and label of the third panel; None where there is nothing to show."""
    if ensemble == "nve":
        total = np.asarray(log.total)
        return (total - total[0]) / n_atoms * 1e6, "drift of total\nenergy (µeV/atom)"
    if not np.isfinite(log.volume).all():
        return None
    if ensemble == "npt":
        return np.asarray(log.volume) / n_atoms, "volume\n(Å$^3$/atom)"
    return np.asarray(log.pressure), "pressure (GPa)"


def draw_relaxation(history: Sequence[tuple[float, float]], n_atoms: int, fmax: float, path: Path) -> None:
    """Draw energy and largest force by step.

    Parameters
    ----------
    history
        Energy in eV and largest force in eV/angstrom, at the start and after each step.
    n_atoms
        Number of atoms.
    fmax
        Force that is wanted, in eV/angstrom.
    path
        File of the picture.
    """
    save(lambda: _relaxation(np.array(history), n_atoms, fmax), path)


def _relaxation(history: np.ndarray, n_atoms: int, fmax: float) -> "Figure":
    figure, (above, below) = new_axes(WIDTH, 2 * _HEIGHT + 0.4, nrows=2, sharex=True)
    steps = np.arange(len(history))
    above.plot(steps, (history[:, 0] - history[-1, 0]) / n_atoms * 1000, ".-", color=COLORS[0])
    above.set_ylabel("energy above the\nlast (meV/atom)")
    # no logarithm of zero: forces of perfect crystals
    below.semilogy(steps, np.maximum(history[:, 1], 1e-12), ".-", color=COLORS[1])
    below.axhline(fmax, color="0.4", lw=0.6, ls="--")
    below.set(ylabel="largest force\n(eV/Å)", xlabel="step")
    below.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels([above, below])
    return figure
