"""Files of metatomic-torch, converted: as in ASE, which tests/reference compares with the reference implementation."""

import numpy as np
import pytest
from lammps_tools import FCC, FORMAT, close, crystal
from reference_cases import DATA, TRAINED, convert

from metatomic_ase import MetatomicCalculator

BOX = crystal(FCC, 3.8, (2, 2, 3), 2, 0.12, (2.3, -1.5, 1.9), n_types=2)


def converted(name, folder):
    """Convert a file, once for each process of the tests."""
    path = folder / f"{name}.pt"
    if not path.exists():
        convert(DATA / f"{name}.pt", path)
    return path


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", TRAINED)
def test_trained_model(name, ranks, lammps, model_folder, tmp_path):
    from ase import Atoms
    from ase.stress import voigt_6_to_full_3x3_stress

    BOX.write(tmp_path / "data.lammps", [63.5, 197.0])
    run = lammps(
        f"""units metal
read_data data.lammps
pair_style metatomic {converted(name, model_folder)} uncertainty_threshold off
pair_coeff * * Cu Au
compute virial all pressure NULL virial
thermo_style custom step pe {" ".join(f"c_virial[{k}]" for k in range(1, 7))}
{FORMAT}
dump atoms all custom 1 atoms id fx fy fz
dump_modify atoms sort id format float %22.16g
run 0
""",
        ranks,
    )
    atoms = Atoms(np.array([29, 79])[BOX.types - 1], positions=BOX.positions, cell=BOX.cell, pbc=True)
    atoms.calc = MetatomicCalculator(DATA / f"{name}.pt", uncertainty_threshold=None)
    thermo = run.thermo()
    close(thermo["PotEng"][0], atoms.get_potential_energy(), TRAINED[name])
    close(run.dump("atoms")[:, 1:4], atoms.get_forces(), TRAINED[name])
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    # LAMMPS: bar, and its own value of 1 eV/A^3
    close([thermo[f"c_virial[{k}]"][0] for k in range(1, 7)], -1.6021765e6 * stress, TRAINED[name])


def test_file_of_the_reference_is_refused_with_the_command_that_converts_it(lammps, tmp_path):
    BOX.write(tmp_path / "data.lammps", [63.5, 197.0])
    path = DATA / "pet-cuau.pt"
    text = f"units metal\nread_data data.lammps\npair_style metatomic {path}\n"
    error = lammps(text, ok=False).error
    assert "which is a model of metatomic-torch" in error
    assert f"run `metatomic convert {path} OUT`" in error
