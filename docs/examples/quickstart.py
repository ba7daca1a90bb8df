from ase.build import bulk

from metatomic_ase import MetatomicCalculator

atoms = bulk("Ar", "fcc", a=5.26, cubic=True)  # angstrom
atoms.calc = MetatomicCalculator("argon.pt")

print(atoms.get_potential_energy(), "eV")
print(atoms.get_forces(), "eV/Å")
print(atoms.get_stress(), "eV/Å^3: xx yy zz yz xz xy")
