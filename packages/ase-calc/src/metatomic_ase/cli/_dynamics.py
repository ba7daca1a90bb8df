"""Molecular dynamics: which integrator of ASE serves which ensemble, its settings, and its state between processes."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ase
import numpy as np
from ase import units
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet

from metatomic_ase._convert import has_stress


@dataclasses.dataclass
class Settings:
    """Conditions of a run: everything that changes the trajectory.

    Attributes
    ----------
    ensemble
        "nve", "nvt" or "npt".
    thermostat
        "langevin", "bussi" or "nose-hoover", for "nvt".
    barostat
        "isotropic" or "full", for "npt".
    temperature
        Temperature in K, at the start if it changes; None for "nve" with the velocities of the input.
    ramp
        Times in ps, each with the temperature of the thermostat in K, which changes evenly in between, and stays after
        the last; None for one temperature.
    pressure
        Pressure in GPa.
    timestep, thermostat_time, barostat_time
        In fs.
    friction
        Friction of the Langevin thermostat in 1/ps.
    seed
        Seed of velocities and of stochastic thermostats.
    """

    ensemble: str
    timestep: float
    seed: int
    thermostat: str = "langevin"
    barostat: str = "isotropic"
    temperature: float | None = None
    pressure: float | None = None
    friction: float = 10.0
    thermostat_time: float = 100.0
    barostat_time: float = 1000.0
    ramp: list[list[float]] | None = None

    @property
    def largest_temperature(self) -> float | None:
        """Highest temperature of the conditions in K."""
        return self.temperature if self.ramp is None else max(temperature for _, temperature in self.ramp)

    def temperature_at(self, step: int) -> float:
        """Give the temperature of a changing thermostat at the end of a step, in K."""
        times, temperatures = zip(*(self.ramp or [[0.0, self.temperature or 0.0]]), strict=True)
        return float(np.interp(step * self.timestep / 1000, times, temperatures))

    @property
    def method(self) -> str:
        """Key of the integrator in `INTEGRATORS`."""
        return {"nve": "nve", "nvt": self.thermostat, "npt": self.barostat}[self.ensemble]

    def describe(self) -> str:
        """Give the settings that matter in a few words."""
        text = INTEGRATORS[self.method].text
        if self.ramp is not None:
            stops = ", ".join(f"{temperature:g} K at {time:g} ps" for time, temperature in self.ramp)
            text = text.replace("{temperature:g} K", f"{stops}")
        return text.format(**dataclasses.asdict(self))


class Integrator(NamedTuple):
    """How ASE integrates one method.

    Attributes
    ----------
    make
        Gives the dynamics from atoms, settings and random generator.
    state
        Attributes of the dynamics that are not in the atoms, and are needed to go on.
    text
        Description, with the names of settings.
    heated
        Attributes of the dynamics that hold the temperature as an energy in eV.
    """

    make: Callable[[ase.Atoms, Settings, np.random.Generator], MolecularDynamics]
    state: tuple[str, ...]
    text: str
    heated: tuple[str, ...] = ()


def _thermostat(settings: Settings) -> dict[str, Any]:
    return {
        "timestep": settings.timestep * units.fs,
        "temperature_K": settings.temperature,
    }


def _barostat(settings: Settings) -> dict[str, Any]:
    return {
        **_thermostat(settings),
        "pressure_au": settings.pressure * units.GPa,  # type: ignore[operator]
        "tdamp": settings.thermostat_time * units.fs,
        "pdamp": settings.barostat_time * units.fs,
    }


def _nve(atoms: ase.Atoms, settings: Settings, _: np.random.Generator) -> MolecularDynamics:
    return VelocityVerlet(atoms, timestep=settings.timestep * units.fs)


def _langevin(atoms: ase.Atoms, settings: Settings, rng: np.random.Generator) -> MolecularDynamics:
    friction = settings.friction / (1000 * units.fs)
    # without `fixcm`, which ASE says does not sample the ensemble: the centre of mass diffuses
    return Langevin(atoms, friction=friction, fixcm=False, rng=rng, **_thermostat(settings))


def _bussi(atoms: ase.Atoms, settings: Settings, rng: np.random.Generator) -> MolecularDynamics:
    return Bussi(atoms, taut=settings.thermostat_time * units.fs, rng=rng, **_thermostat(settings))


def _nose_hoover(atoms: ase.Atoms, settings: Settings, _: np.random.Generator) -> MolecularDynamics:
    return NoseHooverChainNVT(atoms, tdamp=settings.thermostat_time * units.fs, **_thermostat(settings))


def _isotropic(atoms: ase.Atoms, settings: Settings, _: np.random.Generator) -> MolecularDynamics:
    return IsotropicMTKNPT(atoms, **_barostat(settings))


def _full(atoms: ase.Atoms, settings: Settings, _: np.random.Generator) -> MolecularDynamics:
    return MTKNPT(atoms, **_barostat(settings))


_CHAIN = ("_thermostat._eta", "_thermostat._p_eta")
_CELL_CHAIN = (*_CHAIN, "_barostat._xi", "_barostat._p_xi")
# the masses of the chains stay those of the first temperature: any will do
_HOT, _HOT_CELL = ("_thermostat._kT",), ("_thermostat._kT", "_barostat._kT")
_NVT = "NVT at {temperature:g} K, {timestep:g} fs, "
_NPT = "NPT at {temperature:g} K and {pressure:g} GPa, {timestep:g} fs, Nose-Hoover chain and MTK barostat, "

INTEGRATORS: Mapping[str, Integrator] = {
    "nve": Integrator(_nve, (), "NVE, {timestep:g} fs"),
    "langevin": Integrator(_langevin, (), _NVT + "Langevin, friction {friction:g}/ps", ("temp",)),
    "bussi": Integrator(_bussi, ("transferred_energy",), _NVT + "Bussi, {thermostat_time:g} fs", ("temp",)),
    "nose-hoover": Integrator(_nose_hoover, _CHAIN, _NVT + "Nose-Hoover chain, {thermostat_time:g} fs", _HOT),
    "isotropic": Integrator(
        _isotropic,
        (*_CELL_CHAIN, "_eps", "_p_eps", "_cell0", "_volume0"),
        _NPT + "isotropic, {barostat_time:g} fs",
        _HOT_CELL,
    ),
    "full": Integrator(_full, (*_CELL_CHAIN, "_p_g"), _NPT + "full cell, {barostat_time:g} fs", _HOT_CELL),
}
# Integrators of ASE that do not heed constraints.
_WITHOUT_CONSTRAINTS = ("nose-hoover", "isotropic", "full")


def check_structure(atoms: ase.Atoms, settings: Settings) -> None:
    """Check that a structure suits the settings.

    Raises
    ------
    ValueError
        If the cell of "npt" is not periodic along three directions, or the integrator does not heed constraints.
    """
    if settings.ensemble == "npt" and not (atoms.pbc.all() and has_stress(atoms)):
        raise ValueError(
            "expected a structure that is periodic in three directions for `--ensemble npt`, got pbc "
            f"{atoms.pbc.tolist()}"
        )
    if atoms.constraints and settings.method in _WITHOUT_CONSTRAINTS:
        raise ValueError(
            f"expected no constraints with the {settings.method} integrator of ASE, got {len(atoms.constraints)}; use "
            "--ensemble nvt --thermostat langevin, or remove them"
        )


def has_velocities(atoms: ase.Atoms) -> bool:
    """Tell whether atoms move."""
    return bool(atoms.has("momenta") and np.any(atoms.get_momenta()))


def set_velocities(atoms: ase.Atoms, temperature: float, rng: np.random.Generator) -> None:
    """Draw velocities from the Maxwell-Boltzmann distribution, at rest as a whole, scaled to the very temperature.

    Parameters
    ----------
    atoms
        The atoms; constraints are respected.
    temperature
        Temperature in K, as `ase.Atoms.get_temperature` counts it.
    rng
        Random generator.
    """
    widths = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * widths[:, None])
    if not atoms.constraints and len(atoms) > 1:
        Stationary(atoms, preserve_temperature=False)
    now = atoms.get_temperature()
    if now > 0:
        atoms.set_momenta(atoms.get_momenta() * np.sqrt(temperature / now))


def make_dynamics(atoms: ase.Atoms, settings: Settings, rng: np.random.Generator) -> MolecularDynamics:
    """Make the dynamics of ASE for some settings; velocities must have been set."""
    return INTEGRATORS[settings.method].make(atoms, settings, rng)


def heat(dynamics: MolecularDynamics, settings: Settings, temperature: float) -> None:
    """Set the temperature of thermostat and barostat, in K."""
    for path in INTEGRATORS[settings.method].heated:
        owner, name = _owner(dynamics, path)
        setattr(owner, name, temperature * units.kB)
    if isinstance(dynamics, Langevin):
        dynamics.updatevars()
    elif isinstance(dynamics, Bussi):
        dynamics.target_kinetic_energy = 0.5 * dynamics.temp * dynamics.ndof


def get_state(dynamics: MolecularDynamics, settings: Settings) -> dict[str, np.ndarray]:
    """Give the variables of thermostat and barostat, by name."""
    state = {}
    for path in INTEGRATORS[settings.method].state:
        owner, name = _owner(dynamics, path)
        state[path] = np.array(getattr(owner, name))
    return state


def set_state(dynamics: MolecularDynamics, settings: Settings, state: Mapping[str, np.ndarray]) -> None:
    """Set the variables of thermostat and barostat to what `get_state` gave.

    Raises
    ------
    ValueError
        If they are not all there, or have another shape.
    """
    for path in INTEGRATORS[settings.method].state:
        if path not in state:
            raise ValueError(f"expected '{path}' in the state of the {settings.method} integrator, got {sorted(state)}")
        owner, name = _owner(dynamics, path)
        value, shape = np.array(state[path]), np.shape(getattr(owner, name))
        if value.shape != shape:
            raise ValueError(
                f"expected '{path}' of the {settings.method} integrator of shape {shape}, got {value.shape}"
            )
        setattr(owner, name, value if value.ndim else value.item())


def _owner(dynamics: MolecularDynamics, path: str) -> tuple[Any, str]:
    """Give the object that has an attribute, such as the thermostat in ``_thermostat._eta``, and its name there."""
    *owners, name = path.split(".")
    owner: Any = dynamics
    for attribute in owners:
        owner = getattr(owner, attribute)
    if not hasattr(owner, name):
        raise RuntimeError(
            f"expected `{path}` in {type(dynamics).__name__} of ASE {ase.__version__} to save its state, got none; "
            "use ASE 3.29, or another thermostat"
        )
    return owner, name
