"""Models of SevenNet: those that come with its package, and small random ones of the kinds that people train.

The package computes in float32; for float64 its own network is run in float64 here. The session `importers(sevennet)`
runs this.
"""

import json
import subprocess
import sys
import types
import warnings
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from family_cases import assert_adds_up, assert_agrees, assert_refused, engine_structure, keep, structures

from metatomic_ase import MetatomicCalculator
from metatomic_core.engine import Engine
from metatomic_core.kernels.compiling import compile_model
from metatomic_core.loading import read_model_header
from metatomic_importers import import_model
from metatomic_importers.contents import contents_of
from metatomic_importers.families import sevennet as family
from metatomic_importers.families._sevennet_layers import UnknownPartError
from metatomic_importers.families._sevennet_reading import network

with warnings.catch_warnings():
    # torch_geometric and e3nn, about torch.jit
    warnings.simplefilter("ignore")
    from sevenn import __version__ as version
    from sevenn import _const, _keys
    from sevenn.calculator import SevenNetCalculator
    from sevenn.model_build import build_E3_equivariant_model
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from sevenn.util import chemical_species_preprocess

# sevenn, without an accelerator
pytestmark = pytest.mark.filterwarnings("ignore:No tensor product accelerator is enabled:UserWarning")

ROOT = Path(__file__).parents[2]
ELEMENTS = ("Si", "O", "C")
LINEAR = {
    "self_connection_type": "linear",
    "is_parity": False,
    "lmax": 2,
    "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.0},
    "irreps_manual": ["8x0e", "8x0e+4x1e+2x2e", "8x0e"],
}
# kinds of models: what differs from `small_config`
KINDS = {
    "linear": LINEAR,
    "nequip": {"self_connection_type": "nequip", "is_parity": True, "lmax": 2, "num_convolution_layer": 3},
    "biases": {
        "self_connection_type": ["nequip", "linear"],
        "use_bias_in_linear": True,
        "act_radial": "ssp",
        "act_scalar": {"e": "ssp", "o": "abs"},
        "act_gate": {"e": "ssp", "o": "tanh"},
        "lmax": 3,
        "lmax_node": 1,
        "scale": [8.0, 9.0, 11.0],
    },
    "tiny": {"num_convolution_layer": 1, "channel": 2, "lmax": 1, "self_connection_type": "linear"},
    "perceptron": {
        "readout_as_fcn": True,
        "readout_fcn_hidden_neurons": [6, 5],
        "readout_fcn_activation": "elu",
        "is_parity": False,
        "_normalize_sph": False,
        "shift": -1.5,
        "scale": 7.0,
    },
    "modals": {
        "use_modality": True,
        "_number_of_modalities": 2,
        "_modal_map": {"R2SCAN": 0, "PBE": 1},
        "use_modal_node_embedding": True,
        "use_modal_self_inter_intro": True,
        "use_modal_self_inter_outro": True,
        "use_modal_output_block": True,
        "use_modal_wise_shift": True,
        "use_modal_wise_scale": True,
        "shift": [[-3.1, -5.2, -1.7], [-2.9, -4.8, -1.1]],
        "scale": [[80.0, 90.0, 110.0], [120.0, 130.0, 70.0]],
    },
}
ROUNDING = {"float32": (1e-5, 1e-4, 1e-5), "float64": (1e-9, 1e-9, 1e-9)}


def small_config(**others):
    """Give the settings of a small model of three elements."""
    return {
        **_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG,
        **chemical_species_preprocess(list(ELEMENTS)),
        "version": version,
        "_model_type": "E3_equivariant_model",
        "cutoff": 4.0,
        "channel": 4,
        "num_convolution_layer": 2,
        "cutoff_function": {"cutoff_function_name": "poly_cut", "poly_cut_p_value": 6},
        "weight_nn_hidden_neurons": [8, 8],
        "conv_denominator": 3.5,
        "shift": [-3.1, -5.2, -1.7],
        "scale": [80.0, 90.0, 110.0],
        **others,
    }


def save_checkpoint(path, settings, **others):
    """Save a random model as training does."""
    torch.manual_seed(5)
    model = build_E3_equivariant_model(settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    content = {"config": settings, "model_state_dict": model.state_dict(), "epoch": 3, "time": "now", "hash": "0"}
    torch.save({**content, **others}, path)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Give checkpoints by kind or name, and files made from them."""
    folder = tmp_path_factory.mktemp("sevennet")

    def checkpoint(kind):
        if kind not in KINDS:
            return kind
        path = folder / f"{kind}.pth"
        if not path.exists():
            save_checkpoint(path, small_config(**KINDS[kind]))
        return path

    def imported(kind, dtype="float32", part=None, exported=False):
        path = folder / f"{kind}-{dtype}-{part}-{exported}.pt"
        if not path.exists():
            import_model("sevennet", checkpoint(kind), path, dtype=dtype, part=part, exported=exported)
        return path

    return types.SimpleNamespace(checkpoint=checkpoint, imported=imported, folder=folder)


class Data(dict):
    """What a graph of the package is to its network."""

    __getattr__ = dict.__getitem__


class InDouble(SevenNetCalculator):
    """The package's own network in float64, which its calculator does not have."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, device="cpu", **options)
        self.model.double()
        for layer in self.model.children():
            if type(layer).__name__ == "OnehotEmbedding":
                layer.register_forward_hook(self._one_hot_in_double)

    @staticmethod
    def _one_hot_in_double(layer, _, data):
        for key in (layer.key_output, layer.key_additional_output):
            if key is not None:
                data[key] = data[key].double()

    def calculate(self, atoms=None, properties=None, system_changes=()):
        graph = unlabeled_atoms_to_graph(atoms, self.cutoff)
        graph.pop(_keys.INFO)
        data = Data({name: torch.as_tensor(values) for name, values in graph.items()})
        if self.modal:
            data[_keys.DATA_MODALITY] = self.modal
        self.results = self.output_to_results(self.model(data))


def own_calculator(checkpoint, dtype="float32", modal=None):
    """Give the package's own calculator."""
    name = str(family.shipped().get(checkpoint, checkpoint))
    return InDouble(name, modal=modal) if dtype == "float64" else SevenNetCalculator(name, device="cpu", modal=modal)


def cases():
    return structures(*ELEMENTS, 4.4)


def engine_of(path, **options):
    return Engine(path, length_unit="angstrom", energy_unit="eV", **options)


@pytest.mark.parametrize(
    ("name", "modal"),
    [
        ("7net-0", None),
        pytest.param("7net-0_22May2024", None, marks=pytest.mark.long),
        pytest.param("7net-l3i5", None, marks=pytest.mark.long),
        ("7net-mf-0", "PBE"),
    ],
)
def test_shipped_model_agrees_with_the_own_calculator(name, modal, models):
    # one model for structures of 32 atoms: they take the package seconds
    few = {case: atoms for case, atoms in cases().items() if name == "7net-0" or len(atoms) < 32}
    path = models.imported(name, part=modal)
    assert_agrees(path, own_calculator(name, modal=modal), few, *ROUNDING["float32"])


def test_shipped_model_agrees_in_float64(models):
    few = {name: atoms for name, atoms in cases().items() if name in ("triclinic", "molecule", "small cell")}
    assert_agrees(models.imported("7net-0", "float64"), own_calculator("7net-0", "float64"), few, *ROUNDING["float64"])


@pytest.mark.parametrize(
    ("kind", "dtype"), [("nequip", "float32"), *((kind, "float64") for kind in KINDS if kind != "tiny")]
)
def test_file_agrees_with_the_own_calculator(kind, dtype, models):
    modal = "R2SCAN" if kind == "modals" else None
    own = own_calculator(models.checkpoint(kind), dtype, modal)
    assert_agrees(models.imported(kind, dtype, modal), own, cases(), *ROUNDING[dtype])


@pytest.mark.parametrize(("name", "dtype", "modal"), [("7net-0", "float32", None), ("modals", "float64", "R2SCAN")])
def test_file_is_kept_for_other_environments(name, dtype, modal, models):
    path = models.imported(name, dtype, modal)
    keep(path, f"{name}-{dtype}", own_calculator(models.checkpoint(name), dtype, modal), cases())
    # also where only energies are asked for
    assert read_model_header(path).differentiates is False


def test_each_modal_is_another_model(models):
    energies = []
    for modal in ("PBE", "R2SCAN"):
        atoms = cases()["molecule"]
        atoms.calc = MetatomicCalculator(models.imported("modals", "float64", modal))
        energies.append(atoms.get_potential_energy())
    assert abs(energies[0] - energies[1]) > 0.1


def test_energies_of_atoms_add_up_in_batches_and_selections(models):
    engine = engine_of(models.imported("nequip", "float64"))
    own = own_calculator(models.checkpoint("nequip"), "float64")
    atoms = [frame for name, frame in cases().items() if name in ("triclinic", "molecule", "atom")]
    assert_adds_up(engine, own, atoms)


@pytest.mark.long
def test_kernels_agree(models):
    path = models.imported("tiny", exported=True)
    assert read_model_header(path).untraced == ""
    compile_model(str(path), flavors=["forces"])
    for name in ("triclinic", "molecule"):
        frame = cases()[name]
        results = {}
        for kernel in ("script", "eager", "compiled"):
            engine = engine_of(path, kernel=kernel)
            results[kernel] = engine.evaluate([engine_structure(frame)], ["energy", "forces"])
        for kernel in ("eager", "compiled"):
            np.testing.assert_allclose(results[kernel].energy, results["script"].energy, atol=1e-5 * len(frame))
            np.testing.assert_allclose(results[kernel].forces, results["script"].forces, atol=1e-4)


def test_species_are_restricted(models):
    path = models.folder / "restricted.pt"
    import_model("sevennet", models.checkpoint("linear"), path, exported=False, species=["O", "Si"])
    assert sorted(read_model_header(path).capabilities.atomic_types) == [8, 14]
    atoms = ase.Atoms("CO", positions=[[0, 0, 0], [0, 0, 1.2]], calculator=MetatomicCalculator(path))
    with pytest.raises(ValueError, match="expected"):
        atoms.get_potential_energy()


def test_file_says_where_it_comes_from(models):
    header = read_model_header(models.imported("7net-mf-0", part="PBE"))
    assert header.capabilities.interaction_range == 25.0
    assert [options.cutoff for options in header.neighbor_lists] == [5.0]
    assert len(header.capabilities.atomic_types) == 89
    metadata = header.metadata
    assert metadata.name == "SevenNet 7net-mf-0"
    assert "5 layers with 128 channels, degrees up to 2 and a cutoff of 5 A" in metadata.description
    assert metadata.extra["modal"] == "PBE"
    assert len(metadata.extra["sha256 of checkpoint"]) == 64
    assert "Copyright (c) 2024 Yutack Park" in metadata.extra["licence of code"]
    assert "e3nn" in metadata.extra["licence of code"]
    assert metadata.extra["licence of weights"].startswith("MIT, as the package sevenn")
    assert "off by up to" in metadata.extra["compared"]
    assert metadata.references["implementation"] == ["doi:10.1021/acs.jctc.4c00190"]
    assert metadata.references["model"] == ["doi:10.1021/jacs.4c14455"]


def test_licence_of_weights_of_others_is_not_known(models):
    extra = read_model_header(models.imported("linear", "float64")).metadata.extra
    assert extra["licence of weights"].startswith("not known")


def test_shipped_checkpoints_are_there_and_recognised(models):
    shipped = family.shipped()
    assert list(shipped) == ["7net-0", "7net-0_22May2024", "7net-l3i5", "7net-mf-0"]
    for path in (*shipped.values(), models.checkpoint("linear")):
        assert family.recognises(contents_of(path))


def test_universal_model_has_no_species_without_number(models):
    path = models.folder / "universal.pth"
    save_checkpoint(path, small_config(**chemical_species_preprocess([], universal=True), shift=-1.0, scale=1.0))
    import_model("sevennet", path, models.folder / "universal.pt", exported=False)
    assert read_model_header(models.folder / "universal.pt").capabilities.atomic_types == list(range(1, 119))


def test_checkpoint_of_an_accelerator_is_read_without(models):
    content = torch.load(models.checkpoint("linear"), weights_only=False)
    content["config"]["use_flash_tp"] = True
    torch.save(content, models.folder / "flash.pth")
    import_model("sevennet", models.folder / "flash.pth", models.folder / "flash.pt", exported=False)
    few = {"molecule": cases()["molecule"]}
    assert_agrees(models.folder / "flash.pt", own_calculator(models.checkpoint("linear")), few, *ROUNDING["float32"])


def deployed(path):
    # as the package does: a compiled module with other files beside it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path, {"chemical_symbols_to_index": "Si O C"})


def random_model(**others):
    return lambda path: save_checkpoint(path, small_config(), **others)


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (deployed, {}, "expected a checkpoint of SevenNet, got '.*', which was deployed for LAMMPS; import"),
        (random_model(model_state_dict={}), {}, "with its config and weights, got '.*' without weights"),
        (
            random_model(config=small_config(version="99.0.0")),
            {},
            f"expected a checkpoint of sevenn up to {version}, which is installed, got one of 99.0.0; run",
        ),
        (random_model(config=small_config(channel=5)), {}, "expected a checkpoint that sevenn builds, got an error"),
        (random_model(), {"part": "PBE"}, "expected no `modal` for '.*', which has none, got 'PBE'"),
        (random_model(), {"species": ["Si", "Au"]}, "expected `species` among C O Si, got Au"),
    ],
    ids=["deployed", "no weights", "newer", "other weights", "modal of none", "unknown species"],
)
def test_other_checkpoints_are_refused(write, options, message, tmp_path):
    path = tmp_path / "other.pth"
    write(path)
    assert_refused(message, import_model, "sevennet", path, tmp_path / "out.pt", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected a `modal` for '7net-mf-0', one of R2SCAN, PBE, got none; name one"),
        ({"part": "pbe"}, "expected `modal` to be one of 'R2SCAN', 'PBE', got 'pbe'"),
    ],
)
def test_modal_is_named(options, message, tmp_path):
    assert_refused(message, import_model, "sevennet", "7net-mf-0", tmp_path / "out.pt", **options)


def with_another_layer(model):
    model.add_module("dispersion", torch.nn.Linear(1, 1))


def with_another_convolution(model):
    model.replace_module("0_convolution", torch.nn.Linear(1, 1))


def with_another_basis(model):
    model.get_submodule("edge_embedding").basis_function = torch.nn.Linear(1, 1)


def with_another_activation(model):
    model.get_submodule("0_equivariant_gate").gate.act_scalars.acts[0].f = torch.sin


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_another_layer, r"expected layers of SevenNet that this version knows, got 'dispersion' \(Linear\)"),
        (with_another_convolution, "expected IrrepsConvolution in the model, got Linear"),
        (with_another_basis, "expected BesselBasis in the model, got Linear"),
        (with_another_activation, "expected an activation among silu, .*, got"),
    ],
)
def test_parts_that_are_not_known_are_refused(change, message):
    model = build_E3_equivariant_model(small_config(**LINEAR))
    change(model)
    with pytest.raises(UnknownPartError, match=message):
        network(model, None)


def test_benchmark_runs_at_its_smallest(models):
    command = [sys.executable, str(ROOT / "benchmarks" / "importers.py"), "sevennet", str(models.checkpoint("linear"))]
    done = subprocess.run(
        [*command, "--smallest", "--json"], capture_output=True, text=True, check=False, cwd=models.folder
    )
    assert done.returncode == 0, done.stderr[-1500:]
    found = json.loads(done.stdout)
    assert found["n_atoms"] == 8
    assert found["milliseconds"]["own"] > 0
    assert found["over own"]["script"] > 0
