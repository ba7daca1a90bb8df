"""Models of TorchANI: the file gives what its own calculator gives, and what is not carried over is refused.

The models are random and small, for the weights of published ones come from a hub. The session `importers(torchani)`
runs this.
"""

import types
import warnings

import numpy as np
import pytest
import torch
from ase.units import Hartree
from command_line import fail, succeed
from family_cases import assert_agrees, assert_refused, engine_structure, keep, structures

from metatomic_ase import MetatomicCalculator
from metatomic_core.engine import Engine
from metatomic_core.kernels import compiling
from metatomic_core.kernels.compiling import tasks as all_tasks
from metatomic_core.loading import read_model_header
from metatomic_importers import import_model
from metatomic_importers.contents import contents_of
from metatomic_importers.families import torchani as family

with warnings.catch_warnings():
    # about compiled extensions, which are for GPUs
    warnings.simplefilter("ignore")
    import torchani
    from torchani.aev import ANIAngular, ANIRadial
    from torchani.arch import ANI, Assembler, simple_aniq
    from torchani.ase import from_ase
    from torchani.nn import ANINetworks, ANISharedNetworks, Ensemble, SingleNN
    from torchani.potentials import LennardJones, RepulsionXTB, RepulsionZBL, TwoBodyDispersionD3

# ASE, about TorchANI's calculator, which gives stress as a matrix
pytestmark = pytest.mark.filterwarnings("ignore:Converting 3x3 stress tensor:UserWarning")

SYMBOLS = ("H", "C", "N", "O")
SMALL = {"dims": {"H": (9, 7), "O": (6,)}, "default_dims": (8, 5), "bias": True, "activation": "celu"}
XTB = {"repulsion": (RepulsionXTB, 5.0, {})}
D3 = {"dispersion": (TwoBodyDispersionD3, 6.0, {"functional": "b973c"})}
# kinds of models: what differs from `small_model`
KINDS = {
    "ensemble": {"n_members": 3},
    "one": {"symbols": ("O", "C", "H", "N"), "cutoff_fn": "smooth", "networks": {**SMALL, "activation": "gelu"}},
    "pair terms": {"n_members": 2, "symbols": ("N", "O", "C", "H"), "potentials": XTB | D3, "cutoff_fn": "smooth"},
    "other pair terms": {
        "potentials": {"zbl": (RepulsionZBL, 3.0, {}), "lj": (LennardJones, 5.3, {})},
        "cutoff_fn": "smooth",
    },
    "one network": {"n_members": 2, "container": SingleNN, "networks": {"dims": (8, 6)}},
    "one hot": {"n_members": 2, "container": SingleNN, "networks": {"dims": (8,), "embed_kind": "one-hot"}},
    "nothing of elements": {"container": SingleNN, "networks": {"dims": (8,), "embed_kind": "none"}},
    "shared": {
        "n_members": 2,
        "container": ANISharedNetworks,
        "networks": {"shared_dims": (10,), "dims": {}, "default_dims": (7, 4)},
    },
    # without energies of thousands of eV
    "relative": {"n_members": 2, "self_energies": False},
    "tiny": {
        "symbols": ("O",),
        "networks": {"dims": {}, "default_dims": (3,)},
        "self_energies": False,
    },
}


def small_model(
    n_members=1,
    symbols=SYMBOLS,
    cutoff_fn="cosine",
    container=ANINetworks,
    networks=SMALL,
    potentials=(),
    self_energies=True,
    **options,
):
    """Give a random model."""
    torch.manual_seed(7)
    assembler = Assembler(**options)
    assembler.set_symbols(symbols)
    assembler.set_global_cutoff_fn(cutoff_fn)
    assembler.set_aev_computer(
        radial=ANIRadial.cover_linearly(0.8, 4.8, eta=9.0, num_shifts=6),
        angular=ANIAngular.cover_linearly(0.8, 3.5, eta=6.0, zeta=14.1, num_shifts=3, num_sections=2),
    )
    assembler.set_atomic_networks(cls=container, ctor="build", kwargs=networks)
    assembler.set_neighborlist("all_pairs")
    if self_energies:
        assembler.set_gsaes_as_self_energies("wb97x-631gd")
    else:
        assembler.set_zeros_as_self_energies()
    for name, (cls, cutoff, kwargs) in dict(potentials).items():
        assembler.add_potential(cls, name=name, cutoff=cutoff, kwargs=kwargs)
    model = assembler.assemble(n_members)
    members = getattr(model.neural_networks, "members", [])
    for member in members[1:]:
        # not far from the first: who runs them is warned of uncertainties
        for parameter, of_first in zip(member.parameters(), members[0].parameters(), strict=True):
            parameter.data = of_first.data + 1e-4 * torch.randn_like(of_first)
    return model


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Give checkpoints by kind, files made from them, and own calculators in float64."""
    folder = tmp_path_factory.mktemp("torchani")

    def checkpoint(kind):
        path = folder / f"{kind}.ckpt"
        if not path.exists():
            torch.save(small_model(**KINDS[kind]), path)
        return path

    def imported(kind, dtype="float64", **options):
        path = folder / f"{kind}-{dtype}-{'-'.join(map(str, options.values()))}.pt"
        if not path.exists():
            import_model("torchani", checkpoint(kind), path, dtype=dtype, **options)
        return path

    def own(kind):
        return torch.load(checkpoint(kind), weights_only=False).double().ase()

    return types.SimpleNamespace(checkpoint=checkpoint, imported=imported, own=own, folder=folder)


@pytest.fixture(scope="session")
def cases():
    found = structures("C", "O", "H", 3.3)
    # torchani takes the Cartesian components of directions that are not periodic for those of the cell
    found["slab"].cell[2] = [0.0, 0.0, 20.0]
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tiny"])
def test_results_are_those_of_the_package_in_float64(kind, models, cases):
    path = models.imported(kind)
    assert_agrees(path, models.own(kind), cases, energy=1e-9, forces=1e-9, stress=1e-9)
    if kind in ("ensemble", "pair terms"):
        keep(path, kind.replace(" ", "-"), models.own(kind), cases)


def test_results_are_those_of_the_package_in_float32(models, cases):
    path = models.imported("relative", "float32")
    assert_agrees(path, models.own("relative"), cases, energy=1e-5, forces=1e-4, stress=1e-5)
    keep(path, "relative-float32", models.own("relative"), cases)
    # energies of thousands of eV are rounded; forces are not
    path = models.imported("pair terms", "float32")
    assert_agrees(path, models.own("pair terms"), cases, energy=4e-4, forces=1e-4, stress=1e-5)


@pytest.mark.parametrize("kind", ["ensemble", "pair terms", "one network", "shared"])
def test_energies_of_atoms_add_up_in_batches_and_selections(kind, models, cases):
    engine = Engine(models.imported(kind), length_unit="angstrom", energy_unit="eV")
    results = ["energy", "forces", "atomic_energies"]
    batch = [engine_structure(cases[name]) for name in ("molecule", "triclinic", "atom")]
    together = engine.evaluate(batch, results)
    each = [engine.evaluate([structure], results) for structure in batch]
    for name in results:
        joined = np.concatenate([getattr(one, name) for one in each])
        np.testing.assert_allclose(getattr(together, name), joined, atol=1e-9, rtol=0)
    sizes = np.cumsum([0, *(len(structure.types) for structure in batch)])
    sums = np.add.reduceat(together.atomic_energies, sizes[:-1])
    np.testing.assert_allclose(together.energy, sums, atol=1e-9, rtol=0)
    chosen = np.array([[0, 3], [0, 1], [1, 2], [1, 6], [2, 0]])
    selected = engine.evaluate(batch, ["energy"], selected_atoms=chosen).energy
    rows = sizes[chosen[:, 0]] + chosen[:, 1]
    expected = np.bincount(chosen[:, 0], together.atomic_energies[rows])
    np.testing.assert_allclose(selected, expected, atol=1e-9, rtol=0)


def test_members_and_their_spread_are_those_of_the_package(models, cases):
    model = torch.load(models.checkpoint("ensemble"), weights_only=False).double()
    engine = Engine(models.imported("ensemble"), length_unit="angstrom", energy_unit="eV")
    names = ("energy_ensemble", "energy_uncertainty")
    for name in ("molecule", "triclinic"):
        species, positions, cell, pbc = from_ase(cases[name], None, torch.float64)
        inputs = ((species, positions), cell, pbc)

        def found(kind, name=name):
            outputs = engine.evaluate([engine_structure(cases[name])], [], outputs=dict.fromkeys(names, kind)).outputs
            return [np.squeeze(np.asarray(outputs[output])) for output in names]

        members, spread = found("system")
        expected = Hartree * model(*inputs, ensemble_values=True).energies
        np.testing.assert_allclose(members, expected.detach().squeeze(1), atol=1e-8, rtol=0)
        # torchani's factor for query by committee is divided by the root of the number of atoms
        expected = Hartree * model.energies_qbcs(*inputs).qbcs * len(cases[name]) ** 0.5
        np.testing.assert_allclose(spread, expected.item(), atol=1e-9, rtol=0)
        members, spread = found("atom")
        assert members.shape == (len(cases[name]), 3)
        expected = Hartree * model.atomic_stdev(*inputs).stdev_atomic_energies
        np.testing.assert_allclose(spread, expected.detach().squeeze(0), atol=1e-9, rtol=0)
    assert list(read_model_header(models.imported("one")).capabilities.outputs) == ["energy"]


def test_members_and_terms_that_are_off_are_left_out(cases, tmp_path):
    model = small_model(n_members=3, potentials=XTB | D3)
    model.set_active_members([0, 2])
    model.set_enabled("dispersion", val=False)
    model.set_enabled("energy_shifter", val=False)
    torch.save(model, tmp_path / "part.ckpt")
    report = import_model("torchani", tmp_path / "part.ckpt", tmp_path / "part.pt")
    assert_agrees(report.file, model.double().ase(), {"molecule": cases["molecule"]}, 1e-9, 1e-9, 1e-9)
    capabilities = report.model.capabilities()
    assert capabilities.interaction_range == 5.0
    assert "energy_uncertainty" in capabilities.outputs
    assert "2 networks for each element" in report.model.metadata().description


def test_order_of_species_and_kind_of_input_do_not_matter(models, cases, tmp_path):
    model = small_model(**KINDS["one"], periodic_table_index=False)
    torch.save(model, tmp_path / "indices.ckpt")
    import_model("torchani", tmp_path / "indices.ckpt", tmp_path / "indices.pt")
    assert_agrees(tmp_path / "indices.pt", models.own("one"), cases, energy=1e-9, forces=1e-9, stress=1e-9)
    assert list(read_model_header(tmp_path / "indices.pt").capabilities.atomic_types) == [8, 6, 1, 7]


def test_file_knows_the_species_that_were_asked_for(models, cases):
    path = models.imported("ensemble", species=("O", "H"))
    assert list(read_model_header(path).capabilities.atomic_types) == [1, 8]
    water = cases["molecule"][[0, 2, 4]]
    assert set(water.symbols) == {"H", "O"}
    assert_agrees(path, models.own("ensemble"), {"water": water}, energy=1e-9, forces=1e-9, stress=1e-9)
    atoms = cases["molecule"].copy()
    atoms.calc = MetatomicCalculator(path)
    with pytest.raises(ValueError, match="expected atomic types that this model knows"):
        atoms.get_potential_energy()


def test_file_says_what_it_is(models):
    header = read_model_header(models.imported("pair terms"))
    capabilities, metadata = header.capabilities, header.metadata
    assert capabilities.length_unit == "angstrom"
    assert capabilities.outputs["energy"].unit == "eV"
    # the coefficients of D3 depend on the neighbors of neighbors
    assert capabilities.interaction_range == 12.0
    assert read_model_header(models.imported("ensemble")).capabilities.interaction_range == 4.8
    assert read_model_header(models.imported("ensemble")).is_local
    assert metadata.name == "pair terms"
    assert "doi:10.1021/acs.jcim.5c01853" in metadata.references["implementation"]
    assert "doi:10.1021/acs.jctc.8b01176" in metadata.references["architecture"]
    assert "doi:10.1002/jcc.21759" in metadata.references["architecture"]
    assert metadata.extra["imported from"] == f"pair terms.ckpt, with torchani {torchani.__version__}"
    assert "Permission is hereby granted" in metadata.extra["licence of code"]
    assert metadata.extra["licence of weights"].startswith("not known")
    assert len(metadata.extra["sha256 of checkpoint"]) == 64
    assert "on 7 structures" in metadata.extra["compared"]


@pytest.mark.long
@pytest.mark.slow
def test_kernels_agree(models, cases, monkeypatch):
    path = models.imported("tiny", exported=True)
    header = read_model_header(path)
    assert header.untraced == ""
    # of all atoms, and of selected ones
    assert [program.selects for program in header.programs] == [False, True]
    # of all atoms alone: another half minute for selected ones
    monkeypatch.setattr(compiling, "tasks", lambda *given, **options: all_tasks(*given, **options)[:1])
    compiling.compile_model(str(path), flavors=["forces"])
    atoms = cases["triclinic"].copy()
    atoms.symbols[:] = "O"
    atoms.calc = models.own("tiny")
    for kernel in ("script", "eager", "compiled"):
        got = atoms.copy()
        got.calc = MetatomicCalculator(path, kernel=kernel)
        np.testing.assert_allclose(got.get_potential_energy(), atoms.get_potential_energy(), atol=1e-9, rtol=0)
        np.testing.assert_allclose(got.get_forces(), atoms.get_forces(), atol=1e-9, rtol=0)
        np.testing.assert_allclose(got.get_stress(), atoms.get_stress(), atol=1e-9, rtol=0)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Where TorchANI keeps files, with that of a model as ANI-1x but for its weights, and the model."""
    monkeypatch.setenv("TORCHANI_DATA_DIR", str(tmp_path))
    (tmp_path / "StateDicts").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(torchani.models, "_fetch_state_dict", lambda *_, **__: {})
        patch.setattr(ANI, "load_state_dict", lambda *_: None)
        model = torchani.models.ANI1x()
    file = tmp_path / "StateDicts" / "ani1x_state_dict.pt"
    torch.save(model.state_dict(), file)
    return types.SimpleNamespace(model=model, file=file)


@pytest.mark.filterwarnings("ignore:expected uncertainties of atomic energies:UserWarning")  # as random as they are
def test_published_models_are_where_torchani_keeps_them(hub, cases, tmp_path):
    assert family.shipped() == {"ANI1x": hub.file}
    report = import_model("torchani", "ANI1x", tmp_path / "ani1x.pt", species=["H", "O"])
    water = cases["molecule"][[0, 2, 4]]
    assert_agrees(report.file, hub.model.double().ase(), {"water": water}, energy=1e-9, forces=1e-9, stress=1e-9)
    metadata = report.model.metadata()
    assert metadata.name == "ANI1x"
    assert metadata.description == "ANI1x, 8 networks for each element"
    assert metadata.references["model"] == ["doi:10.1063/1.5023802"]
    assert "ANI1x" in succeed("import", "--families").stdout


def test_parameters_under_other_names_are_refused(hub, tmp_path):
    output = tmp_path / "out.pt"
    mine = hub.file.rename(hub.file.with_name("mine.pt"))
    assert family.recognises(contents_of(mine))
    message = "expected a whole model, or a published one .*, got '.*mine.pt', which has parameters alone; save the"
    assert_refused(message, import_model, "torchani", mine, output)
    torch.save(small_model().state_dict(), hub.file)
    message = "expected the parameters of ANI1x, got 'ANI1x', which has others: Error\\(s\\) in loading"
    assert_refused(message, import_model, "torchani", "ANI1x", output)
    assert "got 'ANI2x'; did you mean 'ANI1x'" in fail("import", "torchani", "ANI2x", "-o", output)


def test_nothing_is_looked_for_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHANI_DATA_DIR", str(tmp_path / "empty"))
    assert family.shipped() == {}
    assert not (tmp_path / "empty").exists()
    assert_refused("got 'ANI2x', which is not there", import_model, "torchani", "ANI2x", tmp_path / "out.pt")


class OfMine(ANI):
    """May do something else."""


class PairOfMine(LennardJones):
    """May look at other atoms."""


def changed(change, **options):
    model = small_model(**options)
    change(model)
    return model


def with_other_layers():
    members = [small_model().neural_networks, small_model(networks={**SMALL, "default_dims": (4, 5)}).neural_networks]
    return changed(lambda model: setattr(model.nnp, "neural_networks", Ensemble(members)))


LAYERS = {"dims": {}, "default_dims": (3,), "activation": "celu", "bias": True}
WRONG = {
    "charges": (
        lambda: simple_aniq(SYMBOLS, "wb97x-631gd", strategy="pyaev"),
        "got one with networks for charges, ANIq, which are not imported; make a model of its energies alone",
    ),
    "a class of mine": (
        lambda: changed(lambda model: setattr(model, "__class__", OfMine)),
        "expected a model of the class ANI, as the Assembler of torchani makes it, got OfMine, which is not imported",
    ),
    "features alone": (
        lambda: small_model().aev_computer,
        r"expected a model of the class ANI, .*, got AEVComputer, which is not imported",
    ),
    "several": (lambda: {"model": small_model()}, r"expected a model of the class ANI, .*, got dict, which is not"),
    "a potential of mine": (
        lambda: small_model(potentials={"mine": (PairOfMine, 4.0, {})}, cutoff_fn="smooth"),
        r"got PairOfMine for 'mine'; leave it out with `set_enabled\('mine', False\)`",
    ),
    "no cutoff": (
        lambda: small_model(potentials={"repulsion": (RepulsionXTB, float("inf"), {})}),
        "expected potentials with a cutoff, got none for 'repulsion'; make the model with one",
    ),
    "no networks": (
        lambda: changed(lambda model: model.set_enabled("nnp", val=False)),
        r"expected a model whose networks are on, got one without; call `set_enabled\('nnp'\)` first",
    ),
    "networks for inference": (
        lambda: small_model(n_members=2, networks=LAYERS).to_infer_model(),
        r"expected networks ANINetworks, .*, got BmmEnsemble; save the model before `to_infer_model`",
    ),
    "members with other layers": (with_other_layers, "expected members with the same layers, got different ones"),
    "two values": (
        lambda: small_model(networks={**SMALL, "out_dim": 2}),
        "expected networks that give energies, got some that give more values",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_carried_over_is_refused(name, tmp_path):
    make, message = WRONG[name]
    torch.save(make(), tmp_path / "wrong.ckpt")
    assert_refused(message, import_model, "torchani", tmp_path / "wrong.ckpt", tmp_path / "out.pt")


def test_compiled_models_and_those_of_other_versions_are_refused(monkeypatch, tmp_path):
    output = tmp_path / "out.pt"
    torch.jit.script(small_model(**KINDS["tiny"])).save(str(tmp_path / "compiled.pt"))
    assert family.recognises(contents_of(tmp_path / "compiled.pt"))
    message = "got '.*', which is a compiled one; save the model whole"
    assert_refused(message, import_model, "torchani", tmp_path / "compiled.pt", output)
    torch.save(small_model(**KINDS["tiny"]), tmp_path / "old.ckpt")
    monkeypatch.delattr(torchani.sae, "SelfEnergy")
    message = "expected a model that this version of torchani loads, got '.*': .*SelfEnergy"
    assert_refused(message, import_model, "torchani", tmp_path / "old.ckpt", output)


def test_other_files_and_wrong_options_are_refused(models, tmp_path):
    output = tmp_path / "out.pt"
    for content in ({"aev": torch.zeros(3), "energy_shifter": 1}, torch.nn.Linear(1, 1)):
        torch.save(content, tmp_path / "other.pt")
        assert not family.recognises(contents_of(tmp_path / "other.pt"))
    assert_refused("which is a model file already", import_model, "torchani", models.imported("one"), output)
    checkpoint = models.checkpoint("ensemble")
    message = "expected `species` among H C N O, got Si"
    assert_refused(message, import_model, "torchani", checkpoint, output, species=["Si"])
    message = "expected no head, modal or task for torchani"
    assert_refused(message, import_model, "torchani", checkpoint, output, part="main")
