"""Files of imported models, where none of the packages is that they come from: the same results in all engines.

What is expected is what the family's own calculator gave, in the environment of the family.
"""

from importlib.metadata import distributions

import ase.io
import ase.units
import numpy as np
import pytest
from ase.md.verlet import VelocityVerlet
from command_line import succeed
from imported_files import FILES
from ipi_processes import Bench
from lammps_tools import FORMAT, run_lammps

from metatomic_ase import MetatomicCalculator
from metatomic_core.loading import read_model_header
from metatomic_ipi.output import columns
from metatomic_lammps import build_plugin

PACKAGES = {"chgnet", "e3nn", "mace-torch", "metatomic-importers", "nequip", "nequip-allegro", "sevenn", "torchani"}
# eV per atom, eV/A, eV/A^3: rounding of float32; CHGNet's own neighbor vectors are rougher
TOLERANCES = {"chgnet": (2e-5, 3e-4, 2e-5)}
DEFAULT = (1e-5, 1e-4, 1e-5)
# those that LAMMPS can hold as they are: with free boundaries it knows only cells at right angles to them
IN_LAMMPS = ("bulk", "triclinic", "small cell", "molecule", "atom")

TEXT = """units metal
boundary {boundary}
read_data {name}.data
pair_style metatomic {file}
pair_coeff * * {species}
neighbor 1.0 bin
thermo_style custom step pe
{format}
dump atoms all custom 1 {name}.dump id fx fy fz
dump_modify atoms sort id format float %22.16g
run 0
"""


def frames_of(model):
    return {atoms.info["case"]: atoms for atoms in ase.io.read(model.with_suffix(".extxyz"), ":")}


def tolerances_of(model):
    return TOLERANCES.get(model.parent.name, DEFAULT)


@pytest.fixture(scope="session")
def plugin():
    return build_plugin()


def test_there_are_files_and_no_packages():
    assert FILES
    assert {distribution.name for distribution in distributions()} & PACKAGES == set()


def test_ase_gives_what_the_package_gave(model):
    energy, forces, stress = tolerances_of(model)
    calculator = MetatomicCalculator(model)
    for case, expected in frames_of(model).items():
        got = expected.copy()
        got.calc = calculator
        difference = got.get_potential_energy() - expected.get_potential_energy()
        assert abs(difference) < energy * len(got), case
        np.testing.assert_allclose(got.get_forces(), expected.get_forces(), rtol=0, atol=forces, err_msg=case)
        if expected.pbc.all():
            np.testing.assert_allclose(got.get_stress(), expected.get_stress(), rtol=0, atol=stress, err_msg=case)


def in_box_of_lammps(atoms):
    """Turn a structure so that its cell is triangular, as LAMMPS wants it; give free ones a box."""
    turned = atoms.copy()
    turned.calc = None
    if turned.pbc.all():
        cell, rotation = turned.cell.standard_form()
        turned.set_cell(cell)
        turned.positions = turned.positions @ rotation.T
        turned.wrap()
    else:
        turned.center(vacuum=3.0)
        turned.positions += 1.0
    return turned


def lammps_text(model, folder, name, atoms):
    """Write the data of a structure, and give the input text for it."""
    species = list(dict.fromkeys(atoms.symbols))
    ase.io.write(folder / f"{name}.data", atoms, format="lammps-data", specorder=species, masses=True)
    boundary = "p p p" if atoms.pbc.all() else "f f f"
    return TEXT.format(boundary=boundary, name=name, file=model, species=" ".join(species), format=FORMAT)


@pytest.mark.parametrize("ranks", [1, 2])
def test_lammps_gives_what_ase_gives(ranks, model, plugin, tmp_path):
    calculator = MetatomicCalculator(model)
    cases = {name: in_box_of_lammps(atoms) for name, atoms in frames_of(model).items() if name in IN_LAMMPS}
    names = {case: case.replace(" ", "_") for case in cases}
    assert set(cases) == set(IN_LAMMPS)
    texts = [lammps_text(model, tmp_path, names[case], atoms) for case, atoms in cases.items()]
    # all structures in one process, which starts once
    done = run_lammps(plugin, tmp_path, "\nclear\n".join(texts), ranks)
    for index, (case, atoms) in enumerate(cases.items()):
        expected = ase.io.read(tmp_path / f"{names[case]}.data", format="lammps-data")
        expected.numbers = atoms.numbers
        expected.pbc = atoms.pbc
        expected.calc = calculator
        (energy,) = done.thermo(index)["PotEng"]
        assert abs(energy - expected.get_potential_energy()) < 1e-5 * len(atoms), case
        forces = done.dump(f"{names[case]}.dump")[:, 1:]
        scale = max(1.0, np.abs(forces).max())
        np.testing.assert_allclose(forces, expected.get_forces(), rtol=0, atol=1e-5 * scale, err_msg=case)


def test_energy_is_conserved(model):
    atoms = frames_of(model)["triclinic"].copy()
    atoms.calc = MetatomicCalculator(model)
    width = np.sqrt(atoms.get_masses() * ase.units.kB * 100)
    atoms.set_momenta(np.random.default_rng(5).normal(size=(len(atoms), 3)) * width[:, None])
    dynamics = VelocityVerlet(atoms, 0.25 * ase.units.fs)
    energies = []
    kinetic = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()))
    dynamics.attach(lambda: kinetic.append(atoms.get_kinetic_energy()))
    dynamics.run(200)
    drift = np.ptp(energies) / len(atoms)
    # moved, and conserved far better than energy is exchanged
    assert np.ptp(kinetic) / len(atoms) > 1e-3
    assert drift < max(1e-5, 0.02 * np.ptp(kinetic) / len(atoms))


def test_ipi_runs_path_integrals(model, tmp_path):
    atoms = frames_of(model)["triclinic"].copy()
    atoms.calc = None
    ase.io.write(tmp_path / "start.xyz", atoms, format="extxyz")
    options = ["--case", "pimd", "--steps", 2, "--temperature", 100, "--beads", 2]
    succeed("ipi", "input", model, tmp_path / "start.xyz", "-o", tmp_path, *options)
    with Bench(tmp_path) as bench:
        server = bench.ipi()
        client = bench.client(model, address=["--unix", "metatomic", "-S", bench.prefix])
        assert server.wait() == 0, server.text()[-1500:]
        assert client.wait(10) == 0
    (table,) = tmp_path.glob("*simulation.out")
    potential = columns(table)["potential"]
    assert len(potential) == 3
    atoms.calc = MetatomicCalculator(model)
    # both beads start where the structure is
    assert abs(potential[0] - atoms.get_potential_energy()) < 1e-4 * len(atoms)


def test_file_says_where_it_comes_from(model):
    extra = read_model_header(model).metadata.extra
    assert extra["imported from"]
    assert "opyright" in extra["licence of code"]
    assert "off by up to" in extra["compared"]
