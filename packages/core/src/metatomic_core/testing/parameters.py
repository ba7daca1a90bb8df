"""The numbers in the formulas of the trial models: both the models and their oracles in NumPy have them from here.

Lengths are in angstrom, energies in eV, charges in elementary charges.  Nothing is symmetric in the species, so that
results show where two of them were swapped.
"""

# Atomic numbers, in an order that is not sorted.
TYPES = (29, 6, 8)
# Energy of an isolated atom of each species.
ISOLATED = (-0.53, 0.31, 1.17)
# Repulsion of a pair: the product of these, in a half list that ends here.
STRENGTH = (1.9, 0.8, 1.3)
SHORT_CUTOFF = 3.1
# Densities at the first species made by the second, in a full list that ends here.
DENSITY = ((2.1, 3.7, 1.2), (0.9, 2.9, 4.1), (3.3, 1.6, 2.4))
CUTOFF = 4.3
# Weight of the square of the vector sum over neighbors: pairs are then no longer pushed along their vectors alone.
BEND = 6.0
# What atoms send in the first of two steps of message passing, and how far messages go.
STATE = (0.9, -0.4, 1.4)
MESSAGE_CUTOFF = 3.4
# Direct predictions: forces and stress that are no derivatives.
PUSH = (1.5, 0.6, -0.9)
SQUEEZE = 0.07
# Charges that are inputs: self-energy, and interaction of neighbors.
HARDNESS = 3.0
COULOMB = 5.0
# Inputs of a structure: charge, and spin multiplicity.
AFFINITY = 0.7
SPIN_SPLITTING = 0.2
# A field on all atoms, and a pressure.
FIELD = (0.31, -0.23, 0.12)
PRESSURE = 0.013
# Atoms this close make the model that fails fail.
TOO_CLOSE = 1.0
