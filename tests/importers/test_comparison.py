"""A file is written if its results are those of the family's own calculator, and only then."""

import dataclasses
from typing import Dict, List, Optional

import ase.units
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator
from ase.calculators.morse import MorsePotential
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core import ModelCapabilities, ModelOutput, NeighborListOptions, System
from metatomic_core.authors import atom_count, per_atom_output
from metatomic_importers import Tolerances, import_model
from metatomic_importers.comparison import DifferentResultsError
from metatomic_importers.family import Other

PARAMETERS = {"epsilon": 0.1, "r0": 2.5, "rho0": 3.0}


class Scaled(torch.nn.Module):
    """A model whose energies are those of another, times a factor."""

    def __init__(self, module: torch.nn.Module, factor: float):
        super().__init__()
        self.module = module
        self.factor = factor

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energy = self.module(systems, outputs, selected_atoms)["energy"]
        block = energy.block_by_id(0)
        scaled = TensorBlock(self.factor * block.values, block.samples, block.components, block.properties)
        return {"energy": TensorMap(energy.keys, [scaled])}


class Constant(torch.nn.Module):
    """Energies of zero; another output, per atom, with one number for all."""

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(cutoff=self.cutoff, full_list=True, strict=True)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        found: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            zeros = torch.zeros(atom_count(systems), dtype=systems[0].dtype, device=systems[0].device)
            if name == "charge":
                found[name] = per_atom_output(name, systems, zeros + 0.25, output, selected_atoms)
            else:
                for system in systems:
                    zeros = zeros + 0.0 * system.positions.sum()
                found[name] = per_atom_output(name, systems, zeros, output, selected_atoms)
        return found


class Failing(MorsePotential):
    def calculate(self, *arguments, **options):
        raise RuntimeError("no kernel\n  for this device")


class WithoutForces(MorsePotential):
    """Its forces are not numbers for structures without neighbors."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) == 1:
            self.results["forces"] = np.full((1, 3), np.nan)


class Charged(Calculator):
    implemented_properties = ("energy", "forces", "stress", "charges")

    def __init__(self, charge):
        super().__init__()
        self.charge = charge

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        n = len(atoms)
        self.results = {"energy": 0.0, "forces": np.zeros((n, 3)), "stress": np.zeros(6)}
        self.results["charges"] = np.full(n, self.charge)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.pt"


def refused(checkpoint, output, match):
    """Check that a comparison fails, and that nothing is written, nor what is there changed."""
    with pytest.raises(DifferentResultsError, match=match) as caught:
        import_model("toy", checkpoint, output)
    assert "\n" not in str(caught.value)
    assert not output.exists()
    output.write_text("something of mine")
    with pytest.raises(DifferentResultsError):
        import_model("toy", checkpoint, output, force=True)
    assert output.read_text() == "something of mine"
    assert list(output.parent.iterdir()) == [output]
    return str(caught.value)


def wrong_module(changed, toy, factor):
    def read(request):
        imported = original(request)
        imported.module = Scaled(imported.module, factor).eval()
        return imported

    original = toy.FAMILY.read
    changed(read=read)


def test_results_are_off(changed, toy, checkpoint, output):
    wrong_module(changed, toy, 1.001)
    text = refused(checkpoint, output, "expected the results of MorsePotential, got 'bulk' with energy off by ")
    assert "eV/atom (up to 1e-09), forces off by " in text
    assert all(f"'{name}' with" in text for name in ("triclinic", "slab", "molecule", "small cell", "all species"))
    # alone, it has no energy that could be wrong
    assert "'atom' with" not in text


def test_results_are_no_numbers(changed, toy, checkpoint, output):
    wrong_module(changed, toy, float("nan"))
    refused(
        checkpoint, output, "expected the model file to compute the structure 'bulk', got an error: expected .*, got"
    )


def test_rounding_of_float32_is_taken_or_not(changed, toy, checkpoint, output):
    wrong_module(changed, toy, 1.0 + 1e-7)
    changed({}, dtypes=("float32", "float64"))
    import_model("toy", checkpoint, output, dtype="float32")
    output.unlink()
    changed({"tolerances": Tolerances(1e-9, 1e-8, 1e-9)})
    with pytest.raises(DifferentResultsError, match="off by"):
        import_model("toy", checkpoint, output, dtype="float32")
    assert not output.exists()


def test_one_of_the_tolerances_is_enough(changed, toy, checkpoint, output):
    wrong_module(changed, toy, 1.001)
    changed({"tolerances": Tolerances(energy=1.0, forces=1.0, stress=1e-9)})
    text = refused(checkpoint, output, "got 'bulk' with stress off by .* eV/A\\^3 \\(up to 1e-09\\); 'triclinic' with")
    assert "forces" not in text
    assert "slab" not in text
    changed({"tolerances": Tolerances(energy=1.0, forces=1.0, stress=1.0)})
    assert import_model("toy", checkpoint, output, force=True).file == output


def test_own_calculator_fails(changed, checkpoint, output):
    changed({"calculator": lambda: Failing(**PARAMETERS)})
    refused(
        checkpoint, output, "expected Failing to compute the structure 'bulk', got an error: no kernel for this dev"
    )


def test_own_calculator_gives_no_numbers(changed, checkpoint, output):
    changed({"calculator": lambda: WithoutForces(**PARAMETERS)})
    refused(checkpoint, output, "expected the results of WithoutForces, got 'atom' with forces off by nan eV/A")
    changed({"calculator": lambda: WithoutForces(**PARAMETERS), "unable": {"atom": "its forces are not numbers"}})
    report = import_model("toy", checkpoint, output, force=True)
    assert "atom" not in [row.structure for row in report.rows]


def test_calculator_that_can_nothing(changed, checkpoint, output):
    names = ("bulk", "triclinic", "slab", "molecule", "atom", "small cell", "all species")
    changed({"unable": dict.fromkeys(names, "no")})
    with pytest.raises(ValueError, match=r"expected a structure that MorsePotential can compute, .*, got none"):
        import_model("toy", checkpoint, output)
    assert not output.exists()


def test_energies_in_other_units_are_compared_in_ev(changed, toy, checkpoint, output):
    wrong_module(changed, toy, 1 / ase.units.Hartree)
    hartree = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="hartree", sample_kind="atom")},
        atomic_types=[18, 14],
        interaction_range=6.75,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    # the constants of ASE and ours differ in the eighth digit
    changed({"capabilities": hartree, "tolerances": Tolerances(1e-8, 1e-7, 1e-8)})
    rows = {row.structure: row for row in import_model("toy", checkpoint, output).rows}
    assert rows["all species"].n_atoms == 2
    assert all(row.differences["energy"] < 1e-8 for row in rows.values())


def test_free_structures_get_vacuum_for_calculators_that_are_periodic(changed, checkpoint, output):
    changed({"periodic_only": True})
    assert all("stress" in row.differences for row in import_model("toy", checkpoint, output).rows)


def with_charges(toy, charge):
    def read(request):
        imported = original(request)
        outputs = dict(imported.capabilities.outputs)
        outputs["charge"] = ModelOutput(unit="e", sample_kind="atom")
        return {
            "module": Constant(6.75).eval(),
            "capabilities": ModelCapabilities(
                outputs, imported.capabilities.atomic_types, 6.75, "angstrom", ["cpu"], request.dtype
            ),
            "calculator": lambda: Charged(charge),
            "others": {"charges": Other("charge", "e", 1e-6)},
        }

    original = toy.FAMILY.read
    return read


def test_other_properties_are_compared(changed, toy, checkpoint, output):
    original = toy.FAMILY.read
    for charge in (0.25, 0.2501):
        fields = with_charges(toy, charge)
        changed(read=lambda request, fields=fields: dataclasses.replace(original(request), **fields(request)))
        if charge == 0.25:
            report = import_model("toy", checkpoint, output)
            assert report.rows[0].differences["charges"] == 0.0
            assert "charges 0.0e+00" in report.model.metadata().extra["compared"]
            output.unlink()
    refused(checkpoint, output, r"got 'bulk' with charges off by 0.0001 \(up to 1e-06\)")
