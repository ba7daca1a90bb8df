"""What engines that divide space ask of a model: is it local, how many values has an output, what are its types."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from lammps_models import CUTOFF, MANY, Inputs, Layers, ManyOutputs, NearMessages, Triangles
from metatensor.torch import Labels, TensorMap
from models import NoLists, per_atom_map, through_file, wrap

from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.model.locality import cluster_pairs, cluster_types, dense_cluster
from metatomic_core.potentials import lennard_jones, stillinger_weber

ENERGY = {"energy": ModelOutput(unit="eV", sample_kind="atom")}


def model(module, reach, outputs=None, types=(8, 14)):
    capabilities = ModelCapabilities(
        outputs=outputs or ENERGY,
        atomic_types=list(types),
        interaction_range=reach,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    return AtomisticModel(module.eval(), ModelMetadata("test"), capabilities)


class ChargesOfTwoLayers(torch.nn.Module):
    """Local energies do not make local charges."""

    def __init__(self):
        super().__init__()
        self.energies = Layers(1, True)
        self.charges = Layers(2, True)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            layers = self.energies.energies(systems) if name == "energy" else self.charges.energies(systems)
            base = "energy" if name == "energy" else "charge"
            results[name] = per_atom_map(layers.unsqueeze(1), systems, output.sample_kind, selected_atoms, base)
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return self.energies.requested_neighbor_lists()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lennard_jones, True),
        (stillinger_weber, True),
        # a third of the energy of three atoms to each, as LAMMPS does
        (lambda: stillinger_weber(energy_sharing="thirds"), False),
        (lambda: model(Layers(1, True), CUTOFF), True),
        (lambda: model(Layers(1, False), CUTOFF), True),
        (lambda: model(Layers(2, True), 2 * CUTOFF), False),
        # a range that is the cutoff, and messages all the same
        (lambda: model(Layers(2, True), CUTOFF), False),
        (lambda: model(Layers(2, False), CUTOFF), False),
        (lambda: model(Inputs(), 4.0), True),
        (lambda: model(Triangles(), 4.0), False),
        # few structures show that these need more
        (lambda: model(NearMessages(1.6, 8), CUTOFF), False),
        (lambda: model(NearMessages(CUTOFF, 30), CUTOFF, types=range(1, 101)), False),
        (lambda: model(Layers(1, True), CUTOFF, types=range(1, 101)), True),
        # its direct forces have parts of both directions of each pair
        (lambda: model(ManyOutputs(), CUTOFF, MANY), False),
        (
            lambda: model(
                ChargesOfTwoLayers(), CUTOFF, {**ENERGY, "charge": ModelOutput(unit="e", sample_kind="atom")}
            ),
            False,
        ),
        (lambda: wrap(NoLists()), False),
    ],
)
def test_local_models_are_told_from_others(make, expected):
    each = make()
    assert through_file(each).header.is_local is expected


def test_all_energies_and_outputs_of_atoms_are_asked_whether_they_are_local():
    """A variant of the energy that is a sum over structures counts, other outputs of structures do not."""

    def answer(kind, name):
        outputs = {**ENERGY, name: ModelOutput(unit="eV", sample_kind=kind, description="of two layers")}
        return through_file(model(ChargesOfTwoLayers(), CUTOFF, outputs)).header.is_local

    assert answer("system", "energy/two") is False
    assert answer("atom", "test::two") is False
    assert answer("system", "test::two") is True


class OnlyPairs(Triangles):
    """Refuses all but one or two atoms."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        for system in systems:
            if len(system) > 2:
                raise ValueError("expected two atoms at most, got more")
        zeros = torch.zeros(len(systems[0]), 1, dtype=torch.float64)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            results[name] = per_atom_map(zeros, systems, output.sample_kind, selected_atoms, "value")
        return results


def test_locality_that_is_not_found_out_is_unknown():
    assert through_file(model(OnlyPairs(), 4.0)).header.is_local is None
    outputs = {"test::one": ModelOutput(sample_kind="system")}
    assert through_file(model(OnlyPairs(), 4.0, outputs)).header.is_local is None
    for_gpus = model(Layers(1, True), CUTOFF)
    for_gpus.capabilities().supported_devices = ["cuda"]
    header = through_file(for_gpus).header
    assert (header.is_local, header.n_properties) == (None, {"energy": None})


def test_clusters_have_neighbors_of_all_types_and_no_close_ones():
    for trial in range(4):
        positions = dense_cluster(24, 2.0, 1000 * trial)
        assert positions.shape == (24, 3)
        distances = torch.cdist(positions, positions) + 9 * torch.eye(24)
        assert float(distances.min()) > 2.0 * np.sqrt(0.15)
        for n_types in (1, 2, 3, 5):
            types = cluster_types(24, list(range(10, 10 + n_types)), trial)
            assert set(types.tolist()) == set(range(10, 10 + n_types))


def test_pairs_of_clusters_are_those_of_the_distances():
    positions = dense_cluster(24, 2.0, 0)
    near = np.linalg.norm(positions[:, None] - positions[None], axis=2) < 1.5
    i, j = np.nonzero(near & ~np.eye(24, dtype=bool))
    full = {(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True)}
    for full_list in (True, False):
        pairs = cluster_pairs(positions, 1.5, full_list, False)
        assert pairs.dtype == torch.int32
        assert not pairs[:, 2:].any()
        assert {(a, b) for a, b, *_ in pairs.tolist()} == {p for p in full if full_list or p[0] < p[1]}
        own = cluster_pairs(positions, 1.5, full_list, True)
        assert {(a, b) for a, b, *_ in own.tolist()} == {p for p in full if p[0] == 0}


def test_values_of_outputs_are_counted():
    found = through_file(model(ManyOutputs(), CUTOFF, MANY)).header.n_properties
    expected = {"energy": 1, "energy_ensemble": 3, "feature": 2, "features": 2, "non_conservative_force": 3}
    assert {name: found[name] for name in expected} == expected
    # the other spelling of each is there as well
    assert found.keys() > MANY.keys()


def test_values_are_counted_by_a_structure_that_the_model_takes():
    """Nothing is known of an output that always fails; the others are counted one by one."""

    class Fussy(torch.nn.Module):
        def forward(
            self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
        ) -> Dict[str, TensorMap]:
            results: Dict[str, TensorMap] = {}
            for name, output in outputs.items():
                if name == "test::never" or len(systems[0]) > 1:
                    raise ValueError("expected something else")
                values = torch.zeros(len(systems[0]), 4, dtype=torch.float64)
                results[name] = per_atom_map(values, systems, output.sample_kind, selected_atoms, "value")
            return results

    outputs = {name: ModelOutput(sample_kind="atom") for name in ("test::never", "test::one")}
    header = through_file(model(Fussy(), CUTOFF, outputs)).header
    assert header.n_properties == {"test::never": None, "test::one": 4}


def test_header_answers_what_is_asked_of_types_and_lengths():
    each = model(Layers(1, True), CUTOFF, types=(14, 8, 200))
    each.capabilities().length_unit = "nm"
    queries = through_file(each).header.to_dict()["queries"]
    assert queries["type_names"] == ["Si", "O", "200"]
    assert queries["masses"] == [28.085, 15.999, 0.0]  # IUPAC 2018
    assert queries["length_unit_in_angstrom"] == pytest.approx(10.0)
    assert queries["interaction_range"] == CUTOFF
    assert [(found["cutoff"], found["full_list"], found["strict"]) for found in queries["neighbor_lists"]] == [
        (CUTOFF, True, True)
    ]
    each.capabilities().length_unit = ""
    assert through_file(each).header.to_dict()["queries"]["length_unit_in_angstrom"] is None


def test_header_answers_what_is_asked_of_devices_outputs_and_inputs():
    queries = through_file(model(Inputs(), 4.0)).header.to_dict()["queries"]
    assert queries["supported_devices"] == ["cpu"]
    assert {name: each["sample_kind"] for name, each in queries["inputs"].items()} == dict.fromkeys(
        ("masses", "charges", "velocities", "momenta"), "atom"
    )
    queries = through_file(model(ManyOutputs(), CUTOFF, MANY)).header.to_dict()["queries"]
    kinds = {name: each["sample_kind"] for name, each in queries["outputs"].items()}
    assert {name: kinds[name] for name in MANY} == {name: output.sample_kind for name, output in MANY.items()}
    assert kinds["features"] == kinds["feature"]
