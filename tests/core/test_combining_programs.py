"""Programs of combined models, compiled and not: NumPy, with what the parts give as scripts, says what is right."""

import json

import numpy as np
import pytest
from command_line import fail, succeed
from lammps_models import Inputs
from models import SquaredGradient, structures, wrap

from metatomic_core import ModelOutput
from metatomic_core.combining import combine
from metatomic_core.engine import Engine
from metatomic_core.loading import read_model_header
from metatomic_core.potentials import lennard_jones

RESULTS = ("energy", "atomic_energies", "forces", "virial")
ATOM, SYSTEM = (ModelOutput(unit="eV", sample_kind=kind) for kind in ("atom", "system"))
MEMBERS = dict.fromkeys(("energy_ensemble", "energy_uncertainty"), "atom")
SPECIES = ["H", "C", "O", "Si"]
SELECTED = np.array([[0, 1], [0, 5], [2, 0], [4, 0]])


def light(depth, dtype="float64", scale=1.0, **units):
    """Give a model of pairs that is compiled quickly, with its lengths in a unit of so many angstrom."""
    sigmas = {species: (1.5 + 0.1 * k) / scale for k, species in enumerate(SPECIES)}
    return lennard_jones(SPECIES, sigmas, dict.fromkeys(SPECIES, depth), 4.0 / scale, dtype=dtype, **units)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give paths of models with programs: in double precision, in single precision and other units."""
    folder = tmp_path_factory.mktemp("parts")
    made = {
        "double": light(0.3),
        "single": light(5.0, "float32", 10.0, length_unit="nm", energy_unit="kcal/mol"),
    }
    for name, model in made.items():
        model.save(str(folder / f"{name}.pt"), exported=True)
    return {name: folder / f"{name}.pt" for name in made}


def engine(file, kernel):
    return Engine(file, length_unit="angstrom", energy_unit="eV", device="cpu", kernel=kernel)


def assert_is(found, expected, tolerance):
    scale = max(np.abs(values).max(initial=1.0) for values in expected.values())
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=0, atol=tolerance * scale, err_msg=name)


def test_committee_of_two_precisions_is_compiled(files, tmp_path, monkeypatch):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "mixed.pt"
    combine([files["double"], files["single"]], "committee").save(str(path), exported=True)
    made = json.loads(succeed("compile", path, "--flavor", "everything", "--json").stdout)
    assert [row["flavor"] for row in made] == ["everything", "everything"]
    fast, parts = engine(path, "compiled"), [engine(file, "script") for file in files.values()]
    everything = list(structures().values())
    results = [*RESULTS, "atomic_virials"]
    batches = [*([structure] for structure in everything), everything]
    for batch, selected in [*((batch, None) for batch in batches), (everything, SELECTED)]:
        found = fast.evaluate(batch, results, outputs=MEMBERS, selected_atoms=selected)
        each = [part.evaluate(batch, results, selected_atoms=selected) for part in parts]
        assert_is(found, {name: np.mean([getattr(one, name) for one in each], axis=0) for name in results}, 1e-6)
        members = np.stack([one.atomic_energies for one in each], axis=1)
        if selected is not None:
            chosen = [found.atoms(i).start + atom for i, atom in selected]
            members[np.setdiff1d(np.arange(len(members)), chosen)] = np.nan
        scale = np.nanmax(np.abs(members), initial=1.0)
        np.testing.assert_allclose(found.outputs["energy_ensemble"], members, rtol=0, atol=1e-6 * scale)
        spread = np.std(members, axis=1, ddof=1)
        np.testing.assert_allclose(found.outputs["energy_uncertainty"][:, 0], spread, rtol=0, atol=1e-6 * scale)
    assert "script" not in fast.seconds


def test_whole_of_single_precision_and_energies_of_systems(files, tmp_path):
    of_systems = wrap(light(0.2).module, {"energy": SYSTEM})
    wholes = {
        "single": ([files["single"], files["single"]], [0.5, 0.25], 1e-5),
        "systems": ([files["double"], of_systems], [1.0, -0.5], 1e-12),
    }
    batch = list(structures().values())
    for name, (parts, weights, tolerance) in wholes.items():
        combine(parts, weights=weights).save(str(tmp_path / f"{name}.pt"), exported=True)
        whole = engine(tmp_path / f"{name}.pt", "eager")
        for selected in (None, SELECTED):
            results = ["energy", "forces", "virial"]
            found = whole.evaluate(batch, results, selected_atoms=selected)
            each = [engine(part, "script").evaluate(batch, results, selected_atoms=selected) for part in parts]
            expected = {result: sum(w * getattr(e, result) for w, e in zip(weights, each)) for result in results}
            assert_is(found, expected, tolerance)
        assert "script" not in whole.seconds


def test_combined_models_are_parts_also_where_one_computes_in_single_precision(files, tmp_path):
    with_inputs = wrap(Inputs(), {"energy": ATOM})
    combine([files["double"], files["single"]]).save(str(tmp_path / "inner.pt"), exported=True)
    outer = combine([tmp_path / "inner.pt", files["double"], with_inputs], weights=[2.0, -2.0, 1e-3])
    outer.save(str(tmp_path / "outer.pt"), exported=True)
    header = read_model_header(tmp_path / "outer.pt")
    assert header.programs, header.untraced
    structure = structures()["triclinic"]
    rng = np.random.default_rng(3)
    for name in ("masses", "charges", "velocities", "momenta"):
        shape = (len(structure.types), 3) if name in ("velocities", "momenta") else len(structure.types)
        structure.inputs[name] = rng.uniform(size=shape)
    found = engine(tmp_path / "outer.pt", "eager").evaluate([structure], RESULTS)
    single = engine(files["single"], "script").evaluate([structure], RESULTS)
    other = engine(with_inputs, "script").evaluate([structure], RESULTS)
    assert_is(found, {name: 2.0 * getattr(single, name) + 1e-3 * getattr(other, name) for name in RESULTS}, 1e-6)


@pytest.mark.parametrize("source", ["file", "python"])
def test_part_that_differentiates_itself_is_named_by_commands(source, files, tmp_path):
    path, part = tmp_path / "itself.pt", wrap(SquaredGradient())
    if source == "file":
        part.save(str(tmp_path / "part.pt"), exported=True)
        part = tmp_path / "part.pt"
    combine([files["double"], part]).save(str(path), exported=True)
    untraced = read_model_header(path).untraced
    assert "got 'SquaredGradient' without one for 'energy'; expected a model that leaves derivatives" in untraced
    assert untraced in fail("compile", path)
    assert untraced in " ".join(succeed("inspect", path).stdout.split())
