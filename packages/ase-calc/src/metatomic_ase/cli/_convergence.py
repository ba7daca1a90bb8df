"""When a relaxation is done: limits of forces, and of the stress if wanted."""

from typing import NamedTuple


class Convergence(NamedTuple):
    """What has to be reached.

    Attributes
    ----------
    fmax
        Largest force, in eV/angstrom.
    smax
        Largest stress, in GPa; None for no limit.
    """

    fmax: float
    smax: float | None

    def is_reached(self, force: float, stress: float | None) -> bool:
        """Tell whether forces and stress are below the limits; a cell that does not relax has no stress."""
        return force < self.fmax and (self.smax is None or stress is None or stress < self.smax)

    def wanted(self) -> str:
        """Say what has to be reached."""
        stress = "" if self.smax is None else f" and stress below {self.smax:g} GPa"
        return f"forces below {self.fmax:g} eV/Å{stress}"

    def got(self, force: float, stress: float | None) -> str:
        """Say what is left."""
        left = "" if self.smax is None or stress is None else f" and stress {stress:.4g} GPa"
        return f"{force:.4g} eV/Å{left}"
