"""Modules that bring their compiled form: the file holds that, programs are traced from the module in Python."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.authors import energy_output, pairs, sum_at_atoms
from metatomic_core.engine import Engine, Structure
from metatomic_core.loading import read_model_header


class Springs(torch.nn.Module):
    """Energies of atoms from the squares of distances."""

    def __init__(self, stiffness: float = 1.0):
        super().__init__()
        self.stiffness = torch.nn.Parameter(torch.tensor(stiffness, dtype=torch.float64))

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]

    def energies(self, systems: List[System]) -> torch.Tensor:
        first, _, vectors = pairs(systems, NeighborListOptions(3.0, True, True))
        return sum_at_atoms(systems, self.stiffness * (vectors**2).sum(1), first)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        return {"energy": energy_output(systems, self.energies(systems), outputs["energy"], selected_atoms)}


class InPython(Springs):
    """The same in words that TorchScript does not know, with its own way to compile."""

    def __init__(self, bring):
        super().__init__()
        self._bring = [bring]

    @torch.jit.unused
    def torchscript_module(self):
        return self._bring[0](self)

    def energies(self, systems, *more, **others):
        return super().energies(systems, *more, **others)


def compiled_springs(module):
    return torch.jit.script(Springs(float(module.stiffness)).eval())


def atomistic(module):
    output = ModelOutput(unit="eV", sample_kind="atom")
    capabilities = ModelCapabilities({"energy": output}, [14], 3.0, "angstrom", ["cpu"], "float64")
    return AtomisticModel(module.eval(), ModelMetadata(name="springs"), capabilities)


def dimer(distance: float) -> Structure:
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
    return Structure(np.array([14, 14]), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))


@pytest.mark.parametrize("kernel", ["script", "eager"])
def test_both_forms_are_in_the_file(kernel, tmp_path):
    model = atomistic(InPython(compiled_springs))
    module = model.module
    model.save(tmp_path / "springs.pt", exported=True)
    assert model.module is module
    assert read_model_header(tmp_path / "springs.pt").untraced == ""
    engine = Engine(tmp_path / "springs.pt", length_unit="angstrom", energy_unit="eV", kernel=kernel)
    results = engine.evaluate([dimer(2.0)], ["energy", "forces"])
    # two directed pairs of length 2, each of energy 4
    np.testing.assert_allclose(results.energy, [8.0])
    np.testing.assert_allclose(results.forces, [[0, 0, 8], [0, 0, -8]])


def test_other_energies_in_the_compiled_form_are_not_exported(tmp_path):
    model = atomistic(InPython(lambda module: torch.jit.script(Springs(2.0).eval())))
    model.save(tmp_path / "springs.pt", exported=True)
    assert "expected" in read_model_header(tmp_path / "springs.pt").untraced


def not_scripted(module):
    return Springs()


def in_training(module):
    return torch.jit.script(Springs())


def failing(module):
    raise ValueError("no compiler")


@pytest.mark.parametrize(
    ("bring", "message"),
    [
        (not_scripted, r"expected a torch.jit.ScriptModule from `torchscript_module\(\)` of InPython, got Springs"),
        (in_training, "expected `module` in evaluation mode, got training mode"),
        (failing, "got an error on compiling it: no compiler"),
    ],
    ids=["not scripted", "in training", "failing"],
)
def test_other_things_are_refused(bring, message, tmp_path):
    model = atomistic(InPython(bring))
    module = model.module
    with pytest.raises(RuntimeError, match=message):
        model.save(tmp_path / "springs.pt")
    assert model.module is module
    assert not (tmp_path / "springs.pt").exists()
