"""Models of MACE: the file gives what mace-torch's own calculator gives, and what can not be carried over is refused.

The models are random and small: `mace-torch` comes without weights. The session `importers(mace)` runs this.
"""

import json
import os
import sys
import types

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
from metatomic_importers.checkpoints import contents_of
from metatomic_importers.families import mace as family

with family._as_it_was():  # e3nn alone can not read its own tables
    from e3nn import get_optimization_defaults, o3
    from mace import modules
    from mace.calculators import MACECalculator

pytestmark = [
    # torch, about code that e3nn 0.4.4 and mace-torch have it compile
    pytest.mark.filterwarnings("ignore:The TorchScript type system doesn't support:UserWarning"),
    # e3nn, whose wrapper of torch.jit.script looks at modes of compilation
    pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected:UserWarning"),
]

NUMBERS = (6, 8, 14)
HEADS = ["pt_head", "Default"]
NONLINEAR = modules.interaction_classes["RealAgnosticResidualNonLinearInteractionBlock"]
DENSITY = modules.interaction_classes["RealAgnosticDensityResidualInteractionBlock"]
# kinds of models: what differs from `small_model`, in which precision it is stored
KINDS = {
    "one layer": {"kind": "MACE", "num_interactions": 1, "correlation": 3, "stored": "float32"},
    # with forces that move atoms: those of random weights are weak
    "steep": {"num_interactions": 1, "correlation": 2, "atomic_inter_scale": 60.0, "stored": "float32"},
    "three layers": {
        "kind": "MACE",
        "num_interactions": 3,
        "correlation": 1,
        "distance_transform": "Soft",
        "pair_repulsion": True,
        "stored": "float64",
    },
    "two heads": {
        "heads": HEADS,
        "correlation": [2, 3],
        "distance_transform": "Agnesi",
        "pair_repulsion": True,
        "stored": "float64",
    },
    # arguments that the package does not find again in a model: no exported programs
    "kept irreps": {"interaction_cls": DENSITY, "keep_last_layer_irreps": True, "correlation": 1, "stored": "float32"},
    "nonlinear": {
        "interaction_cls": NONLINEAR,
        "interaction_cls_first": NONLINEAR,
        "edge_irreps": o3.Irreps("4x0e+4x1o"),
        "readout_cls": modules.NonLinearBiasReadoutBlock,
        "apply_cutoff": False,
        "correlation": 1,
        "stored": "float32",
    },
    # compiled in a minute
    "tiny": {
        "kind": "MACE",
        "num_interactions": 1,
        "correlation": 1,
        "hidden_irreps": o3.Irreps("2x0e"),
        "max_ell": 1,
        "num_bessel": 2,
        "radial_MLP": [2],
        "stored": "float32",
    },
}


def small_model(kind="ScaleShiftMACE", stored="float32", heads=None, **others):
    """Make a random model of three elements."""
    n_heads = len(heads or ["Default"])
    references = [[-3.1, -5.2, -1.7], [-2.9, -4.8, -1.1]][:n_heads]
    given = {
        "r_max": 4.0,
        "num_bessel": 6,
        "num_polynomial_cutoff": 5,
        "max_ell": 2,
        "interaction_cls": modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        "interaction_cls_first": modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        "num_interactions": 2,
        "num_elements": len(NUMBERS),
        "hidden_irreps": o3.Irreps("4x0e+4x1o"),
        "MLP_irreps": o3.Irreps("4x0e"),
        "gate": torch.nn.functional.silu,
        "atomic_energies": np.array(references if n_heads > 1 else references[0]),
        "avg_num_neighbors": 12.0,
        "atomic_numbers": list(NUMBERS),
        "correlation": 2,
        "radial_MLP": [8, 8],
        "heads": heads,
        **others,
    }
    if kind == "ScaleShiftMACE":
        given.setdefault("atomic_inter_scale", [0.8, 1.3] if n_heads > 1 else 0.9)
        given.setdefault("atomic_inter_shift", [0.1, -0.2] if n_heads > 1 else 0.05)
    default = torch.get_default_dtype()
    torch.manual_seed(3)
    try:
        torch.set_default_dtype(getattr(torch, stored))
        return getattr(modules, kind)(**given)
    finally:
        torch.set_default_dtype(default)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Give checkpoints by kind, and files made from them."""
    folder = tmp_path_factory.mktemp("mace")
    reports = {}

    def checkpoint(kind):
        path = folder / f"{kind}.model"
        if not path.exists():
            torch.save(small_model(**KINDS[kind]), path)
        return path

    def imported(kind, dtype, exported=False, **options):
        name = "-".join([kind, dtype, *map(str, options.values()), *(["exported"] if exported else [])])
        path = folder / f"{name}.pt"
        if not path.exists():
            reports[path] = import_model("mace", checkpoint(kind), path, dtype=dtype, exported=exported, **options)
        return path

    return types.SimpleNamespace(checkpoint=checkpoint, imported=imported, folder=folder, reports=reports)


def own_calculator(path, dtype="float64", head=None):
    """Give the package's own calculator."""
    model = torch.load(path, weights_only=False).to(getattr(torch, dtype))
    return MACECalculator(models=[model], device="cpu", default_dtype=dtype, head=head)


def cases():
    return structures("Si", "O", "C", 4.4)


def engine_of(path, **options):
    return Engine(path, length_unit="angstrom", energy_unit="eV", **options)


TOLERANCES = {"float32": (1e-5, 1e-4, 1e-5), "float64": (1e-9, 1e-9, 1e-9)}


@pytest.mark.parametrize(
    ("kind", "dtype", "head"),
    [
        ("one layer", "float32", None),
        ("three layers", "float32", None),
        ("two heads", "float64", None),
        ("two heads", "float32", "pt_head"),
        ("kept irreps", "float32", None),
        ("nonlinear", "float64", None),
    ],
)
def test_file_agrees_with_the_own_calculator(kind, dtype, head, models):
    options = {} if head is None else {"part": head}
    path = models.imported(kind, dtype, **options)
    assert_agrees(path, own_calculator(models.checkpoint(kind), head=head), cases(), *TOLERANCES[dtype])


def test_heads_give_different_energies(models):
    energies = []
    for path in (models.imported("two heads", "float32", part="pt_head"), models.imported("two heads", "float64")):
        atoms = cases()["molecule"]
        atoms.calc = MetatomicCalculator(path)
        energies.append(atoms.get_potential_energy())
    assert abs(energies[0] - energies[1]) > 0.1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_file_is_kept_for_other_environments(dtype, models):
    kind = {"float32": "steep", "float64": "two heads"}[dtype]
    path = models.imported(kind, dtype)
    keep(path, f"mace-{dtype}", own_calculator(models.checkpoint(kind)), cases())
    # also where only energies are asked for
    assert read_model_header(path).differentiates is False


def test_energies_of_atoms_add_up_in_batches_and_selections(models):
    engine = engine_of(models.imported("two heads", "float64"))
    own = own_calculator(models.checkpoint("two heads"))
    atoms = [frame for name, frame in cases().items() if name in ("triclinic", "molecule", "atom")]
    assert_adds_up(engine, own, atoms)


@pytest.mark.long
def test_kernels_agree(models):
    path = models.imported("tiny", "float32", exported=True, species=("O", "Si"))
    assert read_model_header(path).untraced == ""
    frame = cases()["triclinic"]
    frame.symbols[frame.symbols == "C"] = "Si"
    results = {}
    for kernel in ("script", "eager", "compiled"):
        if kernel == "compiled":
            compile_model(str(path), flavors=["forces"])
        results[kernel] = engine_of(path, kernel=kernel).evaluate([engine_structure(frame)], ["energy", "forces"])
    for kernel in ("eager", "compiled"):
        np.testing.assert_allclose(results[kernel].energy, results["script"].energy, atol=1e-5 * len(frame))
        np.testing.assert_allclose(results[kernel].forces, results["script"].forces, atol=1e-5)


def test_model_that_its_package_can_not_rebuild_is_written_without_programs(models):
    model = models.reports[models.imported("kept irreps", "float32")].model
    model.save(models.folder / "again.pt", exported=True)
    assert "expected a module in Python, got a compiled one" in read_model_header(models.folder / "again.pt").untraced


def test_model_in_python_is_the_one_in_the_file(models):
    path = models.imported("two heads", "float64")
    frame = engine_structure(cases()["molecule"])
    model = models.reports[path].model
    results = [engine_of(each).evaluate([frame], ["energy", "forces"]) for each in (path, model)]
    np.testing.assert_allclose(results[0].forces, results[1].forces, rtol=0, atol=1e-12)


def test_weights_are_in_memory_once(models):
    module = models.reports[models.imported("two heads", "float64")].model.module
    weights = {parameter.data_ptr() for parameter in module.parameters()}
    compiled = module.torchscript_module()
    assert {parameter.data_ptr() for parameter in compiled.parameters()} == weights


def test_species_are_restricted(models):
    path = models.imported("tiny", "float32", exported=True, species=("O", "Si"))
    assert read_model_header(path).capabilities.atomic_types == [8, 14]
    atoms = ase.Atoms("CO", positions=[[0, 0, 0], [0, 0, 1.2]], calculator=MetatomicCalculator(path))
    with pytest.raises(ValueError, match="expected"):
        atoms.get_potential_energy()


def test_file_says_where_it_comes_from(models):
    header = read_model_header(models.imported("two heads", "float64"))
    assert header.capabilities.interaction_range == 8.0
    assert [options.cutoff for options in header.neighbor_lists] == [4.0]
    metadata = header.metadata
    assert metadata.name == "MACE two heads"
    assert metadata.extra["head"] == "Default"
    assert (
        "ScaleShiftMACE with 2 layers, cutoff 4 angstrom, AgnesiTransform, ZBL pair repulsion" in metadata.description
    )
    assert len(metadata.extra["sha256 of checkpoint"]) == 64
    assert "MIT License" in metadata.extra["licence of code"]
    assert "e3nn" in metadata.extra["licence of code"]
    assert "academic" in metadata.extra["licence of weights"]
    assert "off by up to" in metadata.extra["compared"]
    assert any("2206.07697" in reference for reference in metadata.references["architecture"])


def test_settings_of_the_process_stay_as_they_are(models):
    models.imported("one layer", "float32")
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert torch.get_default_dtype() is torch.float32
    assert get_optimization_defaults()["jit_script_fx"]


def with_charges():
    spec = {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4}
    return small_model(correlation=1, embedding_specs={"total_charge": spec})


def with_unknown_part():
    model = small_model(correlation=1)
    model.dispersion = torch.nn.Linear(1, 1)
    return model


def in_fine_tuning():
    model = small_model(correlation=1)
    model.interactions[0].linear = type("LoRAO3Linear", (torch.nn.Linear,), {})(1, 1)
    return model


def without_default_head():
    return small_model(correlation=1, heads=["mp", "spice"])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (with_charges, {}, "expected a model of types and positions alone, got one with the inputs total_charge"),
        (with_unknown_part, {}, "expected parts of a MACE model that are known, got `dispersion`"),
        (without_default_head, {}, "expected `head` for a model with several and no default, got none; .* mp, spice"),
        (without_default_head, {"part": "spicy"}, "expected `head` to be one of 'mp', 'spice', got 'spicy'"),
        (without_default_head, {"part": "mp", "species": ["Si", "Au"]}, "expected `species` among C O Si, got Au"),
        (lambda: {"model": small_model(correlation=1).state_dict()}, {}, "got '.*', which has weights alone"),
        (lambda: small_model(correlation=1).interactions, {}, "expected a MACE or ScaleShiftMACE, got ModuleList"),
    ],
    ids=["charges", "unknown part", "no head", "unknown head", "unknown species", "state", "part of a model"],
)
def test_other_checkpoints_are_refused(make, options, message, tmp_path):
    torch.save(make(), tmp_path / "other.model")
    assert_refused(message, import_model, "mace", tmp_path / "other.model", tmp_path / "out.pt", **options)


@pytest.mark.parametrize("kind", ["EnergyDipolesMACE", "PolarMACE", "MACELES"])
def test_models_with_more_than_energies_are_refused(kind, tmp_path):
    network = type(kind, (modules.ScaleShiftMACE,), {}).__new__(modules.ScaleShiftMACE)
    network.__class__ = type(kind, (modules.ScaleShiftMACE,), {})
    with pytest.raises(ValueError, match=f"expected a MACE or ScaleShiftMACE, got {kind}, which has"):
        family._check_network(network)


def test_fine_tuning_parts_are_refused():
    with pytest.raises(ValueError, match=r"got `interactions\.0\.linear` of fine-tuning; merge it first"):
        family._check_network(in_fine_tuning())


def test_converted_models_are_refused(tmp_path, monkeypatch):
    package = types.ModuleType("cuequivariance_torch")
    package.Linear = type("Linear", (torch.nn.Linear,), {"__module__": "cuequivariance_torch"})
    monkeypatch.setitem(sys.modules, "cuequivariance_torch", package)
    model = small_model(correlation=1)
    model.products[0].linear = package.Linear(1, 1)
    torch.save(model, tmp_path / "fast.model")
    message = "which was converted to cuequivariance_torch; .* or convert it back: `mace_cueq_to_e3nn`"
    assert_refused(message, import_model, "mace", tmp_path / "fast.model", tmp_path / "out.pt")


def test_models_of_other_versions_are_refused(tmp_path, monkeypatch):
    part = type("Lost", (torch.nn.Linear,), {"__module__": "mace.modules.blocks"})
    monkeypatch.setattr(modules.blocks, "Lost", part, raising=False)
    torch.save(part(1, 1), tmp_path / "old.model")
    monkeypatch.delattr(modules.blocks, "Lost")
    message = "expected a MACE model that this version of mace-torch reads, got an error .*Lost.*; install the version"
    assert_refused(message, import_model, "mace", tmp_path / "old.model", tmp_path / "out.pt")


def test_compiled_models_are_refused(tmp_path):
    part = torch.jit.script(modules.blocks.ScaleShiftBlock(1.0, 0.0))
    part.save(tmp_path / "a_compiled.model")
    assert family.FAMILY.recognises(contents_of(tmp_path / "a_compiled.model"))
    message = "got '.*', which is compiled; give the file NAME.model that the training wrote"
    assert_refused(message, import_model, "mace", tmp_path / "a_compiled.model", tmp_path / "out.pt")


def test_other_files_are_not_recognised(tmp_path):
    torch.save({"state_dict": {"interactions.0.weight": torch.zeros(1)}, "model": "mace"}, tmp_path / "other.pt")
    (tmp_path / "other.json").write_text(json.dumps({"mace": 1}))
    for name in ("other.pt", "other.json"):
        assert not family.FAMILY.recognises(contents_of(tmp_path / name))
