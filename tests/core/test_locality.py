"""What engines that divide space ask of a model: is it local, how many values has an output, what are its types."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from lammps_models import CUTOFF, MANY, Inputs, Layers, ManyOutputs, NearMessages, Triangles
from metatensor.torch import Labels, TensorMap
from models import NoLists, TwoLists, per_atom_map, through_file, wrap

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
from metatomic_core._locality import cluster_pairs, cluster_types, dense_cluster
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
            layers = self.energies.energies(systems[0]) if name == "energy" else self.charges.energies(systems[0])
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
    assert each.is_local("energy") is expected
    assert through_file(each).script.is_local("energy") is expected


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


@pytest.mark.parametrize(
    ("name", "kind", "expected"), [("energy", "atom", 1), ("energy_ensemble", "system", 3), ("feature", "atom", 2)]
)
def test_values_of_an_output_are_counted(name, kind, expected):
    many = model(ManyOutputs(), CUTOFF, MANY)
    assert name in MANY
    assert many.n_values(name, kind) == expected
    assert through_file(many).script.n_values(name, kind) == expected


def test_types_have_names_and_masses():
    each = model(Layers(1, True), CUTOFF, types=(14, 8, 200))
    assert each.type_names() == ["Si", "O", "200"]
    assert each.type_masses() == [28.085, 15.999, 0.0]  # IUPAC 2018


def test_quantities_have_canonical_names():
    each = wrap(TwoLists())
    assert [each.quantity(name) for name in ("masses", "mass", "energy/pbe", "a::b")] == [
        "mass",
        "mass",
        "energy",
        "a::b",
    ]
