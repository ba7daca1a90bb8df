"""Reference potentials that need no download: classical models written as any other model of the interface.

Each function gives an `AtomisticModel` that is ready to be saved.  Parameters come from the papers that define the
potentials, or from files in the formats of LAMMPS, and agree with the native styles of LAMMPS.
"""

from .dispersion import d3_dispersion
from .embedded_atom import embedded_atom
from .lennard_jones import lennard_jones
from .stillinger_weber import stillinger_weber
from .zbl import zbl

__all__ = ["d3_dispersion", "embedded_atom", "lennard_jones", "stillinger_weber", "zbl"]
