"""What the header of a model file says, as the plugin reads it: alone, without torch, and in one LAMMPS run."""

import itertools
import json
import re

import pytest
import torch
from lammps_tools import compile_alone, run_program

from metatomic_core import ModelOutput
from metatomic_core.data.selection import chosen_output
from metatomic_core.potentials import lennard_jones

INPUT = """units metal
lattice fcc 5.3
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
pair_style metatomic {model}
pair_coeff * * Ar
variable m equal mass(all)/count(all)
thermo_style custom step pe
thermo_modify format float %22.16g
run 0
print "MASS ${{m}}"
"""

OUTPUTS = {
    "energy": {"sample_kind": "atom", "n_properties": 1, "description": ""},
    "energy/pbe": {"sample_kind": "system", "n_properties": 1, "description": "a functional"},
    "energy_uncertainty": {"sample_kind": "atom", "n_properties": 1, "description": ""},
    "energy_uncertainty/pbe": {"sample_kind": "atom", "n_properties": 1, "description": ""},
    "charge/one": {"sample_kind": "atom", "n_properties": 1, "description": ""},
    "charges/one": {"sample_kind": "atom", "n_properties": 1, "description": ""},
    "charge/two": {"sample_kind": "atom", "n_properties": 1, "description": "of Löwdin"},
    "charges/two": {"sample_kind": "atom", "n_properties": 1, "description": "of Löwdin"},
    "non_conservative_force": {"sample_kind": "atom", "n_properties": 3, "description": ""},
    "non_conservative_forces": {"sample_kind": "atom", "n_properties": 3, "description": ""},
    "dipole/only": {"sample_kind": "system", "n_properties": 3, "description": ""},
    "dipoles/only": {"sample_kind": "system", "n_properties": 3, "description": ""},
    "my::output": {"sample_kind": "atom_pair", "n_properties": None, "description": "twice"},
}
QUERIES = {
    "atomic_types": [8, 14, -3],
    "type_names": ["O", "Si", "-3"],
    "masses": [15.999, 28.085, 0.0],
    "interaction_range": 9.5,
    "length_unit": "nm",
    "length_unit_in_angstrom": 10.0,
    "dtype": "float64",
    "supported_devices": ["cuda", "cpu"],
    "neighbor_lists": [
        {"cutoff": 0.45, "full_list": True, "strict": True},
        {"cutoff": 0.3, "full_list": False, "strict": False},
    ],
    "outputs": {
        name: {"quantity": "", "unit": "", "explicit_gradients": [], **output} for name, output in OUTPUTS.items()
    },
    "inputs": {"charges": {"unit": "e", "sample_kind": "atom"}},
    "differentiates": False,
    "is_local": None,
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    sources = ["metatomic_queries.cpp", "metatomic_names.cpp"]
    return compile_alone(tmp_path_factory.mktemp("queries") / "queries", "queries_driver.cpp", sources)


@pytest.fixture
def ask(program, tmp_path):
    def run(header, *mode, lines=()):
        (tmp_path / "header.json").write_text(json.dumps(header))
        arguments = [str(tmp_path / "header.json"), *(mode or ["all"])]
        return run_program(program, *arguments, text="\n".join(lines)).splitlines()

    return run


def test_all_answers_of_a_header(ask):
    expected = [
        "type 8 O 15.999",
        "type 14 Si 28.085",
        "type -3 -3 0",
        "devices cuda, cpu",
        "length 10.000000",
        "range 9.5",
        "list 0.45 1",
        "list 0.3 0",
    ]
    for name, output in sorted(OUTPUTS.items()):
        width = -1 if output["n_properties"] is None else output["n_properties"]
        expected.append(f"output {name} {output['sample_kind']} {width} {output['description']}")
    assert ask({"queries": QUERIES}) == [*expected, "input charges atom", "local unknown"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"is_local": True}, "local 1"),
        ({"is_local": False}, "local 0"),
        ({"interaction_range": "inf"}, "range inf"),
        ({"neighbor_lists": [{"cutoff": "inf", "full_list": True}]}, "list inf 1"),
        ({"length_unit": "", "length_unit_in_angstrom": None}, "length without unit"),
    ],
)
def test_answers_that_have_several_forms(change, line, ask):
    assert line in ask({"queries": {**QUERIES, **change}})


def test_values_of_an_output(ask):
    assert ask({"queries": QUERIES}, "values", "non_conservative_forces") == ["3"]
    (line,) = ask({"queries": QUERIES}, "values", "my::output")
    assert line.startswith("expected the number of values of 'my::output' in the header of the model file, got none: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masses": [1.0]}, "expected all answers in the header of a model file, got an error: "),
        ({"interaction_range": "far"}, "expected a number in the header of a model file, got 'far'"),
    ],
)
def test_header_that_is_wrong(change, words, ask):
    (line,) = ask({"queries": {**QUERIES, **change}})
    assert line.startswith(words)
    (line,) = ask({"format_version": 3})
    assert line.startswith("expected all answers in the header of a model file, got an error: ")


NAMES = [
    *OUTPUTS,
    *("charge", "charges", "dipole", "dipoles", "feature", "energy_ensemble", "energy/none", "my::other"),
]
VARIANTS = [{}, *({"energy": value} for value in ("pbe", "off", "none"))]
VARIANTS += [{"charges": "two"}, {"charge": "one", "energy": "pbe"}, {"energy_uncertainty": "off", "energy": "pbe"}]


def test_variants_are_chosen_as_in_python(ask):
    """All names with all choices; where Python raises, the text is the same."""
    offered = {
        name: ModelOutput(sample_kind=output["sample_kind"], description=output["description"])
        for name, output in sorted(OUTPUTS.items())
    }
    cases, expected = [], []
    for name, variants in itertools.product(NAMES, VARIANTS):
        cases.append(" ".join([name, *(f"{key}={value}" for key, value in variants.items())]))
        try:
            expected.append(f'"{chosen_output(name, offered, variants)}"')
        except ValueError as error:
            expected.append(str(error))
    assert ask({"queries": QUERIES}, "lines", lines=cases) == expected
    assert sum(line.startswith("expected") for line in expected) > 10


def saved_again(source, target, change):
    """Write a model file with another header."""
    header = {"metatomic-core.json": ""}
    module = torch.jit.load(source, _extra_files=header)
    content = json.loads(header["metatomic-core.json"])
    change(content["queries"])
    torch.jit.save(module, target, _extra_files={"metatomic-core.json": json.dumps(content)})
    return target


def test_answers_of_the_header_are_what_lammps_uses(lammps, model_folder):
    """Here a mass that nothing else could give, and lengths in another unit."""
    lennard_jones(cutoff=6.0).save(model_folder / "plain.pt")
    other = {
        "masses": [123.0],
        "length_unit": "nm",
        "length_unit_in_angstrom": 10.0,
        "interaction_range": 0.6,
        "neighbor_lists": [{"cutoff": 0.6, "full_list": False, "strict": True}],
    }
    saved_again(model_folder / "plain.pt", model_folder / "header.pt", lambda queries: queries.update(other))
    masses, energies = [], []
    for name in ("plain", "header"):
        done = lammps(INPUT.format(model=model_folder / f"{name}.pt"), 2)
        masses.append(float(re.search(r"MASS (\S+)", done.output)[1]))
        energies.append(done.thermo()["PotEng"][0])
    assert masses == [pytest.approx(39.95, abs=0.01), 123.0]
    assert energies[1] == pytest.approx(energies[0], rel=1e-12)


def test_what_the_header_does_not_tell(lammps, model_folder):
    """Pairs of ghosts are there to be safe, which the log says once; an output of unknown size is refused by name."""

    def forget(queries):
        queries["is_local"] = None
        for output in queries["outputs"].values():
            output["n_properties"] = None

    lennard_jones(cutoff=6.0).save(model_folder / "told.pt")
    unknown = saved_again(model_folder / "told.pt", model_folder / "untold.pt", forget)
    known, done = (lammps(INPUT.format(model=model) + "run 0\n", 2) for model in (model_folder / "told.pt", unknown))
    words = "The model file does not tell whether energies depend on pairs of ghosts"
    assert (known.output.count(words), done.output.count(words)) == (0, 1)
    assert done.thermo()["PotEng"][0] == pytest.approx(known.thermo()["PotEng"][0], rel=1e-12)
    refused = lammps(INPUT.format(model=f"{unknown} output energy"), ok=False)
    assert "expected the number of values of 'energy' in the header of the model file, got none" in refused.error


def test_lengths_of_a_model_without_unit_are_those_of_lammps(lammps, model_folder):
    """Also in a unit style without angstrom: lengths, cutoffs among them, are taken as they are."""
    nm = lennard_jones(cutoff=0.6, sigma=0.34, length_unit="nm")
    nm.save(model_folder / "nm.pt")
    nm.capabilities().length_unit = ""
    nm.save(model_folder / "without.pt")
    text = INPUT.replace("units metal", "units nano").replace("fcc 5.3", "fcc 0.53")
    energies = [
        lammps(text.format(model=model_folder / f"{name}.pt"), 2).thermo()["PotEng"][0] for name in ("nm", "without")
    ]
    assert energies[0] < 0.0
    assert energies[1] == pytest.approx(energies[0], rel=1e-12)
