"""Files for GROMACS, called as its source calls them: against the pipeline on the same structures."""

import json
import zipfile

import gromacs_process
import models
import numpy as np
import pytest
import torch
from command_line import fail, succeed
from gromacs_cases import assert_same, first_probe, inputs, pair_inputs, probe, rounded
from potential_cases import NAMES, make_engine, structures

from metatomic_core import ModelOutput, unit_conversion_factor
from metatomic_core.gromacs.convert import convert
from metatomic_core.potentials import stillinger_weber

SPACING = 2.2
CUTOFF = 3.77118
FORMS = ("search", "pairs")
EXECUTORS = tuple(gromacs_process.EXECUTORS)


def moved(structure, step):
    """Give a structure whose atoms have moved, a bit or by cell vectors, so that lists are kept or not."""
    positions = structure.positions + 0.02 * step * np.cos(np.arange(structure.positions.size)).reshape(-1, 3)
    positions[0] += (step % 3) * structure.cell[1]
    return rounded(models.Structure(structure.types, positions, structure.cell, structure.pbc))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two models, each in both forms: a full list in eV and angstrom, and two lists in odd units."""
    folder = tmp_path_factory.mktemp("gromacs")
    length = unit_conversion_factor("angstrom", "bohr")
    scale = unit_conversion_factor("eV", "kcal/mol")
    two_lists = models.wrap(
        models.TwoLists(scale, length),
        {"energy": ModelOutput(unit="kcal/mol"), "feature": ModelOutput(sample_kind="atom")},
        length_unit="bohr",
        interaction_range=models.CUTOFF * length,
    )
    made = {"sw": stillinger_weber(), "two lists": two_lists}
    found = {}
    for name, model in made.items():
        model.save(str(folder / "model.pt"))
        for form in FORMS:
            output = folder / f"{name}-{form}.pt"
            found[name, form] = convert(folder / "model.pt", output, pairs=form == "pairs")
    return made, found


def reference(model, structure):
    return make_engine(model).evaluate([structure], ["energy", "forces"])


def check(files, name, form, cutoff, cases, folder, executor):
    made, found = files
    if form == "pairs":
        # pairs beyond the cutoff too, in either direction
        calls = [pair_inputs(case, cutoff + 1.5 * (k % 2), reverse=k % 3 == 0) for k, case in enumerate(cases)]
    else:
        calls = [inputs(case) for case in cases]
    # again in the end: nothing may be left from the calls between
    results = gromacs_process.run(found[name, form].file, [*calls, calls[0]], folder, executor)
    for case, result in zip([*cases, cases[0]], results, strict=True):
        assert not isinstance(result, str), result
        expected = reference(made[name], case)
        assert_same(result, expected.energy[0], expected.forces)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("form", FORMS)
def test_stillinger_weber_as_gromacs_calls_it(files, form, executor, tmp_path):
    small = structures([14], SPACING)
    cases = [moved(small[name], step) for name in NAMES for step in range(4)]
    check(files, "sw", form, CUTOFF, cases, tmp_path, executor)


@pytest.mark.parametrize(("form", "executor"), list(zip(FORMS, EXECUTORS, strict=True)))
def test_two_lists_in_odd_units_as_gromacs_calls_them(files, form, executor, tmp_path):
    cases = [rounded(structure) for structure in models.structures().values()]
    check(files, "two lists", form, models.CUTOFF, cases, tmp_path, executor)
