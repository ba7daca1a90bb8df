"""Models that call functions and methods of this package in their own compiled code, saved and loaded again."""

import io

import pytest
import torch
from metatensor.torch import Labels, TensorBlock

from metatomic_core import (
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
    pick_output,
    register_autograd_neighbors,
    unit_conversion_factor,
)
from metatomic_core.foundation.torchscript import load, script_module, to_bytes, unoptimized
from metatomic_core.units import unit_table
from metatomic_core.units._table import build_unit_table

PAIRS = torch.tensor([[0, 1, 0, 0, 0], [0, 0, 1, 0, -1], [2, 1, 0, 2, 0], [1, 2, -1, 0, 0]])
POSITIONS = torch.tensor([[0.1, 0.2, 0.3], [1.7, 0.4, -0.2], [5.0, -3.0, 0.9]], dtype=torch.float64)
CELL = torch.tensor([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.9, 0.3, 3.4]], dtype=torch.float64)
NAMES = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
LENGTHS = ["A", "a", "Angstrom", "angstroms", "Å", "Bohr", "a0", "nm", "nanometer", "pm", "um", "micron", "cm", "m"]


def loaded(module):
    """Give a module compiled, saved and loaded: what is in its file only."""
    return load(io.BytesIO(to_bytes(script_module(module), {})))


class Converts(torch.nn.Module):
    def forward(self, from_unit: str, to_unit: str):
        return [
            unit_conversion_factor(from_unit, to_unit),
            unit_conversion_factor(from_unit=from_unit, to_unit=to_unit),
            unit_conversion_factor(from_unit, to_unit=to_unit),
        ]

    @torch.jit.export
    def energies(self, from_unit: str, to_unit: str):
        return [
            unit_conversion_factor(from_unit, to_unit, dimension="energy"),
            unit_conversion_factor("energy", from_unit, to_unit),
            unit_conversion_factor("energy", from_unit, to_unit=to_unit),
            unit_conversion_factor(quantity="energy", from_unit=from_unit, to_unit=to_unit),
        ]


@pytest.fixture(autouse=True)
def _quick():
    # the profiling passes of TorchScript take seconds, and no engine runs models with them
    with unoptimized():
        yield


@pytest.fixture(scope="module")
def converter():
    return loaded(Converts())


@pytest.mark.parametrize(
    ("from_unit", "to_unit"), [("kJ/mol/nm", "eV/Å"), ("GPa", "eV/Å^3"), ("THz", "1/fs"), ("eV", "eV"), ("", "eV")]
)
def test_units_convert_in_compiled_code_as_in_python(converter, from_unit, to_unit):
    assert converter(from_unit, to_unit) == [unit_conversion_factor(from_unit, to_unit)] * 3


def test_energies_convert_in_compiled_code_by_every_spelling_of_the_arguments(converter):
    for unit in ("K", "cm^-1", "kcal/mol"):
        expected = unit_conversion_factor(unit, "eV", dimension="energy")
        assert converter.energies(unit, "eV") == [expected] * 4


class Table(torch.nn.Module):
    def forward(self):
        return build_unit_table()


def test_table_in_compiled_code_is_that_of_python():
    table = loaded(Table())()
    assert {name: list(row) for name, row in table.items()} == unit_table()


def test_bad_units_are_refused_in_compiled_code(converter):
    with pytest.raises(torch.jit.Error, match=r"unknown unit 'angstrm'.*did you mean 'angstrom'"):
        converter("angstrm", "nm")
    with pytest.raises(torch.jit.Error, match="expected a unit of energy, got 'nm'"):
        converter.energies("nm", "Å")


class Ranges(torch.nn.Module):
    def forward(self, options: NeighborListOptions, capabilities: ModelCapabilities, unit: str):
        return options.engine_cutoff(unit), capabilities.engine_interaction_range(unit)


def test_ranges_in_compiled_code_have_the_digits_of_python():
    ranges = loaded(Ranges())
    for own in LENGTHS:
        options = NeighborListOptions(3.7, True, True)
        options.length_unit = own
        capabilities = ModelCapabilities({}, [1], 7.3, own, ["cpu"], "float64")
        for unit in [*LENGTHS, ""]:
            expected = options.engine_cutoff(unit), capabilities.engine_interaction_range(unit)
            assert ranges(options, capabilities, unit) == expected, (own, unit)
        for unit in ("eV", "NM", "M", "2 nm"):
            with pytest.raises(torch.jit.Error, match=f"expected the name of a length.*got '{unit}'"):
                ranges(options, capabilities, unit)


class Picks(torch.nn.Module):
    def forward(self, name: str, capabilities: ModelCapabilities):
        return pick_output(name, capabilities.outputs), pick_output(name, capabilities.outputs, desired_variant="pbe")


def test_output_is_picked_in_compiled_code():
    outputs = {name: ModelOutput(unit="eV", description="one") for name in ("energy", "energy/pbe")}
    capabilities = ModelCapabilities(outputs)
    picks = loaded(Picks())
    assert picks("energy", capabilities) == ("energy", "energy/pbe")
    with pytest.raises(torch.jit.Error, match=r"one of \[energy, energy/pbe\], got 'charge'"):
        picks("charge", capabilities)


class Card(torch.nn.Module):
    def forward(self, metadata: ModelMetadata):
        return str(metadata)


def test_card_of_metadata_in_compiled_code():
    metadata = ModelMetadata(
        "name",
        "line one\n\n  " + "many words " * 20,
        ["A. Author", "Ö. Verfasser"],
        {"model": ["https://example.org/" + "x" * 90], "architecture": ["a b"]},
    )
    assert loaded(Card())(metadata) == str(metadata)


class Moves(torch.nn.Module):
    def forward(self, system: System, device: torch.device, dtype: torch.dtype):
        moved = [
            system.to(dtype),
            system.to(device).to(dtype=dtype),
            system.to(device, dtype),
            system.to(dtype, device),
            system.to("cpu", dtype=dtype),
            system.to(dtype=dtype, device=device, non_blocking=True),
        ]
        return [one.positions for one in moved]


def test_systems_move_in_compiled_code():
    system = System(torch.tensor([1, 1, 1]), POSITIONS, CELL, torch.tensor([True] * 3))
    for positions in loaded(Moves())(system, torch.device("cpu"), torch.float32):
        assert torch.equal(positions, POSITIONS.to(torch.float32))


class Registers(torch.nn.Module):
    def forward(self, system: System, neighbors: TensorBlock):
        register_autograd_neighbors(system, neighbors, check_consistency=True)
        return neighbors.values


def pair_case():
    """Give a system with leaves that require gradients, and neighbors outside of the graph."""
    positions, cell = POSITIONS.clone().requires_grad_(), CELL.clone().requires_grad_()
    system = System(torch.tensor([1, 1, 1]), positions, cell, torch.tensor([True] * 3))
    vectors = POSITIONS[PAIRS[:, 1]] - POSITIONS[PAIRS[:, 0]] + PAIRS[:, 2:].to(torch.float64) @ CELL
    xyz = Labels(["xyz"], torch.arange(3).reshape(3, 1))
    block = TensorBlock(vectors.unsqueeze(-1), Labels(NAMES, PAIRS), [xyz], Labels(["distance"], torch.tensor([[0]])))
    return system, block


def gradients(module):
    system, block = pair_case()
    vectors = module(system, block)
    assert torch.equal(vectors.detach(), pair_case()[1].values)
    energy = torch.sin(vectors).sum() + vectors.square().sum(1).sqrt().sum()
    first = torch.autograd.grad(energy, [system.positions, system.cell], create_graph=True)
    return first + torch.autograd.grad(sum(g.square().sum() for g in first), [system.positions, system.cell])


def test_neighbors_register_in_compiled_code_with_the_gradients_of_python():
    for compiled, eager in zip(gradients(loaded(Registers())), gradients(Registers()), strict=True):
        assert float(eager.detach().abs().max()) > 0.1
        torch.testing.assert_close(compiled, eager, rtol=1e-12, atol=1e-12)


def test_wrong_neighbors_are_refused_in_compiled_code():
    registers = loaded(Registers())
    system, block = pair_case()
    block.values[2] += 0.1
    with pytest.raises(torch.jit.Error, match=r"expected the vector of pair \[2, 1, 0, 2, 0\] to be"):
        registers(system, block)
    system, block = pair_case()
    registers(system, block)
    with pytest.raises(torch.jit.Error, match="expected `neighbors` that are not in an autograd graph"):
        registers(system, block)
