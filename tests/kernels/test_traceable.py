"""The models of this repository are saved with programs that give what TorchScript gives, for any structure."""

import dataclasses

import ase_models
import ipi_models
import lammps_models
import models as fixtures
import numpy as np
import potential_cases
import pytest
from potential_cases import POTENTIALS

from metatomic_core import ModelOutput, load_atomistic_model
from metatomic_core.engine import Engine, Structure

RESULTS = ["energy", "forces", "virial"]
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


def with_outputs(module, names):
    known = {**lammps_models.MANY, **ipi_models.OUTPUTS}
    outputs = {name: known[name] if name in known else ModelOutput(sample_kind="atom") for name in names}
    return fixtures.wrap(module, outputs, interaction_range=4.5)


# those of test_kernels_contract.py are not here again
FIXTURES = {
    "electrostatics": (ase_models.Electrostatics, ["energy", "charge", "dipole"]),
    "charged oscillators": (lambda: ipi_models.ChargedOscillators(8), ["energy"]),
    "one layer": (lambda: lammps_models.Layers(1, True), ["energy"]),
    "two layers": (lambda: lammps_models.Layers(2, False), ["energy"]),
    "triangles": (lammps_models.Triangles, ["energy"]),
    "near": (lambda: lammps_models.NearMessages(2.5, 8), ["energy"]),
    "many outputs": (lammps_models.ManyOutputs, [*lammps_models.MANY]),
    "inputs of neighbors": (lammps_models.Inputs, ["energy"]),
    "count": (lammps_models.CountAtoms, ["energy"]),
    "alone": (lammps_models.Alone, ["energy"]),
}


def asked_structures(species, spacing):
    """Give structures of all kinds; of two atoms with one pair, of two and of one without, and without atoms."""
    found = potential_cases.structures(species, spacing)
    found["empty"] = potential_cases.empty()
    pair, no = np.array([[0.0, 0.0, 0.0], [0.3, 0.9, 0.1]]), np.zeros(3, dtype=bool)
    types = np.array([species[-1], species[0]])
    found["one pair"] = Structure(types, spacing * pair, np.zeros((3, 3)), no)
    found["two apart"] = Structure(types, 50.0 * pair, np.zeros((3, 3)), no)
    return found


def with_inputs(model, structure):
    """Give a structure with the inputs that a model requests."""
    rng, found = np.random.default_rng(7), {}
    for name, output in model.requested_inputs().items():
        shape = [len(structure.types) if output.sample_kind == "atom" else 1, 1]
        if any(part in name for part in ("velocit", "moment")):
            shape.insert(1, 3)
        found[name] = rng.uniform(size=shape)
    return dataclasses.replace(structure, inputs=found) if found else structure


def largest(values):
    """Give the largest finite number."""
    return np.abs(values[np.isfinite(values)]).max(initial=0.0)


def compare(model, found, path):
    """Compare a file run by its programs with the same run by TorchScript."""
    model.save(str(path), exported=True)
    header = load_atomistic_model(path).header
    assert header.programs, header.untraced
    # what a model says of a structure without a volume may be NaN
    options = {"length_unit": "angstrom", "energy_unit": "eV", "device": "cpu", "check_finite": False}
    script, eager = (Engine(path, kernel=kernel, **options) for kernel in ("script", "eager"))
    capabilities = model.capabilities()
    results = [*RESULTS, *(["atomic_energies"] if capabilities.outputs["energy"].sample_kind == "atom" else [])]
    outputs = {
        name: output.sample_kind for name, output in capabilities.outputs.items() if name in header.programs[0].values
    }
    for name, structure in found.items():
        given = [with_inputs(model, structure)]
        n_atoms = len(structure.types)
        # all atoms, and every second one in reverse order
        some = np.array([(0, atom) for atom in range(0, n_atoms, 2)][::-1], dtype=int).reshape(-1, 2)
        for selected in (None, some):
            expected, got = (
                each.evaluate(given, results, outputs=outputs, selected_atoms=selected) for each in (script, eager)
            )
            assert eager.fallback == ""
            pairs = {
                **{key: (getattr(expected, key), getattr(got, key)) for key in results},
                **{key: (expected.outputs[key], got.outputs[key]) for key in outputs},
            }
            for key, (a, b) in pairs.items():
                assert a.shape == b.shape
                # forces of pairs add up to zero
                scale = max(largest(each) for each in (a, expected.energy, expected.virial))
                limit = TOLERANCES[capabilities.dtype] * scale
                np.testing.assert_allclose(b, a, rtol=0, atol=limit, equal_nan=True, err_msg=f"{name}: {key}")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float64") for name in POTENTIALS]
    + [(name, "float32") for name in ("lj-smooth", "sw-thirds", "sutton-chen", "eam-fs")],
)
def test_potentials(name, dtype, tmp_path):
    species, spacing, make = POTENTIALS[name]
    compare(make(tmp_path, dtype=dtype), asked_structures(species, spacing), tmp_path / "model.pt")


@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures(name, tmp_path):
    make, outputs = FIXTURES[name]
    compare(with_outputs(make(), outputs), asked_structures([8, 1, 14, 6], 1.5), tmp_path / "model.pt")
