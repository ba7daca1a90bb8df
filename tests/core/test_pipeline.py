"""``AtomisticModel.evaluate``: requests, inputs, units, variants, selections and other outputs on plain tensors."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorMap
from models import (
    Direct,
    FieldAndVolume,
    Pairs,
    Probe,
    SquaredGradient,
    TwoLists,
    WithInputs,
    per_atom_map,
    structures,
    through_file,
    wrap,
)

from metatomic_core import ModelOutput, NeighborListOptions, System, load_atomistic_model
from metatomic_core.neighbor_lists import NeighborLists

ENGINE = {"length": "angstrom", "energy": "eV"}
UNITS = {"engine": ENGINE}
NO_PAIRS = torch.zeros(0, 5, dtype=torch.int64)
ENERGY = ModelOutput(unit="eV", sample_kind="atom")
STRUCTURES = structures()
ALL_RESULTS = dict.fromkeys(("energy", "atomic_energies", "forces", "virial", "stress", "atomic_virials"), "energy")


class Detached(torch.nn.Module):
    """Loses the graph on the way."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        positions = torch.cat([system.positions for system in systems]).detach()
        return {"energy": per_atom_map(positions.sum(1, keepdim=True), systems, "system", None, "energy")}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]


@pytest.fixture(params=["eager", "loaded"])
def both(request):
    """Give a function that passes a model on, or saves and loads it."""
    return through_file if request.param == "loaded" else lambda model: model


def tensors(structure):
    return {
        "types": torch.tensor(structure.types),
        "positions": torch.tensor(structure.positions),
        "cell": torch.tensor(structure.cell),
        "pbc": torch.tensor(structure.pbc),
    }


def pairs_for(model, structure):
    requests = [
        (options.engine_cutoff("angstrom"), options.full_list, True) for options in model.requested_neighbor_lists()
    ]
    plain = tensors(structure)
    return NeighborLists(requests, 0.0).compute(plain["positions"], plain["cell"], plain["pbc"])[0]


def evaluate(
    model, names, request, outputs=None, *, selected=None, units=None, output_units=None, check=True, **inputs
):
    batch = [STRUCTURES[name] for name in names]
    selected = None if selected is None else torch.tensor(selected)
    data = {name.replace("__", "::"): torch.tensor(value, dtype=torch.float64) for name, value in inputs.items()}
    results, values, maps = model.evaluate(
        [tensors(structure) for structure in batch],
        [pairs_for(model, structure) for structure in batch],
        selected,
        request,
        outputs or {},
        {**UNITS, "inputs": units or {}, "outputs": output_units or {}},
        check,
        inputs=[data] * len(batch),
    )
    assert set(results) == set(request)
    return {**values, **results}, maps


@pytest.mark.parametrize("module", [TwoLists, SquaredGradient, FieldAndVolume])
def test_vectors_of_the_engine_give_what_computed_ones_give(module, both):
    """In other units than the model's; pair vectors of modules that differentiate are connected to positions."""
    model = both(wrap(module()))
    names = ["triclinic", "slab", "small cell"]
    request = dict.fromkeys(("energy", "forces", "virial"), "energy")
    batch = [STRUCTURES[name] for name in names]
    plain = [tensors(structure) for structure in batch]
    for structure in plain:
        structure["positions"], structure["cell"] = structure["positions"] / 10, structure["cell"] / 10
    requests = [(options.engine_cutoff("nm"), options.full_list, True) for options in model.requested_neighbor_lists()]
    found = [NeighborLists(requests, 0.0).compute(s["positions"], s["cell"], s["pbc"]) for s in plain]
    pairs, vectors = [pairs for pairs, _ in found], [vectors for _, vectors in found]
    units = {"engine": {"length": "nm", "energy": "eV"}}
    computed = model.evaluate(plain, pairs, None, request, {}, units, True)[0]
    given = model.evaluate(plain, pairs, None, request, {}, units, True, vectors)[0]
    for name in request:
        np.testing.assert_allclose(given[name], computed[name], rtol=0, atol=1e-11)
    # they are what the model sees: one that is not what pairs and positions say is found by the checks
    vectors[1][0] = vectors[1][0].clone()
    vectors[1][0][0, 1] += 0.01
    with pytest.raises((ValueError, torch.jit.Error), match="expected neighbor vectors to be positions"):
        model.evaluate(plain, pairs, None, request, {}, units, True, vectors)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([], "expected `vectors` for 1 structures, got 0"),
        ([[]], "expected 2 lists of vectors for structure 0, got 0"),
        ([[torch.zeros(2, 3), torch.zeros(7, 3)]], r"expected `vectors` of the shape \(\d+, 3\), got .*\[2, 3\]"),
    ],
)
def test_vectors_that_do_not_fit_the_pairs_are_refused(vectors, message, both):
    model = both(wrap(TwoLists()))
    structure = STRUCTURES["triclinic"]
    with pytest.raises((ValueError, torch.jit.Error), match=message):
        model.evaluate(
            [tensors(structure)], [pairs_for(model, structure)], None, {"energy": "energy"}, {}, UNITS, False, vectors
        )


def test_inputs_are_converted_and_attached(both):
    """Oracle: the formula of the model, in numpy."""
    inputs = {
        "masses": [1000.0, 2000.0, 3000.0, 4000.0],
        "charge": [0.5, -0.5, 1.0, 2.0],
        "spin_multiplicity": [3.0],
        "tests__field": [10.0, 0.0, -20.0],
    }
    model = both(wrap(WithInputs()))
    units = {"masses": "electron_mass", "charge": "e", "tests::field": "eV/nm"}
    values, _ = evaluate(model, ["molecule"], {"energy": "energy", "forces": "energy"}, units=units, **inputs)
    electron_mass = 5.485799090441e-4  # u, CODATA 2022
    expected = electron_mass * 10000.0 + 3.0 * np.square(inputs["charge"]).sum()
    expected += (STRUCTURES["molecule"].positions @ np.array([1.0, 0.0, -2.0])).sum()
    assert float(values["energy"]) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(values["forces"], np.tile([-1.0, 0.0, 2.0], (4, 1)), rtol=1e-12)


def test_units_of_inputs_are_found_under_either_spelling():
    inputs = {"masses": [1.0] * 4, "charge": [0.0] * 4, "spin_multiplicity": [1.0], "tests__field": [0.0] * 3}
    model = wrap(WithInputs())
    plural, _ = evaluate(model, ["molecule"], {"energy": "energy"}, units={"masses": "kg"}, **inputs)
    singular, _ = evaluate(model, ["molecule"], {"energy": "energy"}, units={"mass": "kg"}, **inputs)
    assert float(plural["energy"]) == float(singular["energy"]) > 1e26


def test_input_of_wrong_size_is_refused():
    inputs = {"masses": [1.0] * 3, "charge": [0.0] * 4, "spin_multiplicity": [1.0], "tests__field": [0.0] * 3}
    with pytest.raises(ValueError, match="expected input 'masses' of the shape"):
        evaluate(wrap(WithInputs()), ["molecule"], {"energy": "energy"}, **inputs)


def test_direct_predictions_are_matched_by_label(both):
    """The model gives atoms and systems in reverse order."""
    outputs = {
        "energy": ENERGY,
        "non_conservative_forces": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
    }
    model = both(wrap(Direct(), outputs))
    request = {
        "energy": "energy",
        "forces": "non_conservative_force",
        "stress": "non_conservative_stress",
        "virial": "non_conservative_stress",
    }
    names = ["triclinic", "small cell"]
    values, _ = evaluate(model, names, request)
    positions = np.concatenate([STRUCTURES[name].positions for name in names])
    expected = np.stack([[0, 1, 2, 3, 4, 5, 0, 1], [0] * 6 + [1] * 2, positions[:, 0]], axis=1)
    np.testing.assert_array_equal(values["forces"], expected)
    for index, name in enumerate(names):
        cell = STRUCTURES[name].cell
        np.testing.assert_array_equal(values["stress"][index], cell)
        np.testing.assert_allclose(values["virial"][index], -cell * abs(np.linalg.det(cell)), rtol=1e-13)


@pytest.mark.parametrize("name", ["non_conservative_force", "non_conservative_forces"])
def test_answer_comes_under_the_spelling_that_was_asked_for(name, both):
    outputs = {"energy": ENERGY, "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom")}
    model = both(wrap(Direct(), outputs))
    assert {"non_conservative_force", "non_conservative_forces"} < set(model.capabilities().outputs)
    _, maps = evaluate(model, ["molecule"], {}, {name: "atom"})
    assert list(maps) == [name]


def test_variants_ensemble_and_units_of_outputs(both):
    outputs = {
        "energy": ENERGY,
        "energy/doubled": ModelOutput(unit="kJ/mol", sample_kind="atom", description="twice the energy"),
        "energy_ensemble": ENERGY,
    }
    model = both(wrap(TwoLists(), outputs))
    plain, _ = evaluate(model, ["triclinic", "slab"], ALL_RESULTS)
    doubled, _ = evaluate(model, ["triclinic", "slab"], dict.fromkeys(ALL_RESULTS, "energy/doubled"))
    for name in ALL_RESULTS:
        torch.testing.assert_close(doubled[name], plain[name] * 2 / 96.48533212331, rtol=1e-9, atol=1e-14)
    others, maps = evaluate(model, ["triclinic", "slab"], {}, {"energy_ensemble": "system"})
    ensemble = plain["energy"].unsqueeze(1) * torch.tensor([0.9, 1.0, 1.1], dtype=torch.float64)
    torch.testing.assert_close(others["energy_ensemble"], ensemble, rtol=1e-13, atol=0)
    assert not maps["energy_ensemble"].block().values.requires_grad


def test_energy_as_output_beside_energy_of_a_variant():
    """The dictionary of results has one place for "energy": it is that of the request."""
    outputs = {"energy": ENERGY, "energy/doubled": ModelOutput(unit="eV", sample_kind="atom", description="twice")}
    model = wrap(TwoLists(), outputs)
    values, maps = evaluate(model, ["slab"], {"energy": "energy/doubled"}, {"energy": "system"})
    assert values["energy"].shape == (1,)
    assert float(values["energy"]) == pytest.approx(2 * float(maps["energy"].block().values), rel=1e-14)


def test_atom_pairs_are_given(both):
    output = ModelOutput(unit="angstrom", sample_kind="atom_pair")
    model = both(wrap(Pairs(), {"tests::pairs": output}))
    values, maps = evaluate(model, ["molecule", "slab"], {}, {"tests::pairs": "atom_pair"})
    samples = maps["tests::pairs"].block().samples
    assert samples.names[:3] == ["system", "first_atom", "second_atom"]
    counts = [len(pairs_for(model, STRUCTURES[name])[0]) for name in ("molecule", "slab")]
    assert torch.bincount(samples.values[:, 0].to(torch.int64)).tolist() == counts
    assert values["tests::pairs"].shape == (sum(counts), 1)


@pytest.mark.parametrize("module", [TwoLists, SquaredGradient])
def test_selected_atoms_add_up(module, both):
    """Energies and forces of a partition of the atoms add up to those of all atoms."""
    model = both(wrap(module()))
    names = ["triclinic", "slab"]
    request = dict.fromkeys(("energy", "forces", "virial"), "energy")
    everything, _ = evaluate(model, names, {**request, "atomic_energies": "energy"})
    parts = [[[0, 1], [0, 4], [1, 0]], [[0, 0], [0, 2], [0, 3], [0, 5], [1, 1], [1, 2], [1, 3]]]
    sums = {name: torch.zeros_like(everything[name]) for name in request}
    for part in parts:
        values, _ = evaluate(model, names, {**request, "atomic_energies": "energy"}, selected=part)
        rows = [6 * system + atom for system, atom in part]
        others = [row for row in range(10) if row not in rows]
        torch.testing.assert_close(values["atomic_energies"][rows], everything["atomic_energies"][rows])
        assert float(values["atomic_energies"][others].abs().max()) == 0.0
        for name in request:
            sums[name] = sums[name] + values[name]
    for name in request:
        torch.testing.assert_close(sums[name], everything[name], rtol=1e-12, atol=1e-12)


def test_selected_atoms_of_direct_forces():
    outputs = {"energy": ENERGY, "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom")}
    values, _ = evaluate(
        wrap(Direct(), outputs), ["molecule"], {"forces": "non_conservative_force"}, selected=[[0, 2], [0, 1]]
    )
    np.testing.assert_array_equal(values["forces"][:, 0], [0.0, 1.0, 2.0, 0.0])


@pytest.mark.parametrize("selected", [[[0, 4]], [[1, 0]], [[0, -1]]])
def test_selected_atoms_that_do_not_exist_are_refused(selected, both):
    with pytest.raises(ValueError, match="`selected_atoms`"):
        evaluate(both(wrap(TwoLists())), ["molecule"], {"energy": "energy"}, selected=selected)


def test_energy_alone_records_no_graph(tmp_path):
    outputs = {"energy": ModelOutput(unit="eV"), "tests::graph": ModelOutput()}
    wrap(Probe(), outputs).save(tmp_path / "probe.pt")
    model = load_atomistic_model(tmp_path / "probe.pt")
    for request, recorded in (({"energy": "energy"}, 0.0), ({"forces": "energy"}, 1.0)):
        values, _ = evaluate(model, ["molecule"], request, {"tests::graph": "system"})
        assert float(values["tests::graph"]) == recorded


def test_energy_alone_of_model_that_differentiates(both):
    model = both(wrap(SquaredGradient()))
    alone, _ = evaluate(model, ["slab"], {"energy": "energy"})
    with_forces, _ = evaluate(model, ["slab"], ALL_RESULTS)
    assert float(alone["energy"]) == float(with_forces["energy"])


def test_detached_energy_is_refused(both):
    model = both(wrap(Detached(), {"energy": ModelOutput(unit="eV")}))
    evaluate(model, ["molecule"], {"energy": "energy"})
    with pytest.raises(ValueError, match="connected to the positions, got one without gradient"):
        evaluate(model, ["molecule"], {"forces": "energy"})


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"force": "energy"}, r"expected results among 'energy', .*, got 'force'"),
        ({"energy": "charge"}, r"expected 'energy' to be made from .*energy.*, got 'charge'"),
        ({"energy": "non_conservative_force"}, "to be made from"),
        ({"energy": "energy", "forces": "energy/doubled"}, "expected one energy in `request`"),
        ({"energy": "energy/missing"}, "output that this model can compute, got 'energy/missing'; it has 'energy'"),
    ],
)
def test_wrong_requests_are_refused(request_, message, both):
    with pytest.raises(ValueError, match=message):
        evaluate(both(wrap(TwoLists())), ["molecule"], request_)


def broken(key, value):
    return {**tensors(STRUCTURES["molecule"]), key: value}


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (broken("positions", torch.zeros(3, 3)), r"expected `positions` of structure 0 to have the shape \(4, 3\)"),
        (broken("positions", torch.full((4, 3), float("nan"))), "expected finite positions and cell in structure 0"),
        (broken("cell", torch.full((3, 3), float("inf"))), "expected finite positions and cell in structure 0"),
        (broken("types", torch.tensor([14, 8, 6, 99])), "got type 99 for atom 3 of system 0"),
        ({"types": torch.tensor([14])}, "expected 'pbc' in structure 0, got none"),
    ],
)
def test_wrong_structures_are_refused(structure, message, both):
    with pytest.raises(ValueError, match=message):
        both(wrap(TwoLists())).evaluate([structure], [[NO_PAIRS] * 2], None, ALL_RESULTS, {}, UNITS, False)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "expected `pairs` for 1 structures, got 0"),
        ([[torch.zeros(0, 5)]], "expected 2 lists of pairs for structure 0, got 1"),
        ([[torch.zeros(1, 4)] * 2], r"expected pairs of the shape \(n_pairs, 5\)"),
        ([[torch.tensor([[0, 4, 0, 0, 0]])] * 2], "expected atoms between 0 and 3 in pairs"),
        ([[torch.tensor([[-1, 2, 0, 0, 0]])] * 2], "expected atoms between 0 and 3 in pairs"),
    ],
)
def test_wrong_pairs_are_refused(pairs, message, both):
    model = both(wrap(TwoLists()))
    with pytest.raises(ValueError, match=message):
        model.evaluate([tensors(STRUCTURES["molecule"])], pairs, None, {"energy": "energy"}, {}, UNITS, False)


def test_types_beyond_32_bits_are_refused(both):
    model = both(wrap(TwoLists()))
    structure = tensors(STRUCTURES["molecule"])
    structure["types"] = structure["types"].to(torch.int64) + 2**32
    pairs = [pairs_for(model, STRUCTURES["molecule"])]
    with pytest.raises(ValueError, match="expected `types` of structure 0 to fit in 32-bit integers"):
        model.evaluate([structure], pairs, None, {"energy": "energy"}, {}, UNITS)


def test_missing_units_are_refused(both):
    model = both(wrap(TwoLists()))
    with pytest.raises(ValueError, match="expected the unit of 'energy' in `units`"):
        model.evaluate([], [], None, {"energy": "energy"}, {}, {"engine": {"length": "angstrom"}}, False)


def test_caller_tensors_are_not_changed(both):
    structure = tensors(STRUCTURES["triclinic"])
    before = {name: tensor.clone() for name, tensor in structure.items()}
    model = both(wrap(TwoLists()))
    pairs = pairs_for(model, STRUCTURES["triclinic"])
    model.evaluate([structure], [pairs], None, ALL_RESULTS, {}, UNITS, True)
    for name, tensor in structure.items():
        assert torch.equal(tensor, before[name])
        assert not tensor.requires_grad


@pytest.mark.parametrize("module", [TwoLists, SquaredGradient, WithInputs])
def test_optimizing_executor_gives_the_same(module, tmp_path):
    """TorchScript's default executor specialises in the first calls; compare with eager code at each of five."""
    eager = wrap(module())
    eager.save(tmp_path / "model.pt")
    script = load_atomistic_model(tmp_path / "model.pt").script
    batches = [["triclinic"], ["slab", "molecule"], ["isolated atom"], ["small cell", "one atom", "slab"], ["wire"]]
    request = dict(ALL_RESULTS)
    if module is WithInputs:
        del request["atomic_virials"]
    del request["stress"]
    for call, names in enumerate([*batches, batches[1]]):
        units = {"masses": ["u", "kg", "electron_mass"][call % 3]} if module is WithInputs else {}
        inputs = {}
        if module is WithInputs:
            names = names[:1]
            n_atoms = len(STRUCTURES[names[0]].types)
            inputs = {
                "masses": (np.arange(n_atoms) + call).tolist(),
                "charge": [0.1 * call] * n_atoms,
                "spin_multiplicity": [float(call)],
                "tests__field": [0.1, 0.2, 0.3 * call],
            }
        got, _ = evaluate(script, names, request, units=units, **inputs)
        expected, _ = evaluate(eager, names, request, units=units, **inputs)
        for name in request:
            torch.testing.assert_close(got[name], expected[name], rtol=1e-12, atol=1e-12)
