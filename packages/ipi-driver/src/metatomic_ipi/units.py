"""i-PI's atomic units, written as units that `metatomic_core` converts.

i-PI has its own, older values of the angstrom and the electronvolt; users write their structures in angstrom and read
energies in electronvolt, both converted by i-PI.  With the same values here, the model sees exactly the lengths of the
user's file.  Forces are in ENERGY / LENGTH, so that they stay derivatives of the energies; i-PI's own force unit
``ev/ang`` is 5e-8 away from the quotient of its other two.
"""

# from ipi.utils.units.UnitMap, i-PI 3.3.1; a test compares them with the i-PI that is installed
ANGSTROM = 1.8897261
ELECTRONVOLT = 0.036749326

LENGTH = f"angstrom/{ANGSTROM}"
ENERGY = f"eV/{ELECTRONVOLT}"
# one atomic unit of time is hbar / hartree
_VELOCITY = f"({LENGTH})*({ENERGY})/hbar"
# unit by dimension, for what engines do not derive from lengths and energies
BY_DIMENSION = {
    "charge": "e",
    "dipole": f"e*({LENGTH})",
    "mass": "electron_mass",
    "velocity": _VELOCITY,
    "momentum": f"hbar/({LENGTH})",
    "heat_flux": f"({ENERGY})*({_VELOCITY})",
}
