"""The ghosts that models need: what they carry, and how far they reach, also for what comes after."""

import numpy as np
import pytest
from lammps_models import TYPES, Inputs, Layers, export
from lammps_tools import FCC, FORMAT, boxes

BOX = boxes(FCC, 4.4, (3, 3, 3), n_types=2, shake=0.3)["triclinic"]


@pytest.fixture(scope="module")
def two_layers(model_folder):
    return export(Layers(2, True), model_folder / "ghosts-two.pt", reach=9.0)


@pytest.fixture(scope="module")
def three_layers(model_folder):
    return export(Layers(3, True), model_folder / "ghosts-three.pt", reach=13.5)


def ghost_cutoffs(output):
    return [float(line.split()[-1]) for line in output.splitlines() if "ghost atom cutoff =" in line]


def test_velocities_of_ghosts_are_those_of_the_atoms(model_folder, lammps, tmp_path):
    """LAMMPS adds the speed of the box to those of ghosts across a boundary that is deformed."""
    model = export(Inputs(), model_folder / "ghosts-inputs.pt", reach=4.0, types=TYPES)
    BOX.charges = np.linspace(-1, 1, len(BOX.types))
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    BOX.charges = None
    text = f"""units metal
atom_style charge
BEFORE
read_data data.lammps
pair_style metatomic {model}
pair_coeff * * O Si
velocity all create 300 4242 loop all
fix deform all deform 1 xy erate 50.0 remap v
fix nve all nve
timestep 0.0001
thermo_style custom step pe
{FORMAT}run 5
"""
    one = lammps(text.replace("BEFORE", "")).thermo()["PotEng"]
    for ranks, before in ((2, "processors 1 * 1"), (4, "")):
        found = lammps(text.replace("BEFORE", before), ranks).thermo()["PotEng"]
        np.testing.assert_allclose(found, one, rtol=1e-9)


def test_restart_files_keep_the_ghost_cutoff_of_the_user(two_layers, lammps, tmp_path):
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    lammps(
        f"""units metal
read_data data.lammps
pair_style metatomic {two_layers}
pair_coeff * * O Si
neighbor 0.5 bin
run 1
write_restart restart
""",
        2,
    )
    done = lammps("read_restart restart\npair_style zero 4.0\npair_coeff * *\nneighbor 0.5 bin\nrun 0\n", 2)
    assert ghost_cutoffs(done.output) == [4.5]


@pytest.mark.parametrize("count", [1, 2])
def test_ghost_cutoff_is_that_of_the_next_style(count, two_layers, three_layers, lammps, tmp_path):
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    styles = {
        1: f"pair_style metatomic {three_layers}\npair_coeff * * O Si",
        2: f"pair_style hybrid/overlay metatomic {two_layers} metatomic {three_layers}\n"
        "pair_coeff * * metatomic 1 O Si\npair_coeff * * metatomic 2 O Si",
    }
    done = lammps(
        f"""units metal
read_data data.lammps
neighbor 0.5 bin
{styles[count]}
run 0
run 0
pair_style lj/cut 4.0
pair_coeff * * 0.01 2.0
run 0
""",
        2,
    )
    assert ghost_cutoffs(done.output) == [15.0, 15.0, 4.5] or ghost_cutoffs(done.output) == [15.0, 4.5]


def test_runs_without_setup_keep_the_ghosts(two_layers, lammps, tmp_path):
    """Between runs the width is that of the user; the box changes, for which LAMMPS asks for it in each step."""
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"""units metal
read_data data.lammps
pair_style metatomic {two_layers}
pair_coeff * * O Si
velocity all create 600 77123 loop all
neighbor 0.5 bin
neigh_modify every 1 delay 0 check no
fix npt all npt temp 600 600 0.1 tri 0 0 1
timestep 0.001
thermo_style custom step pe press
{FORMAT}run 10
run 10 pre no
"""
    one, two = lammps(text).thermo(), lammps(text, 2).thermo()
    for name in ("PotEng", "Press"):
        np.testing.assert_allclose(two[name][-1], one[name][-1], rtol=1e-8)


def test_lists_by_type_are_refused_where_ghosts_need_pairs(two_layers, lammps, tmp_path):
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"units metal\nread_data data.lammps\npair_style metatomic {two_layers}\npair_coeff * * O Si\n"
    done = lammps(f"{text}neighbor 0.5 multi\nrun 0\n", 2, ok=False)
    assert "got `neighbor ... multi`" in done.error
    assert done.output.count("ERROR") == 1
