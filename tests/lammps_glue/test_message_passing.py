"""Models whose energy of an atom depends on more than its own pairs: any number of ranks, against ASE."""

import numpy as np
import pytest
from lammps_models import CountAtoms, Layers, NearMessages, Triangles, export
from lammps_tools import FCC, FORMAT, boxes, close, crystal

from metatomic_ase import MetatomicCalculator

SHAPES = boxes(FCC, 4.4, (3, 3, 3), n_types=2, shake=0.3)
RANKS = [1, 2, 3, 4, 8]


def evaluate(lammps, tmp_path, box, model, ranks, before="", after="", keywords=""):
    box.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"""units metal
boundary {box.boundary}
{before}
read_data data.lammps
{after}
pair_style metatomic {model} {keywords}
pair_coeff * * O Si
compute virial all pressure NULL virial
thermo_style custom step pe {" ".join(f"c_virial[{k}]" for k in range(1, 7))}
{FORMAT}
dump atoms all custom 1 atoms id x y z fx fy fz
dump_modify atoms sort id format float %22.16g
run 0
"""
    run = lammps(text, ranks)
    thermo = run.thermo()
    virial = np.array([thermo[f"c_virial[{k}]"][0] for k in range(1, 7)])
    return thermo["PotEng"][0], run.dump("atoms")[:, 4:7], virial


def from_ase(box, model):
    """Energy, forces, and the pressure that LAMMPS makes of the virial, from the ASE calculator."""
    from ase import Atoms
    from ase.stress import voigt_6_to_full_3x3_stress

    atoms = Atoms(np.array([8, 14])[box.types - 1], positions=box.positions, cell=box.cell, pbc=box.pbc)
    atoms.calc = MetatomicCalculator(str(model))
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    if not box.pbc.all():
        return energy, forces, None
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    # LAMMPS: bar, and its own value of 1 eV/A^3
    return (
        energy,
        forces,
        -1.6021765e6 * np.array([stress[i] for i in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]]),
    )


@pytest.fixture(scope="module")
def two_layers(model_folder):
    return {
        kind: export(Layers(2, full), model_folder / f"two-{kind}.pt", reach=9.0)
        for kind, full in (("full", True), ("half", False))
    }


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ("triclinic", "full"),
        ("orthogonal", "half"),
        ("slab", "full"),
        ("small", "full"),
        ("small", "half"),
    ],
)
def test_two_layers_are_the_same_on_all_ranks_and_in_ase(shape, kind, two_layers, lammps, tmp_path):
    box, model = SHAPES[shape], two_layers[kind]
    energy, forces, pressure = from_ase(box, model)
    for ranks in RANKS if shape == "triclinic" else [1, 2, 4]:
        found = evaluate(lammps, tmp_path, box, model, ranks)
        np.testing.assert_allclose(found[0], energy, rtol=1e-9)
        close(found[1], forces, 1e-9)
        if pressure is not None:
            close(found[2], pressure, 1e-7)


def test_two_layers_with_other_decompositions(two_layers, lammps, tmp_path):
    model = two_layers["full"]
    # tiles: LAMMPS wants a ghost shell that is thinner than the box, so a thin skin, and cuts them in `balance`
    tiles = "comm_style tiled\nneighbor 0.3 bin"
    for shape, before, after in (("triclinic", "processors 1 1 4", ""), ("orthogonal", tiles, "balance 1.0 rcb")):
        box = SHAPES[shape]
        energy, forces, _ = from_ase(box, model)
        found = evaluate(lammps, tmp_path, box, model, 4, before, after)
        np.testing.assert_allclose(found[0], energy, rtol=1e-9)
        close(found[1], forces, 1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_checks_find_nothing_wrong_with_ghosts(ranks, two_layers, lammps, tmp_path):
    """The checks compare each vector with positions, shifts and cell, and look for pairs that occur twice."""
    for shape, kind in (("triclinic", "full"), ("small", "half"), ("slab", "full")):
        energy, forces, _ = from_ase(SHAPES[shape], two_layers[kind])
        model = two_layers[kind]
        found = evaluate(lammps, tmp_path, SHAPES[shape], model, ranks, keywords="check_consistency on")
        np.testing.assert_allclose(found[0], energy, rtol=1e-9)
        close(found[1], forces, 1e-9)


def test_one_rank_gives_the_model_each_atom_once(model_folder, lammps, tmp_path):
    """Not its images, of which there are many in a small box."""
    model = export(CountAtoms(), model_folder / "count.pt")
    for shape in ("small", "triclinic"):
        n_atoms = len(SHAPES[shape].types)
        assert evaluate(lammps, tmp_path, SHAPES[shape], model, 1)[0] == n_atoms**2


def test_range_that_is_too_short_would_be_seen(model_folder, lammps, tmp_path):
    """The tests above are sharp: a four-layer model that claims the range of one layer differs between ranks."""
    model = export(Layers(4, True), model_folder / "lying.pt", reach=4.5)
    box = crystal(FCC, 4.4, (10, 2, 2), 5, 0.3, n_types=2)
    one = evaluate(lammps, tmp_path, box, model, 1, "neighbor 0.2 bin")[1]
    two = evaluate(lammps, tmp_path, box, model, 2, "neighbor 0.2 bin")[1]
    assert np.abs(one - two).max() > 1e-9


def test_triangles_get_the_pairs_between_ghosts(model_folder, lammps, tmp_path):
    model = export(Triangles(), model_folder / "triangles.pt", reach=4.0)
    energy, forces, _ = from_ase(SHAPES["triclinic"], model)
    for ranks in (1, 2, 4):
        found = evaluate(lammps, tmp_path, SHAPES["triclinic"], model, ranks)
        np.testing.assert_allclose(found[0], energy, rtol=1e-9)
        close(found[1], forces, 1e-9)


@pytest.mark.parametrize(("reach", "types"), [(1.7, [8, 14]), (4.5, list(range(1, 101)))])
def test_messages_within_the_cutoff_get_the_pairs_between_ghosts(reach, types, model_folder, lammps, tmp_path):
    """Also if only the closest pairs, or only one of many types, show that an atom needs them."""
    model = export(NearMessages(reach, 8), model_folder / f"near-{reach}.pt", types=types)
    box = crystal(FCC, 1.7 if reach < 2.0 else 4.4, (3, 3, 3), 5, 0.1, n_types=2)
    energy, forces, _ = from_ase(box, model)
    found = evaluate(lammps, tmp_path, box, model, 4)
    np.testing.assert_allclose(found[0], energy, rtol=1e-9)
    close(found[1], forces, 1e-9)


def test_hybrid_with_a_style_that_has_its_own_ghost_cutoffs(two_layers, lammps, tmp_path):
    """AIREBO tells LAMMPS to list neighbors of ghosts only as far as its own cutoffs."""
    box = crystal(FCC, 4.4, (3, 3, 3), 2, 0.3, (3.9, -2.6, 3.3), n_types=3)
    box.write(tmp_path / "data.lammps", [16.0, 28.0, 12.0])
    text = f"""units metal
read_data data.lammps
pair_style hybrid metatomic {two_layers["full"]} airebo 3.0 lj/cut 4.0
pair_coeff * * metatomic O Si NULL
pair_coeff * * airebo CH.airebo NULL NULL C
pair_coeff *2 3 lj/cut 0.01 3.0
thermo_style custom step pe pxx pxy
{FORMAT}
run 0
"""
    one, four = lammps(text).thermo(), lammps(text, 4).thermo()
    for name in ("PotEng", "Pxx", "Pxy"):
        np.testing.assert_allclose(four[name], one[name], rtol=1e-9, err_msg=name)


def test_message_passing_dynamics_do_not_depend_on_ranks(two_layers, lammps, tmp_path):
    box = SHAPES["triclinic"]
    box.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"""units metal
read_data data.lammps
pair_style metatomic {two_layers["full"]}
pair_coeff * * O Si
velocity all create 600 77123 loop all
neighbor 0.5 bin
fix npt all npt temp 600 600 0.1 tri 0 0 1
timestep 0.001
thermo_style custom step pe etotal press lx xy
{FORMAT}
run 100
"""
    one, two = lammps(text).thermo(), lammps(text, 2).thermo()
    for name in ("PotEng", "TotEng", "Press", "Lx", "Xy"):
        np.testing.assert_allclose(two[name][-1], one[name][-1], rtol=1e-7)
    assert abs(one["Lx"][-1] - one["Lx"][0]) > 1e-3
