"""Who owns the autograd graph: modules that differentiate in hidden places, and callers that differentiate."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from models import SquaredGradient, TwoLists, per_atom_map, structures, through_file, wrap

from metatomic_core import ModelOutput, System
from metatomic_core.engine import Engine
from metatomic_core.foundation.torchscript import quiet
from metatomic_core.neighbor_lists import NeighborLists
from metatomic_core.pipeline.pairs import pair_vectors

TRICLINIC = structures()["triclinic"]


class SquaredForces(torch.nn.Module):
    """Energies with the squared gradient, of one system."""

    def __init__(self):
        super().__init__()
        self.base = TwoLists()

    def forward(self, system: System) -> torch.Tensor:
        energy = self.base.atomic_energies([system])
        gradient = torch.autograd.grad([energy.sum()], [system.positions], create_graph=True, allow_unused=True)[0]
        return energy if gradient is None else energy + 0.3 * gradient.square().sum(1)


with quiet():

    @torch.jit.interface
    class Energies(torch.nn.Module):
        """Any module that gives energies."""

        def forward(self, system: System) -> torch.Tensor:
            pass


class InTask(torch.nn.Module):
    """Differentiates in a task of its own."""

    def __init__(self):
        super().__init__()
        self.energies = SquaredForces()

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        tasks = [torch.jit.fork(self.energies, system) for system in systems]
        values = torch.cat([torch.jit.wait(task) for task in tasks]).unsqueeze(1)
        return {"energy": per_atom_map(values, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}


class BehindInterface(torch.nn.Module):
    """Differentiates in a module that its code knows by an interface only."""

    energies: Energies

    def __init__(self):
        super().__init__()
        self.energies = SquaredForces()

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        values = torch.cat([self.energies.forward(system) for system in systems]).unsqueeze(1)
        return {"energy": per_atom_map(values, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}


@pytest.mark.parametrize("module", [InTask, BehindInterface])
def test_derivatives_in_hidden_places_have_a_graph(module):
    """They are the same as in plain sight, also where no forces are asked for."""
    units = {"length_unit": "angstrom", "energy_unit": "eV"}
    expected = Engine(wrap(SquaredGradient()), **units).evaluate([TRICLINIC], ["energy", "forces", "virial"])
    engine = Engine(through_file(wrap(module())), **units)
    np.testing.assert_allclose(engine.evaluate([TRICLINIC], ["energy"]).energy, expected.energy, rtol=1e-12)
    found = engine.evaluate([TRICLINIC], ["energy", "forces", "virial"])
    np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.virial, expected.virial, rtol=1e-10, atol=1e-12)


class SquaredCellGradient(torch.nn.Module):
    """Differentiates with respect to the cell."""

    def __init__(self):
        super().__init__()
        self.base = TwoLists()

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            energy = self.base.atomic_energies([system])
            gradient = torch.autograd.grad([energy.sum()], [system.cell], create_graph=True)[0]
            assert gradient is not None
            energies.append(energy + 0.3 * gradient.square().sum() / len(system))
        values = torch.cat(energies).unsqueeze(1)
        return {"energy": per_atom_map(values, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}


def energy_of_compute(model, positions, cell):
    """Energy by the entry for other programs, with neighbors that are connected to what is given."""
    plain = {name: torch.tensor(getattr(TRICLINIC, name)) for name in ("positions", "cell", "pbc")}
    found = NeighborLists(model.script.pair_requests("angstrom"), 0.0).compute(*plain.values())[0]
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    xyz, distance = Labels(["xyz"], torch.tensor([[0], [1], [2]])), Labels(["distance"], torch.tensor([[0]]))
    blocks = [
        TensorBlock(pair_vectors(positions, cell, pairs, True).unsqueeze(2), Labels(names, pairs), [xyz], distance)
        for pairs in found
    ]
    types = torch.tensor(TRICLINIC.types, dtype=torch.int32)
    structure = {"types": types, "positions": positions, "cell": cell, "pbc": plain["pbc"]}
    outputs = model.script.compute([structure], [blocks], [{}], None, {"energy": "system"}, {})
    return outputs["energy"].block().values.sum()


# the cell has no part in the energy of a molecule, and no gradient: `save` tries one
@pytest.mark.filterwarnings("ignore:expected a model that runs on all structures")
@pytest.mark.parametrize("module", [SquaredGradient, SquaredCellGradient])
@pytest.mark.parametrize("wanted", [("positions",), ("cell",), ("positions", "cell"), ()])
def test_entry_for_other_programs_keeps_the_graph_of_the_caller(module, wanted):
    """Models that differentiate by themselves need a graph of positions and cell, whichever of them the caller has."""
    model = through_file(wrap(module()))
    given = {name: torch.tensor(getattr(TRICLINIC, name)) for name in ("positions", "cell")}
    for name in wanted:
        given[name].requires_grad_(True)
    energy = energy_of_compute(model, **given)
    results = ("energy", "forces", "virial")
    expected = Engine(model, length_unit="angstrom", energy_unit="eV").evaluate([TRICLINIC], results)
    np.testing.assert_allclose(energy.item(), expected.energy[0], rtol=1e-12)
    if not wanted:
        return
    gradients = dict(zip(wanted, torch.autograd.grad(energy, [given[name] for name in wanted]), strict=True))
    if "positions" in wanted:
        np.testing.assert_allclose(-gradients["positions"].numpy(), expected.forces, rtol=1e-9, atol=1e-11)
    if "cell" in wanted:
        # dE/dstrain = positions^T dE/dpositions + cell^T dE/dcell
        of_cell = -expected.virial[0] + TRICLINIC.positions.T @ expected.forces
        np.testing.assert_allclose(TRICLINIC.cell.T @ gradients["cell"].numpy(), of_cell, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("module", [TwoLists, SquaredGradient])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_mode_of_the_caller_does_not_matter(module, mode):
    engine = Engine(through_file(wrap(module())), length_unit="angstrom", energy_unit="eV")
    outputs = {"energy": ModelOutput(unit="eV")}
    expected = engine.evaluate([TRICLINIC], ["energy", "forces", "virial"])
    engine.forget_neighbors()
    with mode():
        found = engine.evaluate([TRICLINIC], ["energy", "forces", "virial"])
        from_forward = engine.run([TRICLINIC], outputs)["energy"].block().values
    np.testing.assert_array_equal(found.forces, expected.forces)
    np.testing.assert_array_equal(found.virial, expected.virial)
    np.testing.assert_allclose(from_forward.numpy()[0], expected.energy, rtol=1e-12)


def test_vectors_made_in_inference_mode_are_taken():
    model = through_file(wrap(TwoLists()))
    structure = {name: torch.tensor(getattr(TRICLINIC, name)) for name in ("types", "positions", "cell", "pbc")}
    lists = NeighborLists(model.script.pair_requests("angstrom"), 0.0)
    with torch.inference_mode():
        pairs, vectors = lists.compute(structure["positions"], structure["cell"], structure["pbc"])
    arguments = (
        [structure],
        [pairs],
        None,
        {"forces": "energy"},
        {},
        {"engine": {"length": "angstrom", "energy": "eV"}},
        False,
    )
    given = model.evaluate(*arguments, [vectors])[0]
    computed = model.evaluate(*arguments)[0]
    torch.testing.assert_close(given["forces"], computed["forces"], rtol=1e-12, atol=1e-12)
