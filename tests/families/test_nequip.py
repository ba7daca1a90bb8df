"""Imported models of the nequip framework, NequIP and Allegro, give what nequip's own calculator gives."""

import contextlib
import random
import shutil
import subprocess
import sys

import ase
import e3nn
import numpy as np
import pytest
import torch
from family_cases import assert_agrees, assert_refused, keep, structures
from nequip.integrations.ase import NequIPCalculator
from nequip.model import NequIPGNNModel, ZBLPairPotential
from nequip.nn import PartialForceOutput
from nequip.utils import global_state
from nequip_checkpoints import NAMES, TYPES
from nequip_checkpoints import __file__ as make_checkpoints

from metatomic_ase import MetatomicCalculator
from metatomic_core import read_model_metadata
from metatomic_core.engine import Engine, Structure
from metatomic_core.kernels.compiling import compile_model
from metatomic_core.loading import read_model_header
from metatomic_importers import Request, import_model
from metatomic_importers.families._nequip_own import state_of_nequip
from metatomic_importers.families.nequip import NEQUIP

CASES = structures("Au", "Cu", "Ag", 3.95)
# of the file, of the network: eV per atom, eV/A, eV/A^3
TOLERANCES = {"float32": (1e-5, 1e-4, 1e-5), "float64": (1e-9, 1e-8, 1e-9)}
AS_ELEMENTS = [f"{NAMES[each]}={each}" for each in TYPES]
# name of what is imported: checkpoint, options, types of file and network
IMPORTS = {
    "nequip-float64": ("nequip-float64.ckpt", {}, "float64", "float64"),
    "nequip-float32": ("nequip-float32.nequip.zip", {}, "float32", "float32"),
    "nequip-widened": ("nequip-float32.ckpt", {"dtype": "float64"}, "float64", "float32"),
    "allegro-float64": ("allegro-float64.nequip.zip", {}, "float64", "float64"),
    "allegro-float32": ("allegro-float32.ckpt", {"exported": True}, "float32", "float32"),
    "nequip-names": ("nequip-names.ckpt", {"species": AS_ELEMENTS, "exported": True}, "float64", "float64"),
}
KEPT = ("nequip-float64", "nequip-float32", "allegro-float64", "allegro-float32")


@contextlib.contextmanager
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


class Own(NequIPCalculator):
    """Counts on float64 as default."""

    def calculate(self, *arguments, **keywords):
        with float64_by_default():
            super().calculate(*arguments, **keywords)


def family_of(name):
    return name.partition("-")[0]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Give the folder with the checkpoints and packages of all networks."""
    folder = tmp_path_factory.mktemp("networks")
    command = [sys.executable, make_checkpoints, str(folder)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-4000:]
    return folder


@pytest.fixture(scope="session")
def own(folder):
    """Give nequip's own calculator of a checkpoint."""

    def calculator(checkpoint):
        types = NAMES if "names" in checkpoint else {symbol: symbol for symbol in TYPES}
        with float64_by_default(), state_of_nequip():
            return Own._from_saved_model(folder / checkpoint, chemical_species_to_atom_type_map=types)

    return calculator


@pytest.fixture(scope="session")
def imported(folder):
    """Give the model file of one of `IMPORTS`, made once."""
    made = {}

    def file(name):
        if name not in made:
            checkpoint, options, *_ = IMPORTS[name]
            made[name] = import_model(family_of(name), folder / checkpoint, folder / f"{name}.pt", **options).file
        return made[name]

    return file


@pytest.mark.parametrize("name", IMPORTS)
def test_energy_forces_and_stress_are_those_of_the_own_calculator(imported, own, name):
    checkpoint, _, dtype, of_network = IMPORTS[name]
    file, calculator = imported(name), own(checkpoint)
    assert read_model_header(file).capabilities.dtype == dtype
    assert_agrees(file, calculator, CASES, *TOLERANCES[of_network])
    if name in KEPT:
        keep(file, name, calculator, CASES)


@pytest.mark.parametrize("name", IMPORTS)
def test_forces_are_not_zero_and_energies_differ(imported, name):
    calculator = MetatomicCalculator(imported(name))
    found = {}
    for case, atoms in CASES.items():
        calculated = atoms.copy()
        calculated.calc = calculator
        found[case] = calculated.get_potential_energy() / len(atoms)
        if case != "atom":
            assert np.abs(calculated.get_forces()).max() > 0.01, case
    assert np.ptp(list(found.values())) > 0.1


@pytest.mark.parametrize("name", KEPT)
def test_energies_of_atoms_sum_up_and_batches_equal_single_runs(imported, name):
    engine = Engine(imported(name), length_unit="angstrom", energy_unit="eV")
    batch = [Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc) for atoms in CASES.values()]
    together = engine.evaluate(batch, ["energy", "forces", "atomic_energies"])
    rounding = 1e-5 if name.endswith("32") else 1e-13
    start = 0
    for i, structure in enumerate(batch):
        alone = engine.evaluate([structure], ["energy", "forces"])
        of_atoms = slice(start, start + len(structure.types))
        start = of_atoms.stop
        of_energy = {"rtol": 0, "atol": rounding * len(structure.types)}
        np.testing.assert_allclose(together.energy[i], alone.energy[0], **of_energy)
        np.testing.assert_allclose(together.atomic_energies[of_atoms].sum(), alone.energy[0], **of_energy)
        np.testing.assert_allclose(together.forces[of_atoms], alone.forces, rtol=0, atol=10 * rounding)


@pytest.mark.parametrize("name", ["nequip-float64", "allegro-float64"])
def test_energies_of_selected_atoms_are_those_of_the_own_calculator(imported, own, name):
    atoms = CASES["mixed"]
    engine = Engine(imported(name), length_unit="angstrom", energy_unit="eV")
    structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    chosen = np.array([[0, 5], [0, 2], [0, 17]], dtype=np.int32)
    got = engine.evaluate([structure], ["energy"], selected_atoms=chosen).energy[0]
    calculated = atoms.copy()
    calculated.calc = own(IMPORTS[name][0])
    np.testing.assert_allclose(got, calculated.get_potential_energies()[chosen[:, 1]].sum(), rtol=1e-12)


@pytest.mark.parametrize(("name", "rounding"), [("nequip-names", 1e-12), ("allegro-float32", 1e-5)])
def test_programs_give_what_the_script_gives(imported, name, rounding):
    script, eager = (MetatomicCalculator(imported(name), kernel=kernel) for kernel in ("script", "eager"))
    for case, atoms in CASES.items():
        expected, got = atoms.copy(), atoms.copy()
        expected.calc, got.calc = script, eager
        difference = got.get_potential_energy() - expected.get_potential_energy()
        assert abs(difference) < rounding * len(atoms), case
        np.testing.assert_allclose(got.get_forces(), expected.get_forces(), rtol=0, atol=10 * rounding)


@pytest.mark.long
def test_compiled_program_gives_what_the_own_calculator_gives(imported, own):
    file = imported("nequip-names")
    compile_model(str(file), flavors=["forces"])
    cases = {case: CASES[case] for case in ("triclinic", "molecule", "atom")}
    compiled, calculator = MetatomicCalculator(file, kernel="compiled"), own("nequip-names.ckpt")
    for case, atoms in cases.items():
        expected, got = atoms.copy(), atoms.copy()
        expected.calc, got.calc = calculator, compiled
        assert got.get_potential_energy() == pytest.approx(expected.get_potential_energy(), rel=1e-12), case
        np.testing.assert_allclose(got.get_forces(), expected.get_forces(), rtol=0, atol=1e-10, err_msg=case)


def test_a_checkpoint_and_its_package_are_the_same_model(imported):
    energies = []
    for name in ("nequip-widened", "nequip-float32"):
        atoms = CASES["mixed"].copy()
        atoms.calc = MetatomicCalculator(imported(name))
        energies.append(atoms.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], rel=1e-6)


def test_modifiers_for_hardware_are_left_out(folder, tmp_path):
    # OpenEquivariance is not installed here
    checkpoint = torch.load(folder / "nequip-small.ckpt", weights_only=False)
    parameters = checkpoint["hyper_parameters"]
    modifiers = [{"modifier": "enable_OpenEquivariance"}]
    parameters["model"] = {"_target_": "nequip.model.modify", "modifiers": modifiers, "model": parameters["model"]}
    torch.save(checkpoint, tmp_path / "modified.ckpt")
    modified, plain = (
        NEQUIP.read(Request(path, str(path), "")) for path in (tmp_path / "modified.ckpt", folder / "nequip-small.ckpt")
    )
    assert str(modified.module) == str(plain.module)
    weights = plain.module.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in modified.module.state_dict().items())


@pytest.mark.parametrize(
    ("file", "species", "table"),
    [
        ("nequip-small.ckpt", ("Ag", "Cu"), {29: 0, 47: 2}),
        ("nequip-names.ckpt", ("gold=Au", "copper=Cu"), {29: 0, 79: 1}),
        ("nequip-names.ckpt", tuple(TYPES), {29: 0, 79: 1, 47: 2}),
    ],
)
def test_a_file_is_for_the_species_that_were_asked_for(folder, file, species, table):
    imported = NEQUIP.read(Request(folder / file, file, "", species=species))
    assert set(imported.capabilities.atomic_types) == set(table)
    assert {number: int(index) for number, index in enumerate(imported.module.table) if index >= 0} == table


def test_the_state_of_the_process_is_as_before(folder):
    def state():
        numbers = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
        return (
            torch.get_default_dtype(),
            numbers,
            e3nn.get_optimization_defaults(),
            global_state.global_state_initialized(),
        )

    before = state()
    atoms = ase.Atoms("CuAu", [[0, 0, 0], [2, 1, 0]])
    atoms.calc = NEQUIP.read(Request(folder / "nequip-small.ckpt", "small", "")).calculator()
    assert atoms.get_forces().dtype == np.float64
    assert state() == before


@pytest.mark.parametrize(("name", "layers"), [("nequip-float32", 2), ("allegro-float64", 1)])
def test_ranges_follow_layers_and_largest_cutoff(imported, name, layers):
    header = read_model_header(imported(name))
    assert header.capabilities.interaction_range == pytest.approx(layers * 4.0)
    assert [(options.cutoff, options.full_list) for options in header.neighbor_lists] == [(4.0, True)]
    assert header.capabilities.length_unit == "angstrom"
    assert header.capabilities.outputs["energy"].unit == "eV"


@pytest.mark.parametrize(
    ("name", "paper", "package"),
    [
        ("nequip-float32", "doi:10.1038/s41467-022-29939-5", "nequip "),
        ("allegro-float64", "doi:10.1038/s41467-023-36329-y", "nequip-allegro "),
    ],
)
def test_a_file_says_where_it_comes_from(imported, name, paper, package):
    metadata = read_model_metadata(imported(name))
    assert metadata.name == name
    assert metadata.references["architecture"] == [paper]
    assert metadata.extra["imported from"].startswith(f"{name}.nequip.zip, with {package}")
    assert "e3nn 0." in metadata.extra["packaged with"]
    assert len(metadata.extra["sha256 of checkpoint"]) == 64
    assert "off by up to energy" in metadata.extra["compared"]
    assert "not known" in metadata.extra["licence of weights"]
    assert metadata.extra["licence of code"].count("MIT License") == (2 if name.startswith("nequip") else 3)


WRONG = [
    ("allegro", "nequip-float64.ckpt", {}, "which is one of nequip; run `metatomic import nequip"),
    ("allegro", "nequip-float32.nequip.zip", {}, "which is one of nequip; run `metatomic import nequip"),
    ("nequip", "allegro-float64.ckpt", {}, "which is one of allegro; run `metatomic import allegro"),
    ("nequip", "allegro-float64.nequip.zip", {}, "which is one of allegro; run `metatomic import allegro"),
    ("nequip", "nequip-small.ckpt", {"part": "default"}, "expected no head, modal or task for nequip"),
    ("nequip", "nequip-small.ckpt", {"species": ["Pt"]}, "expected `species` among Cu Au Ag, got Pt"),
    ("nequip", "nequip-small.ckpt", {"dtype": "float32"}, "expected float64 as `dtype` for .*, got float32"),
    (
        "nequip",
        "nequip-names.ckpt",
        {},
        "types copper gold silver of the model are as `species`, got none; say it like",
    ),
    ("nequip", "nequip-names.ckpt", {"species": ["Cu", "Au"]}, "got Cu Au; say it like copper=Si for each"),
    ("allegro", "allegro-float32.ckpt", {"species": ["Cu=Ag"]}, "expected Cu for the type Cu as in the ZBL"),
    ("nequip", "compiled.nequip.pt2", {}, "it runs in Python engines as it is.*; import the .nequip.zip or .ckpt file"),
    ("allegro", "compiled.nequip.pth", {}, "compiled for one kind of machine; import the .nequip.zip or .ckpt file"),
    ("nequip", "package.zip", {}, "expected a name that ends with .nequip.zip for a package, .*; rename the file"),
    ("nequip", "checkpoint.nequip.zip", {}, "expected a name that does not end with .nequip.zip .*; rename the file"),
    ("nequip", "tuned.ckpt", {}, "expected a file that nequip loads, got '.*tuned.ckpt': .*gone.nequip.zip"),
    ("nequip", "train.xyz", {}, "in which nothing says that it is one"),
]


@pytest.fixture(scope="session")
def wrong(folder):
    """Add files that are not what their names say, or that lack something."""
    (folder / "compiled.nequip.pt2").write_bytes(b"machine code")
    (folder / "compiled.nequip.pth").write_bytes(b"machine code")
    shutil.copyfile(folder / "nequip-float32.nequip.zip", folder / "package.zip")
    shutil.copyfile(folder / "nequip-small.ckpt", folder / "checkpoint.nequip.zip")
    checkpoint = torch.load(folder / "nequip-small.ckpt", weights_only=False)
    package = {"_target_": "nequip.model.ModelFromPackage", "package_path": "gone.nequip.zip"}
    checkpoint["hyper_parameters"]["model"] = package
    torch.save(checkpoint, folder / "tuned.ckpt")
    return folder


@pytest.mark.parametrize(("family", "file", "options", "message"), WRONG, ids=[f"{row[1]}-{row[2]}" for row in WRONG])
def test_a_wrong_input_is_refused(wrong, tmp_path, family, file, options, message):
    assert_refused(message, import_model, family, wrong / file, tmp_path / "model.pt", **options)


SETTINGS = {
    "seed": 1,
    "model_dtype": "float64",
    "type_names": list(TYPES),
    "r_max": 4.0,
    "num_layers": 1,
    "l_max": 0,
    "num_features": 2,
    "radial_mlp_width": 2,
    "avg_num_neighbors": 12.0,
    "per_type_energy_scales": 1.0,
    "per_type_energy_shifts": 0.0,
}


def with_charges():
    charges = [{"field": "total_energy", "num_features": 2, "min": -1, "max": 1}]
    return NequIPGNNModel(**SETTINGS, categorical_graph_field_embed=charges)


def with_lennard_jones():
    term = {"_target_": "nequip.nn.pair_potential.LennardJones", "lj_sigma": 2.0, "lj_epsilon": 0.1}
    return NequIPGNNModel(**SETTINGS, pair_potential=term)


def with_partial_forces():
    model = NequIPGNNModel(**SETTINGS)
    model.model = PartialForceOutput(model.model.func)
    return model


def in_kcal():
    common = {name: SETTINGS[name] for name in ("seed", "model_dtype", "type_names", "r_max")}
    return ZBLPairPotential(**common, chemical_species=list(TYPES), units="real")


MODELS = [
    (lambda: {"a": NequIPGNNModel(**SETTINGS), "b": NequIPGNNModel(**SETTINGS)}, "expected one model .*, got a, b in"),
    (with_charges, "expected a model of types and positions alone, .* wants total_energy"),
    (with_lennard_jones, "expected a network of parts that are known here, .* with LennardJones"),
    (with_partial_forces, "expected a model of energies and forces, .* with PartialForceOutput"),
    (lambda: NequIPGNNModel(**SETTINGS, do_derivatives=False), "got .* with ForceStressOutput without derivatives"),
    (in_kcal, "expected a model in eV and angstrom, got one whose ZBL is in other units"),
]


@pytest.mark.parametrize(("make", "message"), MODELS)
def test_a_model_that_can_not_be_carried_over_is_refused(folder, tmp_path, monkeypatch, make, message):
    with state_of_nequip():
        made = make()
    models = torch.nn.ModuleDict(made if isinstance(made, dict) else {"sole_model": made})
    monkeypatch.setattr("nequip.model.saved_models.load_saved_model", lambda *_, **__: models)
    assert_refused(message, import_model, "nequip", folder / "nequip-small.ckpt", tmp_path / "model.pt")
