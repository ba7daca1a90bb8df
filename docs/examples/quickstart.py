import sys
from pathlib import Path

from ase.build import bulk

from metatomic_ase import MetatomicCalculator

if not Path("argon.pt").exists():
    sys.exit(
        "expected argon.pt in this folder; write it with `metatomic export lj -o argon.pt`"
    )

atoms = bulk("Ar", "fcc", a=5.26, cubic=True)  # angstrom
atoms.calc = MetatomicCalculator("argon.pt")

print(atoms.get_potential_energy(), "eV")
print(atoms.get_forces(), "eV/Å")
print(atoms.get_stress(), "eV/Å^3: xx yy zz yz xz xy")
