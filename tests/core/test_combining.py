"""Models made of models: energies and derivatives are those of NumPy, made of the results of the parts."""

import numpy as np
import pytest
from command_line import fail, succeed
from models import CUTOFF, FieldAndVolume, NoLists, SquaredGradient, TwoLists, WithInputs, structures, wrap

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core.combining import combine
from metatomic_core.engine import Engine
from metatomic_core.loading import read_model_header
from metatomic_core.potentials import lennard_jones

RESULTS = ("energy", "atomic_energies", "forces", "virial")
# in kcal/mol and nm: CODATA 2018
KCAL_PER_EV = 23.060547830619026
ATOM, SYSTEM = ModelOutput(unit="eV", sample_kind="atom"), ModelOutput(unit="eV", sample_kind="system")


def evaluated(model, results=RESULTS, **more):
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", kernel="script")
    return engine.evaluate(list(structures().values()), results, **more)


def in_other_units(dtype="float64"):
    return wrap(
        TwoLists(KCAL_PER_EV, 0.1),
        energy_unit="kcal/mol",
        length_unit="nm",
        interaction_range=0.1 * CUTOFF,
        dtype=dtype,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give paths of models: two lists in eV, the same in other units, one that sees positions and cells."""
    folder = tmp_path_factory.mktemp("models")
    made = {"plain": wrap(TwoLists()), "units": in_other_units(), "field": wrap(FieldAndVolume())}
    for name, model in made.items():
        model.save(str(folder / f"{name}.pt"))
    return {name: folder / f"{name}.pt" for name in made}


@pytest.mark.parametrize("source", ["files", "models", "saved"])
def test_sum_is_that_of_results(files, source, tmp_path):
    parts = [files["plain"], files["units"], files["field"]]
    if source == "models":
        parts = [wrap(TwoLists()), in_other_units(), wrap(FieldAndVolume())]
    weights = [1.0, -0.3, 2.0]
    model = combine(parts, weights=weights)
    if source == "saved":
        model.save(str(tmp_path / "sum.pt"))
        model = tmp_path / "sum.pt"
    found = evaluated(model)
    plain, field = evaluated(files["plain"]), evaluated(files["field"])
    for name in RESULTS:
        expected = 0.7 * getattr(plain, name) + 2.0 * getattr(field, name)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-10, err_msg=name)


def test_committee_is_that_of_numpy(files, tmp_path):
    model = combine([files["plain"], files["field"], wrap(TwoLists(1.5))], "committee")
    model.save(str(tmp_path / "committee.pt"))
    asked = {"energy_uncertainty": "system", "energy_ensemble": "system"}
    found = evaluated(tmp_path / "committee.pt", outputs=asked)
    parts = [evaluated(part) for part in (files["plain"], files["field"], wrap(TwoLists(1.5)))]
    for name in RESULTS:
        expected = np.mean([getattr(part, name) for part in parts], axis=0)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-11, err_msg=name)
    members = np.stack([part.energy for part in parts], axis=1)
    np.testing.assert_allclose(found.outputs["energy_ensemble"], members, rtol=0, atol=1e-11)
    spread = np.std(members, axis=1, ddof=1)
    np.testing.assert_allclose(found.outputs["energy_uncertainty"][:, 0], spread, rtol=0, atol=1e-11)
    # of atoms: not a part of that of the structure
    of_atoms = evaluated(tmp_path / "committee.pt", outputs=dict.fromkeys(asked, "atom"))
    members = np.stack([part.atomic_energies for part in parts], axis=1)
    spread = np.std(members, axis=1, ddof=1)
    np.testing.assert_allclose(of_atoms.outputs["energy_uncertainty"][:, 0], spread, rtol=0, atol=1e-11)


def test_forces_of_members_are_those_of_the_parts(files):
    model = combine([files["plain"], files["field"]], "committee")
    engine = Engine(model, length_unit="angstrom", energy_unit="eV")
    structure = structures()["triclinic"]
    found = engine.evaluate([structure], ["member_energies", "member_forces", "member_virials"])
    for number, name in enumerate(("plain", "field")):
        part = Engine(files[name], length_unit="angstrom", energy_unit="eV").evaluate([structure], RESULTS)
        np.testing.assert_allclose(found.member_energies[number], part.energy, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.member_forces[number], part.forces, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.member_virials[number], part.virial, rtol=0, atol=1e-11)


def test_selected_atoms_are_those_of_the_parts(files):
    selected = np.array([[0, 1], [0, 5], [2, 0], [4, 0]])
    found = evaluated(combine([files["plain"], files["field"]]), selected_atoms=selected)
    parts = [evaluated(files[name], selected_atoms=selected) for name in ("plain", "field")]
    for name in RESULTS:
        expected = sum(getattr(part, name) for part in parts)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-11, err_msg=name)


def test_what_differentiates_by_itself_is_a_part(files):
    found = evaluated(combine([wrap(SquaredGradient()), files["plain"]]))
    parts = [evaluated(wrap(SquaredGradient())), evaluated(files["plain"])]
    for name in RESULTS:
        expected = sum(getattr(part, name) for part in parts)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-10, err_msg=name)


def test_what_differentiates_by_itself_is_not_converted(files):
    with pytest.raises(ValueError, match="expected models that differentiate by themselves in 'nm' and float64"):
        combine([files["units"], wrap(SquaredGradient())])


def test_variants_are_chosen():
    outputs = {"energy": ATOM, "energy/doubled": ModelOutput(unit="eV", sample_kind="atom", description="twice")}
    model = wrap(TwoLists(), outputs)
    found = evaluated(combine([model, model], weights=[0.5, 0.25], variants=[None, "doubled"]))
    np.testing.assert_allclose(found.forces, evaluated(model).forces, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="doubeld"):
        combine([model, model], variants=[None, "doubeld"])


def test_inputs_reach_the_parts(files):
    outputs = {"energy": ATOM}
    with_inputs = wrap(WithInputs(), outputs)
    model = combine([with_inputs, files["plain"]])
    assert set(model.requested_inputs()) == set(with_inputs.requested_inputs())
    structure = structures()["triclinic"]
    n_atoms = len(structure.types)
    structure.inputs.update(
        {
            "mass": np.arange(n_atoms) + 1.0,
            "charge": np.arange(n_atoms) / 7,
            "spin_multiplicity": np.array([3.0]),
            "tests::field": np.array([[0.1, -0.2, 0.3]]),
        }
    )
    energies = [
        Engine(each, length_unit="angstrom", energy_unit="eV").evaluate([structure]).energy[0]
        for each in (model, with_inputs, files["plain"])
    ]
    assert energies[0] == pytest.approx(energies[1] + energies[2], abs=1e-11)
    assert abs(energies[1]) > 1.0


def test_capabilities_are_what_parts_have_in_common(files):
    argon = lennard_jones(["Ar", "C"], {"Ar": 3.4, "C": 3.0}, {"Ar": 0.01, "C": 0.005}, cutoff=6.0, dtype="float32")
    model = combine([argon, files["units"]])
    capabilities = model.capabilities()
    assert (capabilities.atomic_types, capabilities.dtype) == ([6], "float64")
    assert capabilities.interaction_range == pytest.approx(6.0)
    assert capabilities.outputs["energy"].unit == argon.capabilities().outputs["energy"].unit
    assert {round(options.cutoff, 9) for options in model.requested_neighbor_lists()} == {6.0, 4.0, 2.5}
    references = argon.metadata().references
    assert all(set(references[kind]) <= set(model.metadata().references[kind]) for kind in references)
    assert model.metadata().extra["sum of"].startswith("1 x Lennard-Jones")
    per_system = wrap(TwoLists(), {"energy": SYSTEM})
    assert combine([per_system, files["plain"]]).capabilities().outputs["energy"].sample_kind == "system"


def test_parts_of_single_precision_compute_in_it():
    single = wrap(TwoLists(), dtype="float32")
    found, expected = evaluated(combine([single, single])), evaluated(single)
    np.testing.assert_allclose(found.forces, 2 * expected.forces, rtol=0, atol=1e-5)
    mixed = combine([single, wrap(TwoLists())])
    assert mixed.capabilities().dtype == "float64"
    np.testing.assert_allclose(evaluated(mixed).forces, 2 * evaluated(wrap(TwoLists())).forces, rtol=0, atol=1e-4)


def test_models_of_the_caller_stay(files):
    model = wrap(TwoLists())
    combined = combine([model, model])
    assert combined.module.parts[0].core is not model.core


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"how": "summ"}, "expected `how` to be .*, got 'summ'; did you mean 'sum'"),
        ({"weights": [1.0]}, "expected one of `weights` for each of 2 models, got 1"),
        ({"variants": ["a"]}, "expected one of `variants` for each of 2 models, got 1"),
        ({"how": "committee", "weights": [1.0, 2.0]}, "expected no `weights` for a committee"),
    ],
)
def test_wrong_arguments_are_refused(arguments, text):
    model = wrap(NoLists())
    with pytest.raises(ValueError, match=text):
        combine([model, model], **arguments)


def test_models_that_do_not_go_together_are_refused(tmp_path):
    model = wrap(NoLists())
    with pytest.raises(ValueError, match="expected at least 2 models for a committee, got 1"):
        combine([model], "committee")
    with pytest.raises(ValueError, match="expected several models, or one with a weight or a variant, got one alone"):
        combine([model])
    with pytest.raises(ValueError, match="expected models with species in common, got H C O Si; Ar"):
        combine([model, lennard_jones()])
    with pytest.raises(TypeError, match="expected `models` to be a list of models, got str"):
        combine("model.pt")
    with pytest.raises(TypeError, match="expected `models` to be files or models, got TwoLists at number 1"):
        combine([model, TwoLists()])
    with pytest.warns(UserWarning, match="lengths will not be converted"):
        bare = AtomisticModel(
            NoLists().eval(), ModelMetadata(), ModelCapabilities({"energy": ATOM}, [1], 4.0, "", ["cpu"], "float64")
        )
    with pytest.raises(ValueError, match="expected models that all have a unit of length, or none, got '' and 'ang"):
        combine([model, bare])
    with pytest.raises(FileNotFoundError):
        combine([model, tmp_path / "no.pt"])


def test_command_writes_a_file(files, tmp_path):
    path = tmp_path / "both.pt"
    text = succeed("combine", files["plain"], files["field"], "--weight", 1, "--weight", 2, "-o", path).stdout
    assert text.startswith(f"wrote {path}: sum of TwoLists, FieldAndVolume (species H C O Si, float64)")
    assert read_model_header(path).metadata.extra["sum of"] == "1 x TwoLists, energy; 2 x FieldAndVolume, energy"
    committee = tmp_path / "committee.pt"
    succeed("combine", files["plain"], files["units"], "--committee", "--name", "two", "-o", committee, "--json")
    assert read_model_header(committee).metadata.name == "two"
    assert "energy_uncertainty" in read_model_header(committee).capabilities.outputs
    error = fail("combine", files["plain"], files["field"], "--weight", 1, "-o", tmp_path / "no.pt")
    assert "expected one of `weights` for each of 2 models, got 1" in error
    assert "which exists; choose another" in fail("combine", files["plain"], files["field"], "-o", path)
    assert not (tmp_path / "no.pt").exists()
