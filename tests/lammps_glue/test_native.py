"""Our style against LAMMPS' own styles in the same process: energies, forces, pressure, per-atom values, MD."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command_line import succeed
from lammps_tools import ATOM_COLUMNS, DIAMOND, FCC, FORMAT, POTENTIALS, PRESSURES, boxes, close, crystal

from metatomic_core.potentials import d3_dispersion, embedded_atom, lennard_jones, stillinger_weber, zbl

EPSILON, SIGMA, CUTOFF = 0.0104, 3.4, 8.0


@dataclasses.dataclass
class Case:
    """A potential in both forms."""

    make: object
    native: str
    elements: str
    masses: list
    boxes: dict
    # whether the native style shares energy and virial out among atoms as we do
    same_energies: bool
    same_virials: bool
    timestep: float = 0.002
    temperature: float = 300.0
    # relative, of energies and of all else
    energies: float = 1e-10
    tolerance: float = 1e-8


CASES = {
    "lj/cut": Case(
        lambda: lennard_jones("Ar", SIGMA, EPSILON, CUTOFF),
        f"pair_style lj/cut {CUTOFF}\npair_modify shift yes\npair_coeff 1 1 {EPSILON} {SIGMA}",
        "Ar",
        [39.948],
        boxes(FCC, 5.3, (3, 3, 3)),
        same_energies=True,
        same_virials=True,
        temperature=40.0,
    ),
    "sw": Case(
        lambda: stillinger_weber(POTENTIALS / "Si.sw"),
        "pair_style sw\npair_coeff * * Si.sw Si",
        "Si",
        [28.0855],
        boxes(DIAMOND, 5.43, (2, 2, 3)),
        same_energies=False,
        same_virials=False,
    ),
    "sw with thirds": Case(
        lambda: stillinger_weber(POTENTIALS / "Si.sw", energy_sharing="thirds"),
        "pair_style sw\npair_coeff * * Si.sw Si",
        "Si",
        [28.0855],
        boxes(DIAMOND, 5.43, (2, 2, 3)),
        same_energies=True,
        # the native style gives each of three atoms a third, ours the two atoms of each pair a half
        same_virials=False,
    ),
    "eam/alloy": Case(
        lambda: embedded_atom(POTENTIALS / "AlCu.eam.alloy"),
        "pair_style eam/alloy\npair_coeff * * AlCu.eam.alloy Al Cu",
        "Al Cu",
        [26.982, 63.546],
        boxes(FCC, 3.8, (4, 4, 4), n_types=2),
        same_energies=True,
        same_virials=True,
    ),
    # the constants of LAMMPS have eight digits
    "zbl": Case(
        lambda: zbl(["O", "Si"], 1.5, 2.8),
        "pair_style zbl 1.5 2.8\npair_coeff 1 1 14 14\npair_coeff 2 2 8 8",
        "Si O",
        [28.0855, 15.999],
        boxes(FCC, 3.7, (4, 4, 4), n_types=2),
        same_energies=True,
        same_virials=True,
        timestep=0.0003,
        energies=1e-7,
        tolerance=1e-7,
    ),
    "dispersion/d3": Case(
        lambda: d3_dispersion(["Na", "Cl"], "pbe", 7.0, 5.0, width=0.0),
        "pair_style dispersion/d3 bj pbe 7.0 5.0\npair_coeff * * Cl Na",
        "Cl Na",
        [35.45, 22.99],
        boxes(FCC, 3.9, (3, 3, 3), n_types=2),
        same_energies=True,
        same_virials=False,
        # those of its units have six
        energies=2e-6,
        tolerance=5e-6,
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, model_folder):
    case = CASES[request.param]
    path = model_folder / f"{request.param.replace('/', '-').replace(' ', '-')}.pt"
    case.make().save(path)
    return dataclasses.replace(case, make=path)


def one_style(case, box, pair, name):
    return f"""clear
units metal
boundary {box.boundary}
read_data data.lammps
{pair}
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
compute peratom all pe/atom
compute stress all stress/atom NULL virial
compute virial all pressure NULL virial
thermo_style custom step pe {" ".join(f"c_virial[{k}]" for k in range(1, 7))} {" ".join(PRESSURES)}
{FORMAT}
timestep {case.timestep}
velocity all create {case.temperature} 4928459 loop all
fix nve all nve
dump start all custom 1000000 start.{name} {ATOM_COLUMNS}
dump_modify start sort id format float %22.16g
run 0
undump start
dump end all custom 200 end.{name} id xu yu zu
dump_modify end sort id format float %22.16g first no
run 200
"""


@pytest.mark.parametrize("shape", ["orthogonal", "triclinic", "slab", "small"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_style_agrees_with_native(case, shape, ranks, lammps, tmp_path):
    box = case.boxes[shape]
    box.write(tmp_path / "data.lammps", case.masses)
    ours = f"pair_style metatomic {case.make}\npair_coeff * * {case.elements}"
    run = lammps(one_style(case, box, case.native, "native") + one_style(case, box, ours, "ours"), ranks)

    native, mine = run.thermo(0), run.thermo(2)
    np.testing.assert_allclose(mine["PotEng"], native["PotEng"], rtol=case.energies)
    columns = [f"c_virial[{k}]" for k in range(1, 7)]
    close([mine[c] for c in columns], [native[c] for c in columns], case.tolerance)
    native_atoms, atoms = run.dump("start.native"), run.dump("start.ours")
    close(atoms[:, 4:7], native_atoms[:, 4:7], case.tolerance)
    assert np.abs(native_atoms[:, 4:7]).max() > 0.001
    close(atoms[:, 7].sum(), native_atoms[:, 7].sum(), case.tolerance)
    close(atoms[:, 8:].sum(0), native_atoms[:, 8:].sum(0), case.tolerance)
    if case.same_energies:
        close(atoms[:, 7], native_atoms[:, 7], case.tolerance)
    if case.same_virials:
        close(atoms[:, 8:], native_atoms[:, 8:], case.tolerance)
    moved = np.abs(run.dump("end.native")[:, 1:] - native_atoms[:, 1:4]).max()
    assert moved > 0.05
    np.testing.assert_allclose(
        run.dump("end.ours")[:, 1:], run.dump("end.native")[:, 1:], rtol=0, atol=100 * case.tolerance
    )


def test_argon_example_conserves_energy(lammps, tmp_path):
    """What a new user runs first: the model with its defaults, at constant energy."""
    succeed("export", "lj", "-o", tmp_path / "argon.pt")
    example = (Path(__file__).parents[2] / "examples" / "in.argon").read_text()
    energies = lammps(example.replace("thermo 100", f"thermo 100\n{FORMAT}")).thermo()["TotEng"]
    assert len(energies) == 11
    # eV, of 500 atoms; 0.27 with a potential that jumps at the cutoff
    assert np.ptp(energies) < 1e-3


@pytest.mark.parametrize("ranks", [1, 2])
def test_stress_of_atoms_of_a_perfect_crystal_in_single_precision(ranks, lammps, model_folder, tmp_path):
    """Forces cancel there and their rounding does not, which once was taken for a model that uses positions itself."""
    case = CASES["lj/cut"]
    model = model_folder / f"argon-float32-{ranks}.pt"
    lennard_jones("Ar", SIGMA, EPSILON, CUTOFF, dtype="float32").save(model)
    crystal(FCC, 5.3, (3, 3, 3), 1, shake=0.0).write(tmp_path / "data.lammps", case.masses)
    texts = {"native": case.native, "ours": f"pair_style metatomic {model}\npair_coeff * * Ar"}
    run = lammps("".join(one_style(case, case.boxes["orthogonal"], pair, name) for name, pair in texts.items()), ranks)
    native, ours = run.dump("start.native")[:, 8:], run.dump("start.ours")[:, 8:]
    assert np.abs(native).max() > 1.0
    close(ours, native, 1e-4)
