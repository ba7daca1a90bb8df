"""Running LAMMPS, and the structures that the LAMMPS tests share."""

import dataclasses
import subprocess
from pathlib import Path

import numpy as np

from metatomic_lammps import running
from metatomic_lammps._toolchain import find_compiler, find_target
from metatomic_lammps.build import SOURCES

LAMMPS_FOLDER = running.lammps_folder()
POTENTIALS = LAMMPS_FOLDER / "share" / "lammps" / "potentials"
BENCH = LAMMPS_FOLDER / "share" / "lammps" / "bench"

PRESSURES = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")
ATOM_COLUMNS = "id x y z fx fy fz c_peratom c_stress[1] c_stress[2] c_stress[3] c_stress[4] c_stress[5] c_stress[6]"

# the tests compare digits that LAMMPS does not print by default
FORMAT = """thermo_modify format float %22.16g norm no
"""


def run_lammps(plugin, folder, text, ranks=1, options=(), ok=True, **changes):
    """Run an input text in a folder; unless `ok` is false, fail if LAMMPS does."""
    settings = {"OMP_NUM_THREADS": "1", "LAMMPS_POTENTIALS": str(POTENTIALS), **changes}
    done = running.run_lammps(plugin, folder, text, ranks, options, **settings)
    if ok and done.status != 0:
        raise AssertionError(f"expected LAMMPS to succeed, got status {done.status}:\n{done.output[-3000:]}")
    return done


def run_in_turn(run, texts, ranks=1):
    """Run input texts one after the other in one LAMMPS, which starts once, and give a Run for each."""
    mark = "=== next input ==="
    return run(f'\nclear\nprint "{mark}"\n'.join(texts), ranks).parts(mark)


@dataclasses.dataclass
class Box:
    """A structure for LAMMPS: positions in a restricted triclinic box."""

    types: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    tilts: tuple = (0.0, 0.0, 0.0)
    boundary: str = "p p p"
    charges: np.ndarray = None

    @property
    def cell(self):
        xy, xz, yz = self.tilts
        lx, ly, lz = self.lengths
        return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]])

    @property
    def pbc(self):
        return np.array([letter == "p" for letter in self.boundary.split()])

    def write(self, path, masses):
        """Write a data file."""
        xy, xz, yz = self.tilts
        lines = ["data for a test", "", f"{len(self.types)} atoms", f"{len(masses)} atom types", ""]
        lines += [f"0 {length!r} {name}lo {name}hi" for length, name in zip(map(float, self.lengths), "xyz")]
        if any(self.tilts):
            lines.append(f"{xy!r} {xz!r} {yz!r} xy xz yz")
        lines += ["", "Masses", "", *(f"{i + 1} {mass}" for i, mass in enumerate(masses)), "", "Atoms", ""]
        for i, (kind, (x, y, z)) in enumerate(zip(self.types, self.positions)):
            charge = "" if self.charges is None else f" {float(self.charges[i])!r}"
            lines.append(f"{i + 1} {kind}{charge} {float(x)!r} {float(y)!r} {float(z)!r}")
        Path(path).write_text("\n".join(lines) + "\n")


def crystal(basis, constant, repeats, seed, shake=0.12, tilts=(0.0, 0.0, 0.0), boundary="p p p", n_types=1, shape=None):
    """Make a disturbed cubic crystal, sheared by the tilts and stretched by the shape; a slab has free space around."""
    random = np.random.default_rng(seed)
    grid = np.array([[i, j, k] for i in range(repeats[0]) for j in range(repeats[1]) for k in range(repeats[2])])
    fractions = ((grid[:, None, :] + np.array(basis)).reshape(-1, 3)) / np.array(repeats)
    lengths = constant * np.array(repeats, dtype=float)
    if shape is not None:
        lengths = lengths * np.array(shape)
    box = Box(random.integers(1, n_types + 1, len(fractions)), None, lengths, tilts, boundary)
    box.positions = fractions @ box.cell + random.uniform(-shake, shake, (len(fractions), 3))
    for axis in np.flatnonzero(~box.pbc):
        box.positions[:, axis] += 6.0
        box.lengths[axis] += 12.0
    return box


FCC = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
DIAMOND = FCC + [(x + 0.25, y + 0.25, z + 0.25) for x, y, z in FCC]


def boxes(basis, constant, repeats, n_types=1, shake=0.12):
    """Give the four shapes that every style is tested in."""
    long = constant * repeats[0]
    return {
        "orthogonal": crystal(basis, constant, repeats, 1, shake, n_types=n_types),
        "triclinic": crystal(
            basis, constant, repeats, 2, shake, (0.3 * long, -0.2 * long, 0.25 * long), n_types=n_types
        ),
        "slab": crystal(basis, constant, repeats, 3, shake, boundary="p p f", n_types=n_types),
        "small": crystal(basis, constant, (1, 1, 1), 4, shake, n_types=n_types, shape=(1.0, 0.97, 1.02)),
    }


def close(value, reference, tolerance):
    """Tell the largest deviation in units of the largest reference value, and check it."""
    value, reference = np.asarray(value), np.asarray(reference)
    assert value.shape == reference.shape
    deviation = np.abs(value - reference).max() / max(np.abs(reference).max(), 1e-300)
    assert deviation <= tolerance, f"deviation {deviation:.3e}, allowed {tolerance:.0e}"


def compile_alone(program, driver, sources, includes=()):
    """Compile a program of the tests and some sources of the plugin, without torch and the library of LAMMPS."""
    command = [find_compiler(), "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-D{find_target().sizes}"]
    for folder in [*includes, SOURCES, find_target().lammps]:
        command += ["-iquote", str(folder)]
    command += [str(Path(__file__).parent / "lammps_glue" / driver), *(str(SOURCES / name) for name in sources)]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run_program(program, *arguments, text=""):
    """Run a program that reads and writes text, and give what it writes."""
    done = subprocess.run([str(program), *arguments], input=text, capture_output=True, text=True, check=True)
    return done.stdout
