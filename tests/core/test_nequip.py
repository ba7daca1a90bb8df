"""Packages that nequip compiled, with programs in Python for their machine code; tests/nequip has real ones."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from command_line import fail, succeed
from nequip_cases import BATCHES, LAMMPS, SINGLE, TEXTS, Program, write_package
from pair_cases import all_pairs

from metatomic_core import ModelEvaluationOptions, ModelOutput, load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.foreign import nequip_files, nequip_graphs
from metatomic_core.kernels import machine
from metatomic_core.loading import load_compiled, read_model_header, reader_of

KINDS = pytest.mark.parametrize("texts", [SINGLE, LAMMPS, BATCHES], ids=["ase", "pair_nequip", "batch"])
CELL = np.array([[5.1, 0, 0], [1.2, 4.9, 0], [-0.7, 0.9, 5.3]])
CUTOFF = float(TEXTS["r_max"])


@pytest.fixture(autouse=True)
def any_machine(monkeypatch):
    """The machine is the one that the packages of these tests are for."""
    flags = frozenset(machine.MARCHES["x86-64-v3"].flags)
    for module in (machine, nequip_files):
        monkeypatch.setattr(module, "cpu_flags", lambda: flags)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Write a package, with a program in place of its machine code."""
    programs = []

    def load(file, changed):
        programs.append(Program(file, changed))
        return programs[-1]

    def make(changed="", **texts):
        monkeypatch.setattr(nequip_graphs, "_loaded", lambda file: load(file, changed))
        return write_package(tmp_path / "gold.nequip.pt2", {**TEXTS, **texts})

    make.programs = programs
    return make


def cluster(n_atoms, seed=0, lengths=(0, 0, 0), pbc=(False, False, False)):
    """Give atoms on a lattice that is shaken, of both species without order, some of them outside the cell."""
    rng = np.random.default_rng(seed)
    places = np.array(list(np.ndindex(3, 3, 3)))[:n_atoms] * 2.4 + rng.uniform(-0.2, 0.2, (n_atoms, 3))
    types = rng.choice([29, 79], n_atoms)
    return Structure(types, places, np.diag(lengths).astype(float), np.array(pbc))


def crystal(seed=3):
    fractional = np.array([[0.1, 0.1, 0.1], [0.6, 0.55, 1.1], [-0.4, 1.1, 0.6], [1.1, -0.4, -0.45]])
    rng = np.random.default_rng(seed)
    places = (fractional + rng.uniform(-0.03, 0.03, (4, 3))) @ CELL
    return Structure(np.array([79, 29, 29, 79]), places, CELL, np.ones(3, dtype=bool))


def expected(structure):
    """Give energies, forces and virial of the potential of `Program`, from pairs found by trying all."""
    pairs = np.array(
        sorted(all_pairs(structure.positions, structure.cell * structure.pbc[:, None], structure.pbc, CUTOFF))
    )
    pairs = torch.tensor(pairs.reshape(-1, 5), dtype=torch.int64)
    positions = torch.tensor(structure.positions, requires_grad=True)
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    deformation = torch.eye(3, dtype=torch.float64) + strain
    vectors = positions[pairs[:, 1]] - positions[pairs[:, 0]] + pairs[:, 2:].double() @ torch.tensor(structure.cell)
    lengths = (vectors @ deformation).norm(dim=1)
    copper = torch.tensor(structure.types == 29).double()
    terms = 2 * Program.epsilon * (Program.sigma / lengths) ** 12 * (1 - (lengths / CUTOFF) ** 2) ** 3
    energies = -1.5 * (1 + copper)
    energies = energies.index_add(0, pairs[:, 0], terms * (1.0 - 0.3 * copper[pairs[:, 0]]))
    gradients = torch.autograd.grad(energies.sum(), [positions, strain], materialize_grads=True)
    return energies.detach().numpy(), -gradients[0].numpy(), -gradients[1].numpy()


def engine(path, **options):
    return Engine(path, length_unit="angstrom", energy_unit="eV", **options)


STRUCTURES = {
    "crystal": crystal(),
    "cluster": cluster(7),
    "slab": cluster(6, 1, (7.0, 7.1, 0), (True, True, False)),
    "pair": cluster(2, 2),
    "atom": cluster(1),
    "nothing": cluster(0),
    "images of one atom": cluster(1, 0, (2.5, 2.6, 2.7), (True, True, True)),
    "atom alone among others": Structure(
        np.array([29, 79, 29]), np.array([[0, 0, 0], [2.1, 0, 0], [90, 0, 0.0]]), np.zeros((3, 3)), np.zeros(3, bool)
    ),
}


@KINDS
@pytest.mark.parametrize("name", STRUCTURES)
def test_energies_forces_and_virial(made, texts, name):
    structure = STRUCTURES[name]
    energies, forces, virial = expected(structure)
    found = engine(made(**texts)).evaluate([structure], ["energy", "atomic_energies", "forces", "virial"])
    np.testing.assert_allclose(found.atomic_energies, energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.energy, [energies.sum()], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.virial[0], virial, rtol=0, atol=1e-12)


@KINDS
def test_stress_in_other_units(made, texts):
    found = Engine(made(**texts), length_unit="bohr", energy_unit="Ha")
    bohr, hartree = 0.529177210544, 27.211386245981
    structure = crystal()
    atomic = Structure(structure.types, structure.positions / bohr, structure.cell / bohr, structure.pbc)
    stress = found.evaluate([atomic], ["stress"]).stress[0]
    virial = expected(structure)[2]
    np.testing.assert_allclose(stress, -virial / np.linalg.det(CELL) / hartree * bohr**3, rtol=1e-7)


@KINDS
def test_batch_is_one_call_where_it_can_be(made, texts):
    several = [STRUCTURES[name] for name in ("cluster", "atom", "crystal", "images of one atom", "nothing")]
    each = [expected(structure) for structure in several]
    running = engine(made(**texts))
    program = made.programs[-1]
    program.calls.clear()
    found = running.evaluate(several, ["energy", "forces"])
    assert len(program.calls) == 1
    np.testing.assert_allclose(found.energy, [energies.sum() for energies, _, _ in each], atol=1e-12)
    np.testing.assert_allclose(found.forces, np.concatenate([forces for _, forces, _ in each]), atol=1e-12)
    program.calls.clear()
    virials = running.evaluate(several, ["virial"]).virial
    assert len(program.calls) == (1 if texts is BATCHES else len(several))
    np.testing.assert_allclose(virials, [virial for _, _, virial in each], atol=1e-12)


def test_sizes_change_from_call_to_call(made):
    running = engine(made())
    for n_atoms in (3, 27, 1, 0, 12, 2):
        structure = cluster(n_atoms, n_atoms)
        np.testing.assert_allclose(running.evaluate([structure], ["forces"]).forces, expected(structure)[1], atol=1e-12)


def test_each_type_around_each_type_has_a_cutoff_of_its_own(made):
    """Gold sees nothing beyond 2.5 angstrom, and copper no gold at all, as where the lists are pruned."""
    path = made(per_edge_type_cutoff="2.5 4.0 0.0 4.0")
    structure = STRUCTURES["cluster"]
    running = engine(path)
    program = made.programs[-1]
    program.calls.clear()
    running.evaluate([structure], ["energy"])
    distances = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=2)
    gold = structure.types == 79
    limits = np.where(gold[:, None], np.where(gold[None], 2.5, 4.0), np.where(gold[None], 0.0, 4.0))
    np.fill_diagonal(distances, np.inf)
    assert program.calls == [(7, (distances <= limits).sum())]


def test_selected_atoms_have_energies(made):
    structure = crystal()
    energies = expected(structure)[0]
    running = engine(made())
    found = running.evaluate(
        [structure, structure], ["energy", "atomic_energies"], selected_atoms=np.array([[0, 2], [1, 3], [1, 0]])
    )
    np.testing.assert_allclose(found.energy, [energies[2], energies[3] + energies[0]], atol=1e-12)
    np.testing.assert_allclose(found.atomic_energies[[2, 4, 7]], energies[[2, 0, 3]], atol=1e-12)
    assert np.count_nonzero(found.atomic_energies) == 3
    with pytest.raises(ValueError, match=r"expected all atoms for forces and stress of .*; ask for energies alone"):
        running.evaluate([structure], ["forces"], selected_atoms=np.array([[0, 2]]))
    # of the next structure, by its number among all atoms
    with pytest.raises(ValueError, match="expected"):
        running.evaluate([structure, structure], ["energy"], selected_atoms=np.array([[0, 4]]))


def test_energy_as_an_output(made):
    structure = crystal()
    energies = expected(structure)[0]
    found = engine(made()).evaluate([structure], ["forces"], outputs={"energy": "atom"}, units={"energy": "meV"})
    np.testing.assert_allclose(found.outputs["energy"][:, 0], 1000 * energies, rtol=1e-12)
    running = engine(made(), check_consistency=True)
    tensors = running.run([structure], {"energy": ModelOutput(unit="eV", sample_kind="system")})
    np.testing.assert_allclose(tensors["energy"].block().values, [[energies.sum()]], rtol=1e-12)


def test_forward_takes_systems(made):
    running = engine(made())
    systems = running.systems([crystal(), cluster(3)])
    options = ModelEvaluationOptions("angstrom", {"energy": ModelOutput(unit="eV", sample_kind="atom")})
    found = running.model(systems, options, check_consistency=True)["energy"].block().values
    np.testing.assert_allclose(
        found[:, 0], np.concatenate([expected(crystal())[0], expected(cluster(3))[0]]), atol=1e-12
    )


@pytest.mark.parametrize("result", ["atomic_virials", "atomic_stresses"])
def test_virials_of_atoms_are_refused(made, result):
    with pytest.raises(
        ValueError, match="has, energies, forces, virial and stress, got a request for virials or stress"
    ):
        engine(made()).evaluate([crystal()], [result])


def test_second_derivatives_are_refused(made):
    with pytest.raises(ValueError, match="got a request for second derivatives; take a model file"):
        engine(made()).evaluate([crystal()], ["hessian"])


def test_kernel_is_the_machine_code(made):
    running = engine(made(), kernel="compiled")
    running.evaluate([crystal()], ["forces"])
    assert running.kernel == "compiled"
    assert running.seconds["compiled"] == running.seconds["model"] > 0
    for word in ("script", "eager"):
        with pytest.raises(
            ValueError, match=f"expected `kernel` 'auto' or 'compiled' for a model that .*, got '{word}'"
        ):
            engine(made(), kernel=word)


def test_machine_code_is_no_other_file(made, tmp_path):
    path = made()
    message = "expected a model with code that TorchScript compiles, got .*, which is machine code; it runs in Python"
    with pytest.raises(RuntimeError, match=message):
        load_atomistic_model(path).save(str(tmp_path / "other.pt"))
    with pytest.raises(RuntimeError, match=message):
        load_compiled(path)
    assert "which is machine code" in fail("convert", path, tmp_path / "other.pt")
    assert not (tmp_path / "other.pt").exists()


def test_copies_load_the_file_again(made):
    model = load_atomistic_model(made())
    wanted = engine(model).evaluate([crystal()], ["forces"]).forces
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.package is not model.package
        np.testing.assert_array_equal(engine(again).evaluate([crystal()], ["forces"]).forces, wanted)
    assert len(made.programs) == 3


def test_unknown_species_and_numbers_that_are_not_finite(made):
    running = engine(made())
    n_calls = len(made.programs[-1].calls)
    with pytest.raises(ValueError, match=r"expected atomic types that this model knows, \[29, 79\], got type 47"):
        running.evaluate([Structure(np.array([47]), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool))], ["energy"])
    with pytest.raises(ValueError, match="expected finite positions"):
        running.evaluate(
            [Structure(np.array([29]), np.full((1, 3), np.nan), np.zeros((3, 3)), np.zeros(3, bool))], ["energy"]
        )
    assert len(made.programs[-1].calls) == n_calls


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("sign", "expected forces that are derivatives of the energies, got"),
        ("stress", "expected virials that are derivatives of the energies, got"),
        ("mixed", "expected energies of atoms that depend on their neighbors alone, whatever the number of atoms, got"),
        ("bounded", "which gives others for the same atoms among 303; use it with nequip itself"),
        ("positions", "expected a model that sees positions and cell only through pairs within its cutoff, got"),
    ],
)
def test_program_that_does_something_else_is_refused(made, changed, message):
    with pytest.raises(ValueError, match=message):
        load_atomistic_model(made(changed))


def test_structures_on_another_device_are_refused(made):
    package = load_atomistic_model(made()).package
    vectors = torch.zeros(0, 3, dtype=torch.float64, device="meta")
    graph = nequip_graphs.Graph(torch.tensor([29]), torch.zeros(2, 0, dtype=torch.int64), vectors, [1], [0])
    with pytest.raises(ValueError, match=r"expected structures on cpu, where .* was loaded, got them on meta; give a"):
        package.evaluate(graph, with_virials=False)


def test_error_of_the_machine_code_is_said(made):
    running = engine(made("raises"))
    with pytest.raises(ValueError, match=r"to run, got an error for 540 atoms and \d+ pairs: run_func_\(...\) failed$"):
        running.evaluate([cluster(27)] * 20, ["energy"])


def test_questions_execute_nothing(monkeypatch, tmp_path):
    """Only who names the file as the model to run runs what is in it."""
    path = write_package(tmp_path / "gold.pt2")

    def refuse(file):
        raise AssertionError("machine code was loaded")

    monkeypatch.setattr(nequip_graphs, "_loaded", refuse)
    assert reader_of(path) == "nequip"
    header = read_model_header(path)
    assert header.capabilities.atomic_types == [29, 79]
    assert header.capabilities.interaction_range == np.inf
    assert [(each.cutoff, each.full_list, each.strict) for each in header.neighbor_lists] == [(4.0, True, True)]
    text = succeed("inspect", path).stdout
    assert "cpu (AVX2)" in text
    assert "format              nequip" in text
    assert json.loads(succeed("inspect", path, "--json").stdout)["queries"]["atomic_types"] == [29, 79]
    with pytest.raises(AssertionError, match="machine code was loaded"):
        load_atomistic_model(path)


def test_file_is_recognised_by_what_is_in_it(tmp_path):
    assert reader_of(write_package(tmp_path / "model.pt")) == "nequip"
    other = write_package(tmp_path / "other.nequip.pt2", {"AOTI_DEVICE_KEY": "cpu"})
    with pytest.raises(
        ValueError, match=r"expected a model file, got .*, which is machine code of AOTInductor without"
    ):
        read_model_header(other)
    with pytest.raises(ValueError, match="which is machine code of AOTInductor without"):
        read_model_header(write_package(tmp_path / "bare.nequip.pt2", None))


def test_damaged_file(tmp_path):
    path = write_package(tmp_path / "gold.nequip.pt2")
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(ValueError, match=r"expected a whole model file, got .*, which is truncated or damaged"):
        read_model_header(path)
    path.write_bytes(content.replace(b"type_names", b"\xff\xfe_names"))
    with pytest.raises(ValueError, match="expected"):
        read_model_header(path)


def test_machine_code_that_does_not_load(tmp_path):
    path = write_package(tmp_path / "gold.nequip.pt2")
    message = (
        f"expected machine code that loads with torch {torch.__version__}, got .*; if it was compiled with another"
    )
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        load_atomistic_model(path)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"AOTI_CPU_ISA": "AVX512 AVX512_VNNI"},
            "for AVX512 AVX512_VNNI and needs AVX512, avx512_vnni; compile it on this",
        ),
        ({"AOTI_CPU_ISA": "AVX2 AMX_TILE"}, "expected machine code for this processor, got .* and needs amx_tile"),
        ({"AOTI_MACHINE": "aarch64"}, "expected machine code for the machine 'x86_64', got .*, which is for 'aarch64'"),
        ({"AOTI_PLATFORM": "darwin"}, "expected machine code for the platform 'linux', got .*, which is for 'darwin'"),
        ({"AOTI_DEVICE_KEY": "mps"}, "expected a package for cpu or cuda, got .*, which is for 'mps'"),
        (
            {"type_names": "Au X"},
            "expected types of atoms that are called as their elements, each once, got .* with Au X",
        ),
        ({"type_names": "Au Au"}, "expected types of atoms that are called as their elements, each once"),
        ({"r_max": "wide"}, "expected a cutoff `r_max` above zero in .*, got 'wide'"),
        (
            {"per_edge_type_cutoff": "3 4 5"},
            "expected 4 cutoffs between 0 and 4.0 in `per_edge_type_cutoff` of .*, got '3 4",
        ),
        (
            {"nequip_aoti_inputs": "pos edge_index"},
            "expected a package with the inputs .*, got .* with pos edge_index; com",
        ),
        (
            {"nequip_aoti_outputs": "atomic_energy forces"},
            "expected a package that gives atomic_energy, forces and stress",
        ),
        ({"nequip_aoti_inputs": None}, "expected a package of nequip 0.17 or newer, got .* without nequip_aoti_inputs"),
        (
            {"nequip_custom_ops_libs": "no_such_operators"},
            "expected the module 'no_such_operators', which .* needs, got non",
        ),
    ],
)
def test_package_that_does_not_fit_is_refused_before_it_is_loaded(tmp_path, texts, message):
    content = {name: text for name, text in {**TEXTS, **texts}.items() if text is not None}
    with pytest.raises(ValueError, match=message):
        load_atomistic_model(write_package(tmp_path / "gold.nequip.pt2", content))


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without one")
def test_package_for_a_gpu_is_refused_without_one(tmp_path):
    path = write_package(tmp_path / "gold.nequip.pt2", {**TEXTS, "AOTI_DEVICE_KEY": "cuda"})
    with pytest.raises(ValueError, match="expected a device of this machine, which has no CUDA, got"):
        load_atomistic_model(path)
