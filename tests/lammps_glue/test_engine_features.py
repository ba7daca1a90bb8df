"""The style with what else LAMMPS does: minimizers, barostats, restarts, hybrid styles, rerun, RESPA, lost atoms."""

import dataclasses
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from lammps_models import MANY, ManyOutputs, export
from lammps_tools import BENCH, FCC, FORMAT, POTENTIALS, boxes, close, run_in_turn

from metatomic_core.potentials import embedded_atom, lennard_jones
from metatomic_core.potentials.lennard_jones import ARGON_EPSILON

EPSILON, SIGMA = 0.0104, 3.4
KCAL_PER_MOL = 23.060547830619  # in an eV
NATIVE = f"pair_style lj/cut 7.0\npair_coeff * * {EPSILON} {SIGMA}"
BOX = boxes(FCC, 5.3, (3, 3, 3))["triclinic"]


@pytest.fixture(scope="module")
def model(model_folder):
    path = model_folder / "features.pt"
    lennard_jones(["Ar", "Kr"], SIGMA, EPSILON, 7.0, shift="none").save(path)
    return path


@pytest.fixture
def both(model, lammps, tmp_path):
    """A function that runs commands with the native and with our style, and gives both tables."""
    BOX.write(tmp_path / "data.lammps", [39.948])
    ours = f"pair_style metatomic {model}\npair_coeff * * Ar"

    def run(commands, ranks=1, before="", pairs=(NATIVE, ours)):
        texts = [
            f"""units metal
{before}
read_data data.lammps
{pair}
neighbor 1.0 bin
thermo_style custom step pe etotal pxx pyy pzz pxy lx xy
{FORMAT}
{commands.replace("PAIR", pair)}
"""
            for pair in pairs
        ]
        return run_in_turn(lammps, texts, ranks)

    return run


def compare(runs, tolerance, columns=("PotEng", "Pxx", "Pxy", "Lx", "Xy")):
    native, ours = (run.thermo() for run in runs)
    for name in columns:
        np.testing.assert_allclose(ours[name][-1], native[name][-1], rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("ranks", [1, 2])
def test_minimize_ends_in_the_same_place(ranks, both):
    compare(both("minimize 0 1e-6 200 1000", ranks), 1e-6, ("PotEng",))


def test_box_relax_ends_in_the_same_place(both):
    compare(both("fix relax all box/relax tri 500.0 vmax 0.001\nminimize 1e-10 1e-6 30 200", 2), 1e-6)


def test_npt_of_all_cell_components(both):
    commands = "velocity all create 60 4242 loop all\nfix npt all npt temp 60 60 0.2 tri 100 100 1.0\nrun 100"
    compare(both(commands, 2), 1e-6)


def test_restart_goes_on_as_if_nothing_happened(both, tmp_path):
    commands = """velocity all create 60 4242 loop all
fix nve all nve
run 40
write_restart half.restart
run 40
clear
read_restart half.restart
PAIR
neighbor 1.0 bin
fix nve all nve
thermo_style custom step pe etotal pxx pyy pzz pxy lx xy
thermo_modify format float %22.16g
run 40
"""
    runs = both(commands, 2)
    compare(runs, 1e-7)
    ours = runs[1]
    np.testing.assert_allclose(ours.thermo(2)["PotEng"][-1], ours.thermo(1)["PotEng"][-1], rtol=1e-9)


def test_restart_without_the_style_is_refused(both, lammps, model):
    both("write_restart plain.restart")
    run = lammps("read_restart plain.restart\nrun 0", ok=False)
    assert "ERROR" in run.output
    assert run.status != 0


def test_rerun_of_a_trajectory(both):
    commands = """velocity all create 60 4242 loop all
fix nve all nve
dump frames all custom 10 frames.dump id x y z
dump_modify frames format float %22.16g
run 40
undump frames
unfix nve
rerun frames.dump dump x y z
"""
    runs = both(commands, 2)
    for name in ("PotEng", "Pxx", "Pxy"):
        np.testing.assert_allclose(runs[1].thermo(1)[name], runs[0].thermo(1)[name], rtol=1e-7)
    np.testing.assert_allclose(runs[1].thermo(1)["PotEng"][-1], runs[1].thermo(0)["PotEng"][-1], rtol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        "neigh_modify delay 10 every 5 check no",
        "neigh_modify one 400 page 40000 binsize 3.0",
        "neigh_modify once yes",
        "neighbor 0.3 nsq",
        "comm_modify cutoff 12.0",
        "comm_modify mode single vel yes",
        "run_style verlet",
        "processors 1 2 1",
    ],
)
def test_settings_change_nothing(settings, both):
    commands = "velocity all create 40 4242 loop all\nfix nve all nve\nrun 30"
    before = settings if settings.startswith("processors") else ""
    compare(both((settings if not before else "") + "\n" + commands, 2, before), 1e-9)


def test_run_without_setup(both):
    compare(both("velocity all create 40 4242 loop all\nfix nve all nve\nrun 20\nrun 20 pre no post no", 2), 1e-9)


def two_types(tmp_path, name="data.lammps"):
    box = dataclasses.replace(BOX, types=np.arange(len(BOX.types)) % 2 + 1)
    box.write(tmp_path / name, [39.948, 83.798])


def hybrids(model):
    """Pairs of inputs that must agree: native alone, and together with ours."""
    native = f"pair_style lj/cut 7.0\npair_coeff * * {EPSILON} {SIGMA}"
    mixed = f"pair_coeff 2 2 lj/cut {EPSILON} {SIGMA}\npair_coeff 1 2 lj/cut {EPSILON} {SIGMA}"
    return {
        "hybrid": (
            native,
            f"pair_style hybrid metatomic {model} lj/cut 7.0\npair_coeff * * metatomic Ar NULL\n{mixed}",
        ),
        "hybrid/overlay": (
            native.replace(f"{EPSILON}", f"{2 * EPSILON}"),
            (
                f"pair_style hybrid/overlay metatomic {model} lj/cut 7.0\npair_coeff * * metatomic Ar 36\n"
                f"pair_coeff * * lj/cut {EPSILON} {SIGMA}"
            ),
        ),
        "hybrid/scaled": (
            native,
            (
                f"pair_style hybrid/scaled 0.25 metatomic {model} 0.75 lj/cut 7.0\npair_coeff * * metatomic Ar Kr\n"
                f"pair_coeff * * lj/cut {EPSILON} {SIGMA}"
            ),
        ),
        "twice": (
            native,
            (
                f"pair_style hybrid/overlay metatomic {model} scale 0.3 metatomic {model} scale 0.7\n"
                "pair_coeff * * metatomic 1 Ar Kr\npair_coeff * * metatomic 2 Ar Kr"
            ),
        ),
    }


@pytest.mark.parametrize("name", ["hybrid", "hybrid/overlay", "hybrid/scaled", "twice"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_hybrid_styles(name, ranks, lammps, model, tmp_path):
    pairs = hybrids(model)[name]
    two_types(tmp_path, "two.lammps")
    text = """units metal
read_data two.lammps
PAIR
neighbor 1.0 bin
velocity all create 40 4242 loop all
fix nve all nve
thermo_style custom step pe etotal pxx pyy pzz pxy lx xy
thermo_modify format float %22.16g
run 30
"""
    compare(run_in_turn(lammps, [text.replace("PAIR", pair) for pair in pairs], ranks), 1e-9)


def test_respa_with_direct_forces_inside(model_folder, lammps, tmp_path):
    """Direct forces often, the difference to conservative ones seldom: the energy is conserved."""
    model = export(ManyOutputs(0.9), model_folder / "respa.pt", MANY)
    box = boxes(FCC, 4.4, (3, 3, 3), n_types=2, shake=0.1)["orthogonal"]
    box.write(tmp_path / "data.lammps", [16.0, 28.0])
    options = "uncertainty_threshold off"
    run = lammps(
        f"""units metal
read_data data.lammps
pair_style hybrid/overlay metatomic {model} non_conservative forces {options} &
  metatomic {model} non_conservative forces scale -1 {options} metatomic {model} {options}
pair_coeff * * metatomic 1 O Si
pair_coeff * * metatomic 2 O Si
pair_coeff * * metatomic 3 O Si
run_style respa 2 4 hybrid 1 2 2
velocity all create 300 4242 loop all
fix nve all nve
timestep 0.002
thermo_style custom step pe etotal ke
{FORMAT}
thermo 10
run 100
""",
        2,
    )
    thermo = run.thermo()
    assert np.ptp(thermo["TotEng"]) < 0.02 * np.ptp(thermo["KinEng"])


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_atoms_are_lost_and_ranks_are_empty(ranks, both):
    """Atoms leave an open box and others gather in one corner; some ranks have none."""
    commands = """region keep block INF 4 INF 4 INF 4
group keep region keep
group rest subtract all keep
delete_atoms group rest
change_box all boundary f f f
velocity all set 8.0 7.0 6.0
thermo_modify lost ignore
fix nve all nve
run 300
"""
    runs = both(commands, ranks)
    np.testing.assert_allclose(runs[1].thermo()["PotEng"], runs[0].thermo()["PotEng"], atol=1e-9)


def test_isolated_atoms_and_an_empty_box(model, lammps):
    run = lammps(
        f"""units metal
region box block 0 100 0 100 0 100
create_box 1 box
pair_style metatomic {model}
pair_coeff * * Ar
thermo_style custom step pe atoms pxx
{FORMAT}
run 0
create_atoms 1 single 50 50 50
run 0
create_atoms 1 single 54 50 50
run 0
""",
        2,
    )
    energies = [run.thermo(k)["PotEng"][0] for k in range(3)]
    s6 = (SIGMA / 4.0) ** 6
    np.testing.assert_allclose(energies, [0.0, 0.0, 4 * EPSILON * (s6 * s6 - s6)], rtol=1e-10)


def test_clear_second_model_and_unload(model, lammps, model_folder, tmp_path):
    other = model_folder / "second.pt"
    lennard_jones(["Ar"], SIGMA, 2 * EPSILON, 7.0, shift="none").save(other)
    BOX.write(tmp_path / "data.lammps", [39.948])
    setup = f"units metal\nread_data data.lammps\n{FORMAT}"
    run = lammps(f"""{setup}
pair_style metatomic {model}
pair_coeff * * Ar
run 1
pair_style metatomic {other}
pair_coeff * * Ar
run 1
clear
{setup}
pair_style metatomic {model}
pair_coeff * * Ar
run 1
plugin unload pair metatomic
plugin list
clear
""")
    first, second, third = (run.thermo(k)["E_pair"][0] for k in range(3))
    assert second == pytest.approx(2 * first, rel=1e-12)
    assert third == first


# example: native pair lines, and the tolerances of energies and pressures after 100 steps
EXAMPLES = {
    # the file of LAMMPS has a mass of its own; ours takes the one of the element
    "in.eam": ("pair_style eam\npair_coeff 1 1 Cu_u3.eam\nmass 1 63.546", 1e-8),
    "in.lj-argon": (
        f"pair_style lj/cut 8.5125\npair_modify shift yes\npair_coeff 1 1 {ARGON_EPSILON * KCAL_PER_MOL!r} 3.405",
        1e-8,
    ),
}


def without_pair_lines(text):
    """Give the words of an input, line by line, without comments."""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return [line for line in lines if line and not line[0].startswith("pair_")]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", EXAMPLES)
def test_benchmarks_of_lammps_run_with_only_the_pair_lines_changed(name, ranks, lammps, tmp_path):
    """The examples are LAMMPS' bench/in.eam and bench/in.lj (in real units); here with 5 cells a side, not 20."""
    embedded_atom(POTENTIALS / "Cu_u3.eam").save(tmp_path / "copper.pt")
    lennard_jones().save(tmp_path / "argon.pt")
    example = (Path(__file__).parents[2] / "examples" / name).read_text()
    if name == "in.eam":
        assert without_pair_lines(example) == without_pair_lines((BENCH / name).read_text())
    native, tolerance = EXAMPLES[name]
    start, stop = example.index("pair_style"), example.index("\n", example.index("pair_coeff"))
    texts = [example[:start] + native + example[stop:], example]
    table = f"thermo 50\n{FORMAT}run 100"
    texts = [text.replace("run             100", table) for text in texts]
    small = [word for axis in "xyz" for word in ("-var", axis, "0.25")]
    tables = [run.thermo() for run in run_in_turn(partial(lammps, options=small), texts, ranks)]
    for column in ("E_pair", "Press", "TotEng"):
        close(tables[1][column], tables[0][column], tolerance)


@pytest.mark.parametrize("ranks", [1, 2])
def test_strain_by_finite_differences_of_atoms(ranks, both):
    """LAMMPS strains atoms and ghosts, not the box, for second derivatives and for virials."""
    commands = f"""compute virial all pressure NULL virial
compute born all born/matrix numdiff 1e-4 virial
fix strain all numdiff/virial 1 1e-4
thermo_style custom step pe c_born[1] c_born[7] c_born[16] c_born[21] f_strain[1] f_strain[6]
{FORMAT}
run 0
"""
    native, ours = (run.thermo() for run in both(commands, ranks, "atom_modify map yes"))
    for name in native:
        np.testing.assert_allclose(ours[name], native[name], rtol=1e-6, err_msg=name)


FLAT = """units metal
dimension 2
boundary p p p
lattice {lattice}
region box {region}
create_box 1 box
create_atoms 1 box
mass 1 39.948
displace_atoms all random 0.2 0.2 0 8723
{pair}
neighbor 1.0 bin
velocity all create 30 4242 loop geom
fix nve all nve
fix flat all enforce2d
thermo_style custom step pe etotal pxx pyy pxy
{format}
run 30
"""


@pytest.mark.parametrize(
    ("lattice", "region"),
    [("sq2 5.3", "block 0 6 0 5 -0.1 0.1"), ("sq2 5.3 origin 0.1 0.2 0", "prism 0 6 0 5 -0.1 0.1 1.0 0 0")],
)
def test_two_dimensions(lattice, region, model, lammps):
    ours = f"pair_style metatomic {model}\npair_coeff * * Ar"
    texts = [FLAT.format(lattice=lattice, region=region, pair=pair, format=FORMAT) for pair in (NATIVE, ours)]
    compare(run_in_turn(lammps, texts), 1e-8, ("PotEng", "TotEng", "Pxx", "Pyy", "Pxy"))


def test_types_that_change_between_lists(model_folder, lammps, tmp_path):
    """Monte Carlo of types at constant composition difference, in steps without a new neighbor list."""
    model = model_folder / "mixture.pt"
    sigma, epsilon = {"Ar": 2.5, "Kr": 2.6}, {"Ar": 0.01, "Kr": 0.03}
    lennard_jones(["Ar", "Kr"], sigma, epsilon, 3.9, shift="none", mixing="geometric").save(model)
    boxes(FCC, 4.0, (4, 4, 4), n_types=2)["orthogonal"].write(tmp_path / "data.lammps", [39.948, 83.798])
    pairs = (
        "pair_style lj/cut 3.9\npair_coeff 1 1 0.01 2.5\npair_coeff 2 2 0.03 2.6",
        f"pair_style metatomic {model}\npair_coeff * * Ar Kr",
    )
    texts = [
        f"""units metal
read_data data.lammps
{pair}
neighbor 1.0 bin
neigh_modify every 20 delay 20 check no
velocity all create 60 4242 loop all
fix nve all nve
fix swap all sgcmc 3 0.05 300 0.02 randseed 4321
thermo_style custom step pe f_swap[1] f_swap[2]
{FORMAT}
run 12
"""
        for pair in pairs
    ]
    native, ours = (run.thermo() for run in run_in_turn(lammps, texts))
    assert native["f_swap[1]"][-1] > 0
    for name in native:
        np.testing.assert_allclose(ours[name], native[name], rtol=1e-7, err_msg=name)


def test_long_run_keeps_memory_and_energy(model, lammps, tmp_path):
    """Resident memory is the same after 300 and after 1500 steps."""
    BOX.write(tmp_path / "data.lammps", [39.948])
    run = lammps(f"""units metal
read_data data.lammps
pair_style metatomic {model}
pair_coeff * * Ar
velocity all create 30 4242 loop all
neighbor 1.0 bin
fix nve all nve
timestep 0.004
thermo_style custom step etotal ke
{FORMAT}
thermo 100
run 300
info memory
run 1200
info memory
""")
    before, after = (float(size) for size in re.findall(r"Maximum resident set size:\s*(\S+) Mbyte", run.output))
    assert after - before < 3.0
    thermo = run.thermo()
    # the potential is cut off without a shift: its jumps are all that changes the energy
    assert np.ptp(thermo["TotEng"]) < 0.05 * thermo["KinEng"].mean()
