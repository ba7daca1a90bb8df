"""CHGNet: the versions in its package, and small random networks of other kinds, beside its own calculator."""

import contextlib
import functools
import io
import math
import sys

import ase
import ase.build
import chgnet.graph.converter
import chgnet.graph.crystalgraph
import chgnet.model.model
import numpy as np
import pytest
import torch
from chgnet.model import CHGNet, CHGNetCalculator
from family_cases import assert_agrees, assert_refused, in_vacuum, keep, structures

from metatomic_ase import MetatomicCalculator
from metatomic_core import AtomisticModel
from metatomic_core.engine import Engine, Structure
from metatomic_core.kernels import compiling
from metatomic_core.loading import read_model_header
from metatomic_importers import import_model
from metatomic_importers.contents import Contents, contents_of
from metatomic_importers.families.chgnet import FAMILY, recognises, shipped
from metatomic_importers.family import Request

pytestmark = [
    # of the package, on the volumes of its cells
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar:UserWarning"),
    # of pymatgen, on noble gases
    pytest.mark.filterwarnings("ignore:No Pauling electronegativity for:UserWarning"),
]

CASES = structures("Si", "O", "Fe", 4.6)
SPECIES = ("Si", "O", "Fe")
UNITS = {"length_unit": "angstrom", "energy_unit": "eV"}
IMPORTED = [("0.3.0", "float32"), ("0.3.0", "float64"), ("0.2.0", "float64"), ("r2scan", "float32")]
TINY = {
    "atom_fea_dim": 8,
    "bond_fea_dim": 6,
    "angle_fea_dim": 4,
    "num_radial": 5,
    "num_angular": 5,
    "n_conv": 2,
    "atom_conv_hidden_dim": 8,
    "bond_conv_hidden_dim": 8,
    "mlp_hidden_dims": (8,),
    "atom_graph_cutoff": 4.5,
    "cutoff_coeff": 5,
}
# Kinds of networks that its trainer can make, beside those that are in the package.
KINDS = {
    "norms": {"gMLP_norm": "batch", "conv_norm": "layer", "readout_norm": "batch", "n_conv": 3},
    "no norms": {"gMLP_norm": None, "readout_norm": None, "mlp_out_bias": True, "n_conv": 3},
    "layers": {"atom_conv_hidden_dim": 0, "bond_conv_hidden_dim": [7, 5], "angle_layer_hidden_dim": 6, "n_conv": 4},
    "extensive": {
        "is_intensive": False,
        "composition_model": None,
        "non_linearity": "scaledsilu",
        "learnable_rbf": False,
        "conv_dropout": 0.1,
    },
    "no cutoff": {"non_linearity": "tanh", "cutoff_coeff": 0, "mlp_dropout": 0.1},
}


def silent(function, *arguments, **options):
    """Call something of the package, which prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **options)


@functools.cache
def own_model(version):
    return silent(CHGNet.load, model_name=version, use_device="cpu", verbose=False)


def own_calculator(model):
    return silent(CHGNetCalculator, model, use_device="cpu", on_isolated_atoms="ignore")


def random_model(**options):
    """Give a small network of the package, no parameters of which are zero or one."""
    model = silent(CHGNet, **{**TINY, **options}).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point() and "composition" not in name and "frequencies" not in name:
                tensor += 0.1 * torch.rand(tensor.shape, generator=generator)
    return model


def saved(model, path):
    """Save a model as the trainer of the package does."""
    torch.save({"model": model.as_dict(), "optimizer": {}}, path)
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chgnet")


@pytest.fixture(scope="session")
def file_of(folder):
    """Import each version once."""

    @functools.cache
    def imported(version, dtype):
        file = folder / f"{version}-{dtype}.pt"
        import_model("chgnet", version, file, dtype=dtype)
        return file

    return imported


@pytest.fixture(scope="session")
def tiny(folder):
    """Give a file of a small network, with exported programs; its bonds change where there is any angle."""
    model = random_model(mlp_out_bias=True)
    import_model(
        "chgnet",
        saved(model, folder / "tiny.pth.tar"),
        folder / "tiny.pt",
        dtype="float64",
        species=SPECIES,
        exported=True,
    )
    return folder / "tiny.pt"


def in_float64(model, atoms):
    """Give what a network gives in float64, in which the package does not compute."""
    double = silent(CHGNet, **{**model.model_args, "composition_model": None}).double().eval()
    double.load_state_dict({name: v for name, v in model.state_dict().items() if not name.startswith("composition")})
    modules = (chgnet.graph.converter, chgnet.graph.crystalgraph, chgnet.model.model)
    default = torch.get_default_dtype()
    calculated = in_vacuum(atoms)
    calculated.calc = own_calculator(double)
    try:
        torch.set_default_dtype(torch.float64)
        for module in modules:
            module.TORCH_DTYPE = torch.float64
        calculated.get_potential_energy()
    finally:
        torch.set_default_dtype(default)
        for module in modules:
            module.TORCH_DTYPE = torch.float32
    energy = calculated.get_potential_energy()
    if model.composition_model is not None:
        energy += model.composition_model.fc.weight.detach().double().numpy()[0, atoms.numbers - 1].sum()
    return energy, calculated.calc.results


def assert_same_in_float64(model, calculator, atoms, name):
    got = atoms.copy()
    got.calc = calculator
    energy, expected = in_float64(model, atoms)
    assert abs(got.get_potential_energy() - energy) / len(atoms) < 1e-9, name
    np.testing.assert_allclose(got.get_forces(), expected["forces"], rtol=0, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(got.get_magnetic_moments(), expected["magmoms"], rtol=0, atol=1e-9, err_msg=name)
    if atoms.pbc.all():
        stress = expected["stress"][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        np.testing.assert_allclose(got.get_stress(), stress, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("version", "dtype"), IMPORTED)
def test_results_are_those_of_the_package(file_of, version, dtype):
    file, own = file_of(version, dtype), own_calculator(own_model(version))
    # the package rounds fractional coordinates to float32
    assert_agrees(file, own, CASES, energy=1e-5, forces=2e-4, stress=1e-5, boxed=True)
    ours = MetatomicCalculator(file)
    for name, atoms in CASES.items():
        moments = own.get_property("magmoms", in_vacuum(atoms))
        np.testing.assert_allclose(ours.get_property("magmoms", atoms), moments, rtol=0, atol=1e-4, err_msg=name)
        assert moments.max() > 0.01 or name == "atom"
    if version == "0.3.0":
        keep(file, f"chgnet-{dtype}", own, CASES, boxed=True)


@pytest.mark.parametrize("version", ["0.3.0", "0.2.0"])
def test_results_in_float64_are_those_of_the_package_in_float64(file_of, version):
    ours = MetatomicCalculator(file_of(version, "float64"))
    for name, atoms in CASES.items():
        assert_same_in_float64(own_model(version), ours, atoms, name)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_other_kinds(folder, kind):
    model = random_model(**KINDS[kind])
    checkpoint = saved(model, folder / f"{kind}.pth.tar")
    imported = FAMILY.read(Request(checkpoint, str(checkpoint), "float64", None, SPECIES))
    # as `import_model`, but that results are compared here, with those in float64
    wrapped = AtomisticModel(imported.module, imported.metadata, imported.capabilities)
    wrapped.save(str(folder / f"{kind}.pt"))
    ours = MetatomicCalculator(folder / f"{kind}.pt")
    for name in ("mixed", "triclinic", "molecule", "small cell"):
        assert_same_in_float64(model, ours, CASES[name], name)


def evaluated(file, cases, **options):
    given = [Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc) for atoms in cases]
    engine = Engine(file, **UNITS, kernel=options.pop("kernel", "script"))
    results = ["energy", "forces", *options.pop("results", ["atomic_energies"])]
    return engine.evaluate(given, results, outputs={"magnetic_moment": "atom"}, **options)


def test_energies_of_atoms_add_up_and_a_batch_is_the_same_as_single_structures(file_of):
    file, cases = file_of("0.3.0", "float64"), list(CASES.values())
    batch = evaluated(file, cases)
    for i, atoms in enumerate(cases):
        one, rows = evaluated(file, [atoms]), batch.atoms(i)
        assert one.atomic_energies.sum() == pytest.approx(one.energy[0], abs=1e-10)
        assert batch.energy[i] == pytest.approx(one.energy[0], abs=1e-10)
        np.testing.assert_allclose(batch.forces[rows], one.forces, rtol=0, atol=1e-11)
        for given in (batch.outputs["magnetic_moment"][rows], one.outputs["magnetic_moment"]):
            np.testing.assert_allclose(given, one.outputs["magnetic_moment"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", ["script", "eager"])
def test_selected_atoms(tiny, kernel):
    cases = [CASES["triclinic"], CASES["molecule"]]
    whole = evaluated(tiny, cases, kernel=kernel)
    selected = np.array([[1, 3], [0, 2], [0, 5]])
    some = evaluated(tiny, cases, kernel=kernel, selected_atoms=selected)
    expected = [whole.atomic_energies[[2, 5]].sum(), whole.atomic_energies[8 + 3]]
    np.testing.assert_allclose(some.energy, expected, rtol=0, atol=1e-11)


def test_angles_elsewhere_change_bonds_in_the_same_structure_alone(file_of, tiny):
    """Version 0.2.0, and networks with a bias or norm in the same place: what is done if there is any angle."""
    sodium = ase.build.bulk("Na", "bcc", a=4.2, cubic=True)
    sodium.rattle(0.05, seed=1)
    assert sodium.get_all_distances(mic=True).max() > 3.0  # neighbors too far for angles
    dimer = ase.Atoms("SiO", [[0, 0, 0], [0.3, 1.5, 0.2]])
    file, own = file_of("0.2.0", "float64"), own_model("0.2.0")
    assert_same_in_float64(own, MetatomicCalculator(file), sodium, "sodium")
    assert_same_in_float64(own, MetatomicCalculator(file), dimer, "dimer")
    batch = evaluated(file, [sodium, CASES["triclinic"], dimer])
    alone = [evaluated(file, [atoms]).energy[0] for atoms in (sodium, CASES["triclinic"], dimer)]
    np.testing.assert_allclose(batch.energy, alone, rtol=0, atol=1e-10)
    # the package itself takes structures together, and gives another energy then
    graphs = [silent(own.graph_converter, own_structure(atoms)) for atoms in (dimer, CASES["triclinic"])]
    together = [float(given["e"]) for given in own.predict_graph(graphs, task="e")]
    assert abs(2 * together[0] - alone[2]) > 1e-3
    for path, is_local in ((file, False), (tiny, False), (file_of("0.3.0", "float64"), True)):
        header = read_model_header(path)
        assert math.isfinite(header.capabilities.interaction_range) == is_local
        assert all(record.joins == is_local for record in header.programs)
        assert ("no range" in header.metadata.description) != is_local


def own_structure(atoms):
    from pymatgen.io.ase import AseAtomsAdaptor

    return AseAtomsAdaptor.get_structure(in_vacuum(atoms))


@pytest.mark.long
def test_all_ways_to_run_agree(tiny, monkeypatch):
    # one package of four: it takes most of a minute
    every = compiling.tasks
    monkeypatch.setattr(compiling, "tasks", lambda *arguments, **options: every(*arguments, **options)[:1])
    compiling.compile_model(str(tiny), flavors=["everything"])
    cases = list(CASES.values())
    script = evaluated(tiny, cases, kernel="script", results=["virial"])
    for kernel in ("eager", "compiled"):
        other = evaluated(tiny, cases, kernel=kernel, results=["virial"])
        for result in ("energy", "forces", "virial"):
            np.testing.assert_allclose(
                getattr(other, result), getattr(script, result), rtol=1e-11, atol=1e-10, err_msg=kernel
            )
        np.testing.assert_allclose(other.outputs["magnetic_moment"], script.outputs["magnetic_moment"], atol=1e-12)


def test_what_the_file_says(file_of, tiny):
    header = read_model_header(file_of("r2scan", "float32"))
    capabilities, metadata = header.capabilities, header.metadata
    assert metadata.name == "CHGNet r2scan"
    assert metadata.references["architecture"] == ["doi:10.1038/s42256-023-00716-3"]
    assert metadata.references["model"] == ["doi:10.1038/s41524-025-01796-y"]
    assert list(capabilities.atomic_types) == list(range(1, 95))
    assert capabilities.interaction_range == 24.0
    assert capabilities.outputs["magnetic_moment"].unit == "mu_B"
    assert "The Regents" in metadata.extra["licence of code"]
    assert metadata.extra["licence of weights"].startswith("none of their own")
    assert metadata.extra["imported from"].startswith("r2scan, with chgnet 0.4")
    assert len(metadata.extra["sha256 of checkpoint"]) == 64
    other = read_model_header(tiny)
    assert sorted(other.capabilities.atomic_types) == [8, 14, 26]
    assert "not known" in other.metadata.extra["licence of weights"]
    with pytest.raises(ValueError, match="expected atomic types that this model knows"):
        MetatomicCalculator(tiny).get_property("energy", ase.Atoms("H"))


def test_shipped_versions_are_found_without_the_package():
    before = set(sys.modules)
    assert list(shipped()) == ["r2scan", "0.3.0", "0.2.0"]
    assert set(sys.modules) == before
    for file in shipped().values():
        assert recognises(contents_of(file))
    names = frozenset({"model_args", "state_dict"})
    assert not recognises(Contents(file, frozenset(), frozenset(), names))


WRONG_KINDS = {
    "mlp_first=True": {"mlp_first": False, "read_out": "attn"},
    "final_mlp='MLP'": {"final_mlp": "gated"},
    "n_conv of 2 or more": {"n_conv": 1},
    "update_bond=True and update_angle=True": {"update_angle": False},
    "is_intensive=True, or no composition_model": {"is_intensive": False},
    "bond_graph_cutoff up to atom_graph_cutoff": {"bond_graph_cutoff": 5},
}


@pytest.mark.parametrize("message", WRONG_KINDS)
def test_networks_that_are_not_carried_over_are_refused(folder, message):
    checkpoint = saved(random_model(**WRONG_KINDS[message]), folder / "wrong kind.pth.tar")
    assert_refused(f"expected a CHGNet with {message}", import_model, "chgnet", checkpoint, folder / "no.pt")


class Anything:
    """Something that only its own code can read again."""


def test_wrong_checkpoints_are_refused(folder):
    model = random_model().as_dict()
    wrong = {
        "without running code": {**model, "model_args": {**model["model_args"], "version": Anything()}},
        "expected weights and arguments of one model": {
            **model,
            "model_args": {**model["model_args"], "num_radial": 7},
        },
        "in which nothing says that it is one": {"state_dict": {}},
    }
    for message, content in wrong.items():
        torch.save({"model": content}, folder / "wrong.pth.tar")
        assert_refused(message, import_model, "chgnet", folder / "wrong.pth.tar", folder / "no.pt")


@pytest.mark.parametrize(
    ("checkpoint", "options", "message"),
    [
        ("0.4.0", {}, "expected a checkpoint file of chgnet, or one of r2scan, 0.3.0, 0.2.0, got '0.4.0'"),
        ("r2", {}, "expected `checkpoint` to be one of"),
        ("0.3.0", {"part": "default"}, "expected no head, modal or task for chgnet"),
        ("0.3.0", {"species": ("Si", "Am")}, "expected `species` among H He .* got Am"),
        ("0.3.0", {"dtype": "float16"}, "expected `dtype` to be one of"),
    ],
)
def test_wrong_requests_are_refused(folder, checkpoint, options, message):
    assert_refused(message, import_model, "chgnet", checkpoint, folder / "no.pt", **options)
