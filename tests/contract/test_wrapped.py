"""Models in models, in each engine: averages over rotations and heat flux are those of Python, and of LAMMPS itself."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from lammps_models import CUTOFF, Layers
from lammps_tools import run_lammps
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
from metatomic_core.heat_flux import HeatFlux
from metatomic_core.o3 import SymmetrizedModel
from metatomic_core.potentials import lennard_jones
from metatomic_core.testing import Request, installed_subjects
from metatomic_lammps import build_plugin

TYPES = [8, 14]
VARIANCE = "o3::variance::energy"
ENGINES = ["ase", "ipi", "lammps", "lammps-2"]


class Tilted(torch.nn.Module):
    """Pairs whose energy depends on their direction."""

    def __init__(self, tilt: float):
        super().__init__()
        self.tilt = tilt
        self.cutoff = CUTOFF

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, NeighborListOptions(self.cutoff, True, True))
        squares = vectors.square().sum(1)
        weight = (1.0 - squares.sqrt() / self.cutoff).pow(4)
        terms = weight * (1.0 + self.tilt * vectors[:, 0] * vectors[:, 2] / squares)
        energies = sum_at_atoms(systems, terms, first)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, True, True)]


def made(module, reach):
    """Give a model of a module."""
    energy = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
    capabilities = ModelCapabilities(energy, TYPES, reach, "angstrom", ["cpu"], "float64")
    return AtomisticModel(module.eval(), ModelMetadata(type(module).__name__), capabilities)


def layers():
    """Give a model that passes messages, in whose range atoms of other ranks see each other."""
    return made(Layers(2, full_list=True), 2 * CUTOFF)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made(Tilted(0.0), CUTOFF).save(str(folder / "straight.pt"), exported=False)
    # what a direction changes is of degree 2, its square of degree 4, and its derivative beside a vector of degree 3
    average = SymmetrizedModel.wrap(made(Tilted(0.5), CUTOFF), max_angular_momentum_grid=4, include_inversion=False)
    average.save(str(folder / "average.pt"), exported=False)
    HeatFlux.wrap(layers()).save(str(folder / "flux.pt"), exported=False)
    return folder


def crystal():
    rng = np.random.default_rng(8)
    cell = np.array([[11.0, 0.0, 0.0], [1.3, 10.6, 0.0], [-0.9, 1.1, 11.3]])
    fractions = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) / 4
    positions = (fractions + rng.uniform(-0.02, 0.02, fractions.shape)) @ cell
    structure = Structure(rng.choice(TYPES, len(positions)), positions, cell, np.ones(3, dtype=bool))
    velocity = 0.01 * rng.normal(size=positions.shape)
    structure.inputs.update({"velocity": velocity, "mass": np.where(structure.types == 8, 15.999, 28.085)})
    return structure


def subject(name):
    if name.startswith("lammps"):
        build_plugin()
    return installed_subjects()[name]


@pytest.mark.parametrize("name", ENGINES)
def test_average_over_rotations_is_what_has_no_direction(files, name):
    structure = crystal()
    structure.inputs.clear()
    # the variance is no sum over the atoms of ranks
    outputs = {} if name == "lammps-2" else {VARIANCE: "system"}
    found = subject(name).evaluate(Request(files / "average.pt", [structure], outputs=outputs))[0]
    expected = subject(name).evaluate(Request(files / "straight.pt", [structure]))[0]
    assert np.abs(expected.forces).max() > 0.01
    assert found.energy == pytest.approx(expected.energy, rel=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.virial, expected.virial, rtol=0, atol=1e-9)
    if outputs:
        # in the directions of each engine: LAMMPS turns the structure
        made = Engine(files / "average.pt", length_unit="angstrom", energy_unit="eV", kernel="script")
        variance = made.evaluate([structure], outputs=outputs).outputs[VARIANCE].item()
        assert variance > 1e-6
        assert found.outputs[VARIANCE].item() == pytest.approx(variance, rel=1e-7)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "ipi"])
def test_heat_flux_is_that_of_python(files, name):
    structure = crystal()
    answer = subject(name).evaluate(Request(files / "flux.pt", [structure], outputs={"heat_flux": "system"}))[0]
    found = Engine(files / "flux.pt", length_unit="angstrom", energy_unit="eV", kernel="script").evaluate(
        [structure], ("energy", "forces"), outputs={"heat_flux": "system"}
    )
    expected = found.outputs["heat_flux"].reshape(3)
    assert np.abs(expected).min() > 0.01
    np.testing.assert_allclose(answer.outputs["heat_flux"].reshape(3), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(answer.forces, found.forces, rtol=0, atol=1e-9)


def test_ipi_has_no_velocities(files):
    """Its protocol sends positions and cells only, so heat fluxes are for the trajectories that it writes."""
    with pytest.raises(
        ValueError, match="expected a model whose inputs i-PI can provide, got one that requests 'veloc"
    ):
        subject("ipi").evaluate(Request(files / "flux.pt", [crystal()]))


LIQUID = """units metal
lattice fcc 5.4
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
displace_atoms all random 0.2 0.2 0.2 7
mass 1 39.948
velocity all create 90 5
{style}
compute kinetic all ke/atom
compute potential all pe/atom
compute stress all stress/atom NULL virial
compute of_lammps all heat/flux kinetic potential stress
{compute}
thermo_style custom step c_of_lammps[1] c_of_lammps[2] c_of_lammps[3] {columns}
thermo_modify format float %.17g norm no
thermo 5
run 10
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_heat_flux_of_pairs_is_that_of_lammps(tmp_path, ranks):
    """Of argon that moves: of a pair potential, LAMMPS' way of sharing out energies and stress is exact."""
    argon = lennard_jones(["Ar"], 3.4, 0.0104, cutoff=7.0, shift="none")
    HeatFlux.wrap(argon).save(str(tmp_path / "argon.pt"), exported=False)
    native = LIQUID.format(style="pair_style lj/cut 7.0\npair_coeff * * 0.0104 3.4", compute="", columns="")
    ours = LIQUID.format(
        style="pair_style metatomic argon.pt output heat_flux\npair_coeff * * Ar",
        compute="compute ours all pair metatomic",
        columns="c_ours[1] c_ours[2] c_ours[3]",
    )
    expected, found = (run_lammps(build_plugin(), tmp_path, text, ranks).thermo() for text in (native, ours))
    for k in range(1, 4):
        of_lammps = expected[f"c_of_lammps[{k}]"]
        assert np.abs(of_lammps).min() > 1.0
        # ours is in the unit of the model: angstrom/fs instead of angstrom/ps
        np.testing.assert_allclose(1000 * found[f"c_ours[{k}]"], of_lammps, rtol=0, atol=1e-7)
        np.testing.assert_allclose(found[f"c_of_lammps[{k}]"], of_lammps, rtol=0, atol=1e-7)
