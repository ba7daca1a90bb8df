"""What comes out beside energy and forces: outputs of the model, per-atom values, direct forces, uncertainties."""

import numpy as np
import pytest
from lammps_models import MANY, TYPES, Layers, ManyOutputs, export
from lammps_tools import FCC, FORMAT, boxes, close

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput

BOX = boxes(FCC, 4.4, (3, 3, 3), n_types=2, shake=0.3)["triclinic"]


@pytest.fixture(scope="module")
def many(model_folder):
    return export(ManyOutputs(), model_folder / "many.pt", MANY)


def text(model, keywords="", commands="", run="run 0"):
    return f"""units metal
read_data data.lammps
pair_style metatomic {model} {keywords}
pair_coeff * * O Si
{commands}
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
{FORMAT}
dump forces all custom 1 forces id fx fy fz
dump_modify forces sort id format float %22.16g
{run}
"""


@pytest.fixture
def run(lammps, tmp_path):
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])

    def run_it(model, keywords="", commands="", ranks=1, run="run 0", ok=True):
        return lammps(text(model, keywords, commands, run), ranks, ok=ok)

    return run_it


def calculator(model, **options):
    from ase import Atoms

    atoms = Atoms(np.array(TYPES)[BOX.types - 1], positions=BOX.positions, cell=BOX.cell, pbc=True)
    atoms.calc = MetatomicCalculator(str(model), **options)
    return atoms


@pytest.mark.parametrize("ranks", [1, 2])
def test_fix_pair_gives_outputs_for_each_atom(ranks, many, run):
    commands = """
fix out all pair 1 metatomic charges 0 features 1 uncertainty 0 non_conservative_force 1
dump out all custom 1 out id f_out[*]
dump_modify out sort id format float %22.16g
"""
    found = run(many, "uncertainty_threshold off", commands, ranks).dump("out")
    energies = calculator(many).get_potential_energies()
    density = energies / 2.0
    forces = calculator(many, non_conservative="forces").get_forces()
    expected = np.column_stack([density - 1.0, density, density**2, 0.1 * density, forces])
    assert found.shape == (len(BOX.types), 8)
    close(found[:, 1:], expected, 1e-9)


def test_fix_pair_follows_the_atoms_through_a_run(many, run):
    """Computed every second step, while atoms change ranks and get sorted."""
    commands = """
velocity all create 3000 9132 loop all
fix out all pair 2 metatomic uncertainty 1
fix nve all nve
compute energy all pe/atom
dump out all custom 4 out id f_out c_energy
dump_modify out sort id format float %22.16g
atom_modify sort 2 2.0
"""
    found = run(many, "uncertainty_threshold off", commands, 2, run="run 40").dump("out")
    close(found[:, 1], 0.05 * found[:, 2], 1e-9)
    assert found[:, 1].std() > 1e-4


@pytest.mark.parametrize("ranks", [1, 2])
def test_compute_pair_gives_sums_over_atoms(ranks, many, run):
    commands = """
compute out all pair metatomic
thermo_style custom step pe c_out[1] c_out[2] c_out[3] c_out[4]
thermo_modify format float %22.16g
variable e equal c_out
variable a equal c_out[1]
variable b equal c_out[2]
variable c equal c_out[3]
variable q equal c_out[4]
"""
    after = 'run 0\nprint "SUMS $(c_out:%20.15g) ${a} ${b} ${c} ${q}"'
    output = run(many, "output ensemble output charge", commands, ranks, run=after).output
    words = output[output.index("\nSUMS") :].splitlines()[1].split()[1:]
    energies = calculator(many).get_potential_energies()
    total = energies.sum()
    expected = [total, 0.9 * total, total, 1.2 * total, (energies / 2.0 - 1.0).sum()]
    np.testing.assert_allclose(np.array(words, dtype=float), expected, rtol=1e-8)


@pytest.mark.parametrize("keywords", ["", "uncertainty_threshold off"])
def test_compute_pair_gives_what_the_model_gives_for_the_system(keywords, many, run):
    """Not the sum over atoms, whatever else asks for the values of atoms."""
    commands = "fix out all pair 1 metatomic uncertainty 0\ncompute out all pair metatomic"
    table = f"thermo_style custom step pe c_out[1] c_out[2]\n{FORMAT}run 0"
    thermo = run(many, f"output energy output uncertainty {keywords}", commands, run=table).thermo()
    energies = calculator(many).get_potential_energies()
    expected = [energies.sum(), energies.sum(), 0.05 * np.sqrt(np.square(energies).sum())]
    found = [thermo[name][0] for name in ("PotEng", "c_out[1]", "c_out[2]")]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_two_fixes_ask_for_the_same_output_at_different_steps(many, run):
    commands = """
velocity all create 3000 9132 loop all
fix every all pair 1 metatomic charge 0
fix seldom all pair 10 metatomic charge 1
fix nve all nve
compute energy all pe/atom
dump out all custom 7 out id f_every c_energy
dump_modify out sort id format float %22.16g
"""
    found = run(many, "uncertainty_threshold off", commands, run="run 7").dump("out")
    close(found[:, 1], found[:, 2] / 2.0 - 1.0, 1e-9)


def test_outputs_that_are_no_sums_are_refused_on_several_ranks(many, run):
    refused = run(many, "output uncertainty", ranks=2, ok=False)
    assert refused.status != 0
    assert "use one rank or `fix pair`" in refused.error


@pytest.mark.parametrize("ranks", [1, 2])
def test_variant_and_scale(ranks, many, run):
    atoms = calculator(many)
    plain = run(many, ranks=ranks)
    scaled = run(many, "scale -2.5 variant shifted", ranks=ranks)
    expected = -2.5 * (atoms.get_potential_energy() + len(BOX.types))
    np.testing.assert_allclose(scaled.thermo()["PotEng"][0], expected, rtol=1e-9)
    close(scaled.dump("forces"), np.column_stack([plain.dump("forces")[:, 0], -2.5 * atoms.get_forces()]), 1e-9)


def test_variant_of_one_output(many, run):
    energy = calculator(many).get_potential_energy()
    for keywords, shift in (("variant/energy shifted", 1.0), ("variant shifted variant/energy off", 0.0)):
        expected = energy + shift * len(BOX.types)
        np.testing.assert_allclose(run(many, keywords).thermo()["PotEng"][0], expected, rtol=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_direct_forces_are_used(ranks, many, run):
    forces = calculator(many).get_forces()
    found = run(many, "non_conservative forces uncertainty_threshold off", ranks=ranks).dump("forces")
    close(found[:, 1:], 0.9 * forces, 1e-9)


def test_direct_stress_is_used(many, run):
    conservative = run(many).thermo()
    direct = run(many, "non_conservative stress").thermo()
    both = run(many, "non_conservative on").thermo()
    for name in ("Pxx", "Pxy", "Pyz"):
        np.testing.assert_allclose(direct[name], 0.9 * conservative[name], rtol=1e-9)
        np.testing.assert_allclose(both[name], direct[name], rtol=1e-12)


def test_uncertainties_without_a_default_variant_stop_only_who_asks_for_them(model_folder, run):
    described = ModelOutput(unit="eV", sample_kind="atom", description="one of two")
    outputs = {"energy": MANY["energy"], "energy_uncertainty/a": described, "energy_uncertainty/b": described}
    model = export(Layers(1, True), model_folder / "variants.pt", outputs)
    run(model)
    stopped = run(model, "uncertainty_threshold 0.2", ok=False)
    assert "expected a variant for 'energy_uncertainty', which has no default, got none" in stopped.output
    run(model, "uncertainty_threshold 1e9 variant/uncertainty a")


def test_uncertain_atoms_are_reported(many, run):
    energies = calculator(many).get_potential_energies()
    worst = int(np.argmax(energies))
    for ranks in (1, 2):
        output = run(many, f"uncertainty_threshold {0.04 * energies.max():.6f}", ranks=ranks).output
        assert f"got {0.05 * energies.max():.4g} for atom {worst + 1} at step 0" in " ".join(output.split())
        assert "uncertainties" not in run(many, "uncertainty_threshold off", ranks=ranks).output


@pytest.mark.parametrize("ranks", [1, 2])
def test_virials_of_atoms_add_up(ranks, model_folder, run):
    model = export(Layers(2, False), model_folder / f"virials-{ranks}.pt", reach=9.0)
    commands = """
compute stress all stress/atom NULL virial
compute centroid all centroid/stress/atom NULL virial
compute sums all reduce sum c_stress[*] c_centroid[*]
variable volume equal vol
thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_sums[*] vol
"""
    output = run(
        model,
        commands=commands,
        ranks=ranks,
        run=f"""compute virial all pressure NULL virial
thermo_style custom step vol c_virial[*] c_sums[*]
{FORMAT}
run 0""",
    ).thermo()
    virial = np.array([output[f"c_virial[{k}]"][0] for k in range(1, 7)]) * output["Volume"][0]
    sums = np.array([output[f"c_sums[{k}]"][0] for k in range(1, 16)])
    close(-sums[:6], virial, 1e-9)
    # centroid: xx yy zz xy xz yz yx zx zy
    close(-sums[6:12], virial, 1e-8)
    close(-sums[12:], virial[3:], 1e-8)
