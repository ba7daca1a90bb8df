"""Virials of atoms: of all models that see geometry only through pair vectors, which models made of models are, too.

Half of what a pair is owed, vector times dE/dvector, belongs to each of its atoms, also where messages pass.
"""

import numpy as np
import pytest
import torch
from lammps_models import Layers, NearMessages
from metatensor.torch import Labels, TensorBlock
from models import FieldAndVolume, NoLists, SquaredGradient, TwoLists, structures, wrap

from metatomic_core import ModelOutput
from metatomic_core.combining import WeightedSum, combine
from metatomic_core.engine import Engine
from metatomic_core.neighbor_lists import NeighborLists
from metatomic_core.o3 import SymmetrizedModel

SYSTEM = {"energy": ModelOutput(unit="eV", sample_kind="system")}


def messages(dtype="float64"):
    return wrap(Layers(2, True), interaction_range=9.0, dtype=dtype)


# that of float32 is of its virial, which is a sum over all pairs
MODELS = {
    "two lists": (lambda: wrap(TwoLists()), 1e-13),
    "energy of systems": (lambda: wrap(TwoLists(), SYSTEM), 1e-13),
    "messages": (messages, 1e-13),
    "messages in float32": (lambda: messages("float32"), 1e-5),
    "near messages": (lambda: wrap(NearMessages(2.5, 8), interaction_range=9.0), 1e-13),
    "differentiates itself": (lambda: wrap(SquaredGradient()), 1e-13),
    "sum": (lambda: combine([wrap(TwoLists()), messages(), wrap(SquaredGradient())], weights=[1.0, -0.5, 2.0]), 1e-13),
    "committee": (lambda: combine([wrap(TwoLists()), messages("float32")], "committee"), 1e-5),
    "weighted": (lambda: WeightedSum.wrap(messages(), "energy/half", {"energy": 0.5}), 1e-13),
    "symmetrized": (lambda: SymmetrizedModel.wrap(messages(), max_angular_momentum_grid=1), 1e-13),
}
REFUSED = {
    "positions and cell": lambda: wrap(FieldAndVolume()),
    "positions": lambda: wrap(NoLists()),
    "sum with positions": lambda: combine([wrap(TwoLists()), wrap(FieldAndVolume())]),
}


def engine(model):
    return Engine(model, length_unit="angstrom", energy_unit="eV", kernel="script")


@pytest.mark.parametrize("name", MODELS)
def test_they_add_up_to_the_virial(name):
    make, tolerance = MODELS[name]
    batch = list(structures().values())
    results = ["energy", "virial", "atomic_virials"]
    found = engine(make()).evaluate(batch, results)
    sums = np.stack([found.atomic_virials[found.atoms(i)].sum(0) for i in range(len(batch))])
    assert np.abs(found.virial).max() > 1e-3
    scale = max(np.abs(found.virial).max(), np.abs(found.atomic_virials).max(), np.abs(found.energy).max())
    np.testing.assert_allclose(sums, found.virial, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", REFUSED)
def test_they_are_refused_where_they_are_not_defined(name):
    with pytest.raises(ValueError, match="only through neighbor vectors for 'atomic_virials', got one that uses them"):
        engine(REFUSED[name]()).evaluate([structures()["triclinic"]], ["energy", "atomic_virials"])


def energy_of(model, structure, pairs, vectors):
    """Give the energy of a structure with pair vectors as they are said to be, not those of its positions."""
    geometry = {
        "types": torch.tensor(structure.types, dtype=torch.int32),
        "positions": torch.tensor(structure.positions),
        "cell": torch.tensor(structure.cell),
        "pbc": torch.tensor(structure.pbc),
    }
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    block = TensorBlock(
        vectors.unsqueeze(2),
        Labels(names, pairs.to(torch.int32)),
        [Labels(["xyz"], torch.arange(3, dtype=torch.int32).unsqueeze(1))],
        Labels(["distance"], torch.zeros(1, 1, dtype=torch.int32)),
    )
    returned = model.core([geometry], [[block]], [{}], None, {"energy": "system"}, {})
    return float(returned["energy"].block().values.sum())


def test_messages_give_halves_of_each_pair_to_its_atoms():
    model, structure = messages(), structures()["small cell"]
    (options,) = model.requested_neighbor_lists()
    lists = NeighborLists([(options.cutoff, options.full_list, options.strict)], 0.0)
    (pairs,), (vectors,) = lists.compute(*map(torch.tensor, (structure.positions, structure.cell, structure.pbc)))
    expected, step = np.zeros((len(structure.types), 3, 3)), 1e-5
    for row, (first, second) in enumerate(pairs[:, :2].tolist()):
        for component in range(3):
            energies = []
            for sign in (1.0, -1.0):
                moved = vectors.clone()
                moved[row, component] += sign * step
                energies.append(energy_of(model, structure, pairs, moved))
            slope = (energies[0] - energies[1]) / (2.0 * step)
            for atom in (first, second):
                expected[atom, :, component] -= 0.5 * vectors[row].numpy() * slope
    found = engine(model).evaluate([structure], ["energy", "atomic_virials"]).atomic_virials
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
