"""Inputs for i-PI: a commented ``input.xml`` for the common cases, and the structure that it starts from.

Pieces of XML are templates in tables; what differs between cases is a row.  Nothing here imports torch.
"""

import dataclasses
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import ase
import numpy as np

from metatomic_core.adapters.inputs import INFO_NAMES

from .template import is_oriented

# Characters with a meaning in XML, in i-PI's names of files, or for shells.
_NOT_IN_NAMES = "<>&\"' \t"
# fs; anything longer is a mistake in the unit
_LONGEST_STEP = 1000.0
_SMALLEST_VOLUME = 1e-3
SOCKET_MODES = ("unix", "inet", "shm", "ffdirect")


@dataclasses.dataclass
class Case:
    """What distinguishes a kind of simulation.

    Attributes
    ----------
    help
        What it is.
    motion
        XML of the motion.
    ensemble
        XML of the ensemble.
    n_beads
        Number of beads if nothing else is said.
    properties
        Columns of the output besides step and time.
    thermal
        Whether atoms start with velocities of the temperature.
    needs_cell
        Whether it needs a periodic structure.
    """

    help: str
    motion: str
    ensemble: str = "<temperature units='kelvin'> {temperature:g} </temperature>"
    n_beads: int = 1
    properties: Sequence[str] = ("conserved{{electronvolt}}", "temperature{{kelvin}}", "kinetic_md{{electronvolt}}")
    thermal: bool = True
    needs_cell: bool = False


_TIMESTEP = "<timestep units='femtosecond'> {timestep:g} </timestep>"
# Langevin for one classical particle; for path integrals, all modes but the centroid get an optimal friction.
_LANGEVIN = "<thermostat mode='langevin'><tau units='femtosecond'> {tau:g} </tau></thermostat>"
_PILE = (
    "<thermostat mode='pile_g'><tau units='femtosecond'> {tau:g} </tau><pile_lambda> 0.5 </pile_lambda></thermostat>"
)
_BAROSTAT = (
    "<barostat mode='isotropic'><tau units='femtosecond'> {barostat_tau:g} </tau>\n"
    "        <thermostat mode='langevin'><tau units='femtosecond'> {barostat_tau:g} </tau></thermostat></barostat>"
)
_PRESSURE = (
    "<temperature units='kelvin'> {temperature:g} </temperature>"
    "<pressure units='megapascal'> {pressure_mpa:.10g} </pressure>"
)
_QUANTUM = (
    "conserved{{electronvolt}}",
    "temperature{{kelvin}}",
    "kinetic_md{{electronvolt}}",
    "kinetic_cv{{electronvolt}}",
)
_VOLUME = ("volume{{angstrom3}}", "pressure_md{{megapascal}}")


def _dynamics(mode: str, *parts: str) -> str:
    inside = "\n      ".join((_TIMESTEP, *parts))
    return f"<motion mode='dynamics'>\n    <dynamics mode='{mode}'>\n      {inside}\n    </dynamics>\n  </motion>"


CASES: dict[str, Case] = {
    "nve": Case("constant energy", _dynamics("nve")),
    "nvt": Case("constant temperature", _dynamics("nvt", _LANGEVIN)),
    "npt": Case(
        "constant temperature and pressure, isotropic cell",
        _dynamics("npt", _BAROSTAT, _LANGEVIN),
        _PRESSURE,
        properties=(*Case("", "").properties, *_VOLUME),
        needs_cell=True,
    ),
    "pimd": Case("path integrals, constant temperature", _dynamics("nvt", _PILE), n_beads=8, properties=_QUANTUM),
    "pimd-npt": Case(
        "path integrals, constant temperature and pressure",
        _dynamics("npt", _BAROSTAT, _PILE),
        _PRESSURE,
        n_beads=8,
        properties=(*_QUANTUM, *_VOLUME),
        needs_cell=True,
    ),
    "remd": Case("replica exchange between temperatures", _dynamics("nvt", _LANGEVIN)),
    "geop": Case(
        "geometry optimisation of the atoms, the cell is kept",
        "<motion mode='minimize'>\n    <optimizer mode='lbfgs'>\n      <tolerances> <energy> 1e-8 </energy> "
        "<force> 1e-5 </force> <position> 1e-5 </position> </tolerances>\n    </optimizer>\n  </motion>",
        ensemble="",
        properties=("forcemod{{ev/ang}}",),
        thermal=False,
    ),
    "phonons": Case(
        "vibrations by finite differences",
        "<motion mode='vibrations'>\n    <vibrations mode='fd'>\n      <pos_shift> 0.005 </pos_shift> "
        "<energy_shift> 0.001 </energy_shift> <output_shift> 0.001 </output_shift>\n      <prefix> phonons </prefix> "
        "<asr> {asr} </asr>\n    </vibrations>\n  </motion>",
        ensemble="",
        properties=(),
        thermal=False,
    ),
}


@dataclasses.dataclass
class Settings:
    """The numbers of a simulation, in the units that users write; None where the case decides."""

    case: str
    temperature: float = 300.0
    pressure: float = 0.0  # GPa
    timestep: float = 0.5  # fs
    tau: float = 100.0  # fs
    barostat_tau: float = 500.0  # fs
    steps: int = 1000
    n_beads: int | None = None
    temperatures: Sequence[float] = ()
    batch_size: int | None = None
    seed: int = 12345
    stride: int | None = None
    prefix: str = "simulation"
    mode: str = "unix"
    address: str = "metatomic"
    port: int = 31415
    extras: Sequence[str] = ()
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pes_path: str = ""

    def __post_init__(self) -> None:
        """Check the numbers, and fill in what the case decides."""
        if self.case not in CASES:
            raise ValueError(f"expected a case, one of {', '.join(CASES)}, got '{self.case}'")
        if self.mode not in SOCKET_MODES:
            raise ValueError(f"expected a mode, one of {', '.join(SOCKET_MODES)}, got '{self.mode}'")
        for name in ("temperature", "timestep", "tau", "barostat_tau", "steps"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"expected `{name}` to be positive and finite, got {getattr(self, name)}")
        if not math.isfinite(self.pressure):
            raise ValueError(f"expected `pressure` to be finite, got {self.pressure}")
        if self.timestep > _LONGEST_STEP:
            raise ValueError(
                f"expected `timestep` up to {_LONGEST_STEP:g} fs, got {self.timestep:g}; vibrations last some 10 fs"
            )
        self._check_temperatures()
        if self.n_beads is None:
            self.n_beads = CASES[self.case].n_beads
        if self.case == "phonons" and self.n_beads > 1:
            raise ValueError(f"expected one bead for 'phonons', the only number that i-PI has, got {self.n_beads}")
        for name in ("prefix", "address"):
            text = getattr(self, name)
            if not text or not text.isprintable() or set(text) & set(_NOT_IN_NAMES):
                raise ValueError(f"expected `{name}` without spaces and any of {_NOT_IN_NAMES}, got '{text}'")
        if "/" in self.address:
            raise ValueError(f"expected `address` to be a name without '/', got '{self.address}'; see i-PI's option -S")
        if self.case == "remd" and not self.temperatures:
            # a geometric ladder, as exchange is about ratios of temperatures
            self.temperatures = [self.temperature * 1.1**i for i in range(4)]
        if self.batch_size is None:
            self.batch_size = max(1, self.n_beads) * max(1, len(self.temperatures))
        for name in ("n_beads", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected `{name}` to be one or more, got {getattr(self, name)}")
        if self.stride is None:
            self.stride = max(1, self.steps // 1000)

    def _check_temperatures(self) -> None:
        if self.temperatures and self.case != "remd":
            raise ValueError(f"expected `temperatures` only for 'remd', got them for '{self.case}'; use `temperature`")
        if len(self.temperatures) == 1:
            raise ValueError(
                f"expected two `temperatures` or more for 'remd', got {self.temperatures[0]:g} alone; add others, or "
                "leave it out for a ladder from `temperature` on"
            )
        for value in self.temperatures:
            if not 0 < value < math.inf:
                raise ValueError(f"expected `temperatures` to be positive and finite, got {value:g}")


def check_structure(atoms: ase.Atoms) -> None:
    """Check that i-PI can start from a structure.

    Raises
    ------
    ValueError
        If positions or cell are not finite, the periodic cell has no volume, or two atoms are at one place.
    """
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        raise ValueError("expected a structure with finite positions and cell, got nan or inf")
    if atoms.cell.rank == 3:
        volume = np.linalg.det(atoms.cell.array)
        if abs(volume) < _SMALLEST_VOLUME:
            raise ValueError(f"expected a cell with a volume, got {abs(volume):g} cubic angstrom")
        if volume < 0:
            raise ValueError("expected a right-handed cell, got a left-handed one; swap two of its vectors")
    _, first, inverse = np.unique(atoms.positions, axis=0, return_index=True, return_inverse=True)
    other = first[inverse.reshape(-1)]
    same = np.flatnonzero(other != np.arange(len(atoms)))
    if len(same) > 0:
        raise ValueError(
            f"expected atoms at different places, got atoms {other[same[0]]} and {same[0]} at one place; remove one"
        )


def check_case(settings: Settings, atoms: ase.Atoms) -> None:
    """Check that a case makes sense for a structure in `standard_form`.

    Raises
    ------
    ValueError
        If the case needs a periodic structure and this is none, or i-PI can do nothing with a single atom.
    """
    case = CASES[settings.case]
    if case.needs_cell and not atoms.pbc.all():
        raise ValueError(
            f"expected a structure that is periodic along x, y and z for '{settings.case}', got {atoms.pbc}"
        )
    if len(atoms) == 1:
        raise ValueError(
            "expected two atoms or more, as i-PI fixes the centre of mass, got one atom, which would not move; "
            "repeat the cell, or use `metatomic md`"
        )


def standard_form(atoms: ase.Atoms) -> ase.Atoms:
    """Turn a structure, cell and atoms, so that a is along x and b in the plane xy, as i-PI wants.

    Raises
    ------
    ValueError
        If the structure has no cell of three vectors, and is periodic.
    """
    if not atoms.pbc.any() and atoms.cell.rank < 3:
        return _boxed(atoms)
    if atoms.cell.rank < 3:
        raise ValueError(
            f"expected a cell of three vectors, as i-PI needs also for slabs and wires, got rank {atoms.cell.rank}; "
            "add vacuum"
        )
    if is_oriented(atoms.cell.array):
        return atoms.copy()
    turned = atoms.copy()
    cell, _ = atoms.cell.standard_form()
    turned.set_cell(cell, scale_atoms=True)
    return turned


def _boxed(atoms: ase.Atoms) -> ase.Atoms:
    """Put a molecule in a large box, which i-PI needs and the model does not see."""
    boxed = atoms.copy()
    size = np.ptp(atoms.positions, axis=0).max() + 100.0
    boxed.set_cell([size] * 3)
    return boxed


def xyz_text(atoms: ase.Atoms) -> str:
    """Give a structure as an xyz file of i-PI, cell and positions in angstrom to all digits."""
    # the columns of i-PI's matrix are the cell vectors
    cell = " ".join(repr(float(x)) for x in atoms.cell.array.T.reshape(-1))
    lines = [str(len(atoms)), f"# CELL{{H}}: {cell} cell{{angstrom}} positions{{angstrom}}"]
    for symbol, position in zip(atoms.symbols, atoms.positions, strict=True):
        lines.append(f"{symbol} " + " ".join(repr(float(x)) for x in position))
    return "\n".join(lines) + "\n"


def input_text(settings: Settings, atoms: ase.Atoms) -> str:
    """Give the text of ``input.xml`` for a structure in `standard_form`, which it reads from ``init.xyz``.

    Raises
    ------
    ValueError
        If the case needs a periodic structure and this is none.
    """
    case = CASES[settings.case]
    check_case(settings, atoms)
    numbers = dataclasses.asdict(settings)
    # finite differences take one step for each coordinate, and end by themselves
    steps = max(settings.steps, 3 * len(atoms) + 1) if settings.case == "phonons" else settings.steps
    numbers["pressure_mpa"] = 1000.0 * settings.pressure
    numbers["asr"] = "crystal" if atoms.pbc.any() else "poly"
    parts = [
        f"<!-- {case.help}: i-PI reads this file; written by metatomic-ipi -->",
        "<simulation verbosity='medium'>",
        _output(settings, case),
        f"<total_steps> {steps} </total_steps>",
        f"<prng><seed> {settings.seed} </seed></prng>",
        _forcefield(settings),
        _systems(settings, case, numbers),
    ]
    if settings.case == "remd":
        parts.append("<!-- exchange of neighbors is tried every `stride` steps -->")
        parts.append("<smotion mode='remd'><remd><stride> 10 </stride></remd></smotion>")
    parts.append("</simulation>")
    return "\n".join(parts) + "\n"


def _output(settings: Settings, case: Case) -> str:
    columns = ["step", "time{picosecond}", "potential{electronvolt}"]
    columns += [name.format() for name in case.properties]
    rows = [
        f"<output prefix='{settings.prefix}'>",
        "  <!-- energies are of the whole system, the potential is the mean over beads -->",
        f"  <properties stride='{settings.stride}' filename='out'> [ {', '.join(columns)} ] </properties>",
        (
            f"  <trajectory filename='pos' stride='{settings.stride}' format='xyz' cell_units='angstrom'> "
            "positions{angstrom} </trajectory>"
        ),
    ]
    for key in settings.extras:
        name = key.replace(":", "_").replace("/", "_")
        rows.append(
            f"  <trajectory filename='{name}' stride='{settings.stride}' extra_type='{key}'> extras </trajectory>"
        )
    rows.append("  <!-- to go on after the end: i-pi RESTART -->")
    rows.append(f"  <checkpoint stride='{max(settings.stride or 1, 100)}'/>")
    return "\n".join([*rows, "</output>"])


def _forcefield(settings: Settings) -> str:
    if settings.mode == "ffdirect":
        parameters = ", ".join(f"{name}: {value}" for name, value in settings.parameters.items())
        return (
            "<!-- i-PI calls the model itself, without a socket -->\n"
            "<ffdirect name='metatomic' pbc='false' threaded='true'>\n"
            f"  <pes> custom </pes><pes_path> {settings.pes_path} </pes_path>\n"
            f"  <parameters> {{ {parameters} }} </parameters>\n"
            f"  <batch_size> {settings.batch_size} </batch_size>\n"
            "</ffdirect>"
        )
    port = f"<port> {settings.port} </port>" if settings.mode == "inet" else ""
    return (
        "<!-- positions are not wrapped into the cell, so that neighbor lists last; each client evaluates\n"
        "     `batch_size` structures in one call of the model -->\n"
        f"<ffsocket name='metatomic' mode='{settings.mode}' pbc='false'>\n"
        f"  <address> {settings.address} </address>{port}<latency> 1e-4 </latency>\n"
        f"  <batch_size> {settings.batch_size} </batch_size>\n"
        "</ffsocket>"
    )


def _systems(settings: Settings, case: Case, numbers: Mapping[str, object]) -> str:
    remd = settings.case == "remd"
    temperature = "TEMP" if remd else f"{settings.temperature:g}"
    velocities = f"\n    <velocities mode='thermal' units='kelvin'> {temperature} </velocities>" if case.thermal else ""
    ensemble = case.ensemble.replace("{temperature:g}", temperature).format(**numbers)
    body = [
        "<system prefix='PREFIX'>" if remd else "<system>",
        f"  <initialize nbeads='{settings.n_beads}'>",
        f"    <file mode='xyz'> init.xyz </file>{velocities}\n  </initialize>",
        "  <forces><force forcefield='metatomic'/></forces>",
    ]
    if ensemble:
        body.append(f"  <ensemble> {ensemble} </ensemble>")
    body.append("  " + case.motion.format(**numbers))
    body.append("</system>")
    system = "\n".join(body)
    if not remd:
        return system
    instances = "\n".join(f"  <instance> [ {i}_, {t:g} ] </instance>" for i, t in enumerate(settings.temperatures))
    return (
        "<system_template>\n  <labels> [ PREFIX, TEMP ] </labels>\n"
        f"{instances}\n  <template>\n{system}\n  </template>\n</system_template>"
    )


def write_input(settings: Settings, atoms: ase.Atoms, directory: str | os.PathLike[str]) -> list[Path]:
    """Write ``input.xml``, ``init.xyz`` for i-PI, and ``template.xyz`` for the client.

    Parameters
    ----------
    settings
        The numbers.
    atoms
        The structure, in any orientation.
    directory
        Where to write; it exists.

    Returns
    -------
    list of pathlib.Path
        The three files.
    """
    atoms = standard_form(atoms)
    # what a client needs and i-PI's own xyz can not say: periodicity, charge, spin
    template = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    known = itertools.chain.from_iterable(INFO_NAMES.values())
    template.info = {name: atoms.info[name] for name in known if name in atoms.info}
    for name in ("masses", "initial_charges", "initial_magmoms"):
        if atoms.has(name):
            template.set_array(name, atoms.get_array(name))
    directory = Path(directory)
    files = [directory / name for name in ("input.xml", "init.xyz", "template.xyz")]
    files[0].write_text(input_text(settings, atoms), encoding="utf-8")
    files[1].write_text(xyz_text(atoms), encoding="utf-8")
    template.write(files[2], format="extxyz")
    return files
