"""All unit styles: the same argon in each, against the ASE calculator; inputs of models in their units."""

import numpy as np
import pytest
from lammps_models import TYPES, Inputs, export
from lammps_tools import FCC, FORMAT, boxes, close

from metatomic_ase import MetatomicCalculator
from metatomic_core import unit_conversion_factor
from metatomic_core.potentials import lennard_jones

BOX = boxes(FCC, 5.2, (2, 2, 2))["orthogonal"]

# LAMMPS manual, "units": length, energy, pressure, mass, velocity; LAMMPS' own constants have six digits or so
STYLES = {
    "real": ("angstrom", "kcal/mol", "atm", "g/mol", "angstrom/fs"),
    "metal": ("angstrom", "eV", "bar", "g/mol", "angstrom/ps"),
    "si": ("m", "J", "Pa", "kg", "m/s"),
    "cgs": ("cm", "erg", "barye", "g", "cm/s"),
    "electron": ("bohr", "Ha", "Pa", "u", "bohr/fs"),
    "micro": ("um", "pg*um^2/us^2", "pg/(um*us^2)", "pg", "um/us"),
    "nano": ("nm", "ag*nm^2/ns^2", "ag/(nm*ns^2)", "ag", "nm/ns"),
}
CHARGES = {"si": "C", "cgs": "statcoulomb", "micro": "pC"}


@pytest.fixture(scope="module")
def argon(model_folder):
    path = model_folder / "argon.pt"
    lennard_jones(cutoff=6.0).save(path)
    return path


@pytest.fixture(scope="module")
def with_inputs(model_folder):
    return export(Inputs(), model_folder / "inputs.pt", reach=4.0)


def scaled(box, length):
    import dataclasses

    factor = unit_conversion_factor("angstrom", length)
    return dataclasses.replace(
        box, positions=box.positions * factor, lengths=box.lengths * factor, tilts=tuple(factor * t for t in box.tilts)
    )


@pytest.mark.parametrize("style", STYLES)
def test_argon_is_the_same_in_all_units(style, argon, lammps, tmp_path):
    from ase import Atoms

    length, energy, pressure, mass, _ = STYLES[style]
    atoms = Atoms(["Ar"] * len(BOX.types), positions=BOX.positions, cell=BOX.cell, pbc=True)
    atoms.calc = MetatomicCalculator(str(argon))
    scaled(BOX, length).write(tmp_path / "data.lammps", [39.95 * unit_conversion_factor("u", mass)])
    run = lammps(f"""units {style}
read_data data.lammps
pair_style metatomic {argon}
pair_coeff * * Ar
neighbor {unit_conversion_factor("angstrom", length)!r} bin
compute virial all pressure NULL virial
thermo_style custom step pe c_virial[1] c_virial[2] c_virial[6]
{FORMAT}
dump forces all custom 1 forces id fx fy fz
dump_modify forces sort id format float %22.16g
run 0
""")
    thermo = run.thermo()
    to_energy = unit_conversion_factor("eV", energy)
    np.testing.assert_allclose(thermo["PotEng"][0], atoms.get_potential_energy() * to_energy, rtol=1e-9)
    per_length = to_energy / unit_conversion_factor("angstrom", length)
    close(run.dump("forces")[:, 1:], atoms.get_forces() * per_length, 1e-9)
    found = np.array([thermo[f"c_virial[{k}]"][0] for k in (1, 2, 6)])
    expected = -atoms.get_stress()[[0, 1, 3]] * unit_conversion_factor("eV/angstrom^3", pressure)
    close(found, expected, 2e-5)


@pytest.mark.parametrize(("style", "ranks"), [*((style, 1) for style in STYLES), ("metal", 2), ("si", 2)])
def test_inputs_arrive_in_their_units(style, ranks, with_inputs, lammps, tmp_path):
    import dataclasses

    length, energy, _, mass, velocity = STYLES[style]
    charges = np.linspace(-1.0, 1.0, len(BOX.types))
    box = dataclasses.replace(BOX, types=np.arange(len(BOX.types)) % 2 + 1)
    masses = np.array([16.0, 28.0])
    in_style = scaled(box, length)
    in_style.charges = charges * unit_conversion_factor("e", CHARGES.get(style, "e"))
    in_style.write(tmp_path / "data.lammps", masses * unit_conversion_factor("u", mass))
    to_velocity = unit_conversion_factor("angstrom/fs", velocity)
    # the velocity of each atom is a function of its number
    run = lammps(
        f"""units {style}
atom_style charge
read_data data.lammps
pair_style metatomic {with_inputs}
pair_coeff * * O Si
neighbor {unit_conversion_factor("angstrom", length)!r} bin
variable vx atom 0.001*id*{to_velocity!r}
variable vy atom -0.0005*id*{to_velocity!r}
velocity all set v_vx v_vy 0.0
thermo_style custom step pe
{FORMAT}
run 0
""",
        ranks,
    )
    own = masses[box.types - 1] + 2.0 * charges
    number = np.arange(1, len(BOX.types) + 1)
    squared = (0.001 * number) ** 2 + (0.0005 * number) ** 2
    own = own + 1000.0 * squared + squared * masses[box.types - 1]
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    atoms = Atoms(np.array(TYPES)[box.types - 1], positions=box.positions, cell=box.cell, pbc=True)
    _, second, r = neighbor_list("ijd", atoms, 4.0)
    expected = own.sum() + (own[second] * (1.0 - r / 4.0) ** 3).sum()
    # LAMMPS reads numbers of data files as they are; its data file and our constants agree to the CODATA digits
    np.testing.assert_allclose(run.thermo()["PotEng"][0], expected * unit_conversion_factor("eV", energy), rtol=1e-8)


def test_masses_of_single_atoms_reach_the_ghosts(with_inputs, lammps, tmp_path):
    """Isotopes: masses of atoms, not of types, which LAMMPS does not send to ghosts by itself."""
    import dataclasses

    box = dataclasses.replace(BOX, types=np.arange(len(BOX.types)) % 2 + 1, charges=np.zeros(len(BOX.types)))
    box.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"""units metal
atom_style charge
read_data data.lammps
fix masses all property/atom rmass
set atom * mass 20.0
set atom 1*9 mass 40.0
pair_style metatomic {with_inputs}
pair_coeff * * O Si
thermo_style custom step pe
{FORMAT}
run 0
"""
    one, two = (lammps(text, ranks).thermo()["PotEng"] for ranks in (1, 2))
    np.testing.assert_allclose(two, one, rtol=1e-10)


def test_missing_masses_come_from_the_elements(argon, lammps):
    run = lammps(f"""units real
lattice fcc 5.3
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
pair_style metatomic {argon}
pair_coeff * * Ar
print "MASS $(mass(all)/count(all))"
""")
    assert float(run.output[run.output.index("\nMASS") :].split()[1]) == pytest.approx(39.95, rel=2e-3)
