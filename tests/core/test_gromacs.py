"""Files for GROMACS, called as its source calls them: against the pipeline on the same structures."""

import dataclasses
from typing import Dict, List, Optional

import models
import numpy as np
import pytest
import torch
from gromacs_cases import assert_same, first_probe, probe, rounded, second_probe
from metatensor.torch import Labels, TensorMap
from potential_cases import NAMES, make_engine, structures

from metatomic_core import ModelOutput, System, unit_conversion_factor
from metatomic_core.gromacs.convert import convert
from metatomic_core.potentials import stillinger_weber
from metatomic_core.testing.subjects import gromacs_process
from metatomic_core.testing.subjects.gromacs import inputs, pair_inputs

SILICON = 3.77118  # angstrom, the cutoff of the model
FORMS = ("search", "pairs")


def moved(structure, step):
    """Give a structure whose atoms have moved, a bit or by cell vectors, so that lists are kept or not."""
    positions = structure.positions + 0.02 * step * np.cos(np.arange(structure.positions.size)).reshape(-1, 3)
    positions[0] += (step % 3) * structure.cell[1]
    return rounded(dataclasses.replace(structure, positions=positions))


SMALL = structures([14], 2.2)
CASES = {
    "sw": [moved(SMALL[name], step) for name in NAMES for step in range(4)],
    "two lists": [rounded(structure) for structure in models.structures().values()],
}
CUTOFFS = {"sw": SILICON, "two lists": models.CUTOFF}


def two_lists():
    """A model in odd units, with a full and a half list of different cutoffs."""
    length, scale = unit_conversion_factor("angstrom", "bohr"), unit_conversion_factor("eV", "kcal/mol")
    outputs = {"energy": ModelOutput(unit="kcal/mol"), "feature": ModelOutput(sample_kind="atom")}
    module = models.TwoLists(scale, length)
    return models.wrap(module, outputs, length_unit="bohr", interaction_range=models.CUTOFF * length)


class Charged(torch.nn.Module):
    """A trap, as strong as the total charge."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        charge = systems[0].get_data("charges").block_by_id(0).values
        energies = systems[0].positions.square().sum(1, keepdim=True) * charge
        kind = outputs["energy"].sample_kind
        return {"energy": models.per_atom_map(energies, systems, kind, selected_atoms, "energy")}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {"charges": ModelOutput(unit="e", sample_kind="system")}


MODELS = {
    "sw": stillinger_weber,
    "two lists": two_lists,
    "charge": lambda: models.wrap(Charged()),
}
# which forms are written, and with how many atoms grompp tries them
FILES = {
    ("sw", "search"): (1, 2, 700),
    ("sw", "pairs"): (2, 700),
    ("two lists", "search"): (1,),
    ("two lists", "pairs"): (2,),
    ("charge", "search"): (),
}


@pytest.fixture(scope="module")
def made():
    return {name: make() for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    """The path of each file."""
    folder = tmp_path_factory.mktemp("gromacs")
    for name, model in made.items():
        model.save(str(folder / f"{name}.pt"))
    paths = {key: folder / f"gmx {' '.join(key)}.pt" for key in FILES}
    for (name, form), path in paths.items():
        convert(folder / f"{name}.pt", path, pairs=form == "pairs")
    return {key: str(path) for key, path in paths.items()}


def calls_of(name, form, cases):
    if form == "search":
        return [inputs(case) for case in cases]
    # pairs beyond the cutoff too, in either direction
    cutoff = CUTOFFS[name]
    return [pair_inputs(case, cutoff + 1.5 * (k % 2), reverse=k % 3 == 0) for k, case in enumerate(cases)]


def wrong_calls(form):
    """Give calls that must fail, with a part of the message of each."""
    searched, paired = inputs(CASES["sw"][0]), pair_inputs(CASES["sw"][0], SILICON)
    positions, numbers, box, pbc = searched
    nan = positions.clone()
    nan[1, 2] = float("nan")
    search = [
        (
            [positions, numbers * 0 + 8, box, pbc],
            "14 (Si), got 8; choose them by nnpot-input-group, set nnpot-link",
        ),
        ([nan, numbers, box, pbc], "expected finite `atom-positions`"),
        ([positions[[0, 0, 1]], numbers[:3], box, pbc], "expected a finite energy"),
        ([torch.full((2, 3), 0.1), numbers[:2], torch.eye(3), pbc], "expected a finite energy"),
        ([torch.zeros(2, 3), numbers[:2], box, pbc], "expected a finite energy"),
        ([positions, numbers, pbc, box], "expected `box` of the shape (3, 3)"),
        ([positions, numbers, box, box], "expected `pbc` of the shape (3)"),
        ([positions, box, numbers, pbc], "expected `atom-positions` of the shape (3, 3)"),
        ([positions, positions, box, pbc], "expected integers for `atom-numbers`"),
        ([positions, numbers, box], "expected the inputs `box` and `pbc`, or none"),
        ([positions, numbers, box * torch.tensor([[1.0], [1.0], [0.0]]), pbc], "expected independent vectors in `box`"),
    ]
    pairs = [
        ([positions, numbers, *paired[2:3], paired[3] + 0.05, box, pbc], "expected `pair-shifts` to be sums of box"),
        ([*paired[:4]], "expected `pair-shifts` to be sums of box"),
        ([*second_probe(True, 14)[:4], 2 * torch.eye(3), pbc], "expected a finite energy"),
        ([positions, numbers, paired[3], paired[2], box, pbc], "for `atom-pairs`"),
        ([positions, numbers, paired[2], paired[3][1:], box, pbc], "expected `pair-shifts` of the shape"),
    ]
    return {"search": search, "pairs": pairs}[form]


@pytest.fixture(scope="module")
def results(files, tmp_path_factory):
    """What GROMACS 2026 would get from all files."""
    calls = {}
    for key, sizes in FILES.items():
        name, form = key
        asked = {"probes": [probe(n_atoms, form == "pairs") for n_atoms in sizes]}
        asked["probes"] += [second_probe(form == "pairs", number) for number in (1, 14)]
        if name in CASES:
            asked["cases"] = calls_of(name, form, CASES[name])
        if name == "sw":
            asked["wrong"] = [call for call, _ in wrong_calls(form)]
        if form == "search":
            asked["first probe"] = [first_probe()]
        if name == "charge":
            asked = {"charged": [[*first_probe(), torch.tensor([2.0])], inputs(CASES["two lists"][0])]}
            asked["charged"][0][0] += torch.tensor([0.1, -0.2, 0.3])
        calls[key] = asked
    flat = {files[key]: [call for part in asked.values() for call in part] for key, asked in calls.items()}
    found = gromacs_process.run(flat, tmp_path_factory.mktemp("plain"))
    return {
        key: dict(zip(asked, split(found[files[key]], asked.values()), strict=True)) for key, asked in calls.items()
    }


def split(values, parts):
    remaining = iter(values)
    return [[next(remaining) for _ in part] for part in parts]


def check_cases(model, cases, got):
    engine = make_engine(model)
    for case, result in zip(cases, got, strict=True):
        assert not isinstance(result, str), result
        expected = engine.evaluate([case], ["energy", "forces"])
        assert_same(result, expected.energy[0], expected.forces)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_energies_and_forces_are_those_of_the_model(made, results, name, form):
    check_cases(made[name], CASES[name], results[name, form]["cases"])


def test_optimizing_executor_of_gromacs_2025_gives_the_same(made, files, tmp_path):
    """Calls with other structures between two with the same: nothing may be left from one to the next."""
    first, second, *_ = CASES["two lists"]
    cases = [first, second, first]
    path = files["two lists", "search"]
    found = gromacs_process.run({path: [inputs(case) for case in cases]}, tmp_path, "optimized")
    check_cases(made["two lists"], cases, found[path])


@pytest.mark.parametrize("key", [key for key in FILES if key[0] != "charge"])
def test_grompp_can_try_the_model_whatever_species_it_knows(results, key):
    found = results[key]
    for result in found["probes"] + found.get("first probe", []):
        assert not isinstance(result, str), result
        energy, forces = result
        assert energy == 0
        assert forces.dim() == 2
        assert not forces.any()


@pytest.mark.parametrize("form", FORMS)
def test_wrong_inputs_are_refused_with_a_hint(results, form):
    for result, (_, expected) in zip(results["sw", form]["wrong"], wrong_calls(form), strict=True):
        assert isinstance(result, str), expected
        assert expected in result


def test_total_charge_reaches_the_model(results):
    (energy, forces), missing = results["charge", "search"]["charged"]
    factor = 2.0 * unit_conversion_factor("eV", "kJ/mol") * 100.0
    assert energy == pytest.approx(factor * 0.14, rel=1e-6)
    np.testing.assert_allclose(forces, -2 * factor * np.array([[0.1, -0.2, 0.3]]), rtol=1e-6)
    assert "expected the input `nnp-charge`, which this model needs, got none" in missing
