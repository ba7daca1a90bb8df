"""LAMMPS as a subject of the contract suite: real processes, on one rank or several.

LAMMPS knows only cells with a along x and b in the plane xy, whose open directions are along the axes: structures are
turned.  Those that follow each other are steps of one run, in which ``fix move`` moves the atoms and ``fix deform`` the
box, so that neighbor lists are kept as in dynamics.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metatomic_core import ModelOutput
from metatomic_core.testing import Answer, Request, Subject, Tolerances
from metatomic_core.testing.adapting import in_declared_unit, loaded_model, split_row
from metatomic_core.testing.turning import Turned, turned

from ._toolchain import find_tool
from .build import is_built, plugin_path
from .inputs import Frames, frames_of, moving, running, write_data
from .running import Run, lammps_folder, run_lammps

# bar * angstrom^3 in an eV: LAMMPS' own constant of the style metal, by which it has multiplied
_NKTV2P = 1.6021765e6
_PRESSURES = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
# xx, yy, zz, xy, xz, yz, yx, zx, zy of `compute centroid/stress/atom`
_CENTROID = [[0, 3, 4], [6, 1, 5], [7, 8, 2]]
# printed before each input but the first
_MARK = "=== next input ==="
_SAID: dict[Any, str] = {True: "on", False: "off", None: "off"}


class LammpsSubject(Subject):
    """The pair style ``metatomic`` in the ``lmp`` of the package ``lammps``.

    Parameters
    ----------
    ranks
        Number of MPI processes.
    """

    lacks: Mapping[str, str] = {
        "asymmetric virials": "pressure has six components in LAMMPS",
        "batch": "a step of LAMMPS has one structure",
        "selected atoms": "LAMMPS always wants the energies of all atoms",
    }
    # positions are wrapped and turned, and ranks add up in another order; digits are printed to the last
    tolerances = Tolerances(energy=1e-12, forces=1e-11, virial=1e-11, outputs=1e-12, relative=1e-13)

    def __init__(self, ranks: int):
        self.ranks = ranks
        self.left_out = {
            "inputs_of_structures": "LAMMPS has no charge and no spin of the whole system",
            "kernels_agree": "exported programs are run in Python only; compiled code has tests of its own",
        }
        if ranks > 1:
            self.left_out["direct_stress"] = "a direct stress is no sum over atoms, so it is refused on several ranks"
        self.name = "lammps" if ranks == 1 else f"lammps, {ranks} ranks"

    def absent(self) -> str:
        """Say what is missing: LAMMPS, the plugin, or MPI.

        Returns
        -------
        str
            What is missing and how to get it; empty if nothing is.
        """
        try:
            lammps_folder()
            if not is_built():
                return "the pair style metatomic is not built for this torch and LAMMPS; run `metatomic-lammps build`"
            if self.ranks > 1:
                find_tool("mpiexec")
        except ValueError as error:
            return str(error)
        return ""

    def evaluate(self, request: Request) -> list[Answer]:
        """Evaluate structures, one input after the other in one process."""
        model = loaded_model(request)
        requested, offered = model.requested_inputs(), model.capabilities().outputs
        all_turned = [turned(structure, perpendicular=True) for structure in request.structures]
        groups = [all_turned] if request.continued else [[one] for one in all_turned]
        with tempfile.TemporaryDirectory(prefix="metatomic-lammps-") as folder:
            texts = []
            for number, group in enumerate(groups):
                frames = frames_of([one.structure for one in group], requested)
                texts.append(_input(Path(folder), f"g{number}", frames, request))
            run = run_lammps(plugin_path(), Path(folder), f'clear\nprint "{_MARK}"\n'.join(texts), self.ranks)
            if run.status != 0:
                raise RuntimeError(run.error if "ERROR" in run.output else run.output[-1000:])
            return [
                answer
                for number, (part, group) in enumerate(zip(run.parts(_MARK), groups, strict=True))
                for answer in _answers(part, f"g{number}.dump", group, request, offered)
            ]


def _input(folder: Path, prefix: str, frames: Frames, request: Request) -> str:
    """Give the input of one run, and write its files."""
    write_data(folder / f"{prefix}.data", frames)
    of_atoms = [name for name, kind in request.outputs.items() if kind == "atom"]
    columns, lines = ["id", "fx", "fy", "fz"], []
    if "atomic_energies" in request.results:
        lines.append("compute energies all pe/atom")
        columns.append("c_energies")
    if "atomic_virials" in request.results:
        lines.append("compute virials all centroid/stress/atom NULL virial")
        columns.append("c_virials[*]")
    if of_atoms:
        # a single one twice, so that there are several columns, however many it has
        names = of_atoms if len(of_atoms) > 1 else 2 * of_atoms
        lines.append(f"fix out all pair 1 metatomic {' '.join(f'{name} 0' for name in names)}")
        columns.append("f_out[*]")
    of_system = "system" in request.outputs.values()
    if of_system:
        lines.append("compute system all pair metatomic")
    follow = moving(folder, prefix, frames) if len(frames.structures) > 1 else []
    return f"""units metal
atom_style {"atomic" if frames.charges is None else "charge"}
{"atom_modify map array" if follow else ""}
boundary {frames.boundary}
box tilt large
read_data {prefix}.data
pair_style metatomic {_keywords(request)}
pair_coeff * * {" ".join(str(number) for number, _ in frames.kinds)}
neighbor {request.options.get("neighbor_skin", 1.0)!r} bin
neigh_modify every 1 delay 0 check yes
compute pressures all pressure NULL virial
{chr(10).join(lines + follow)}
thermo_style custom step pe vol c_pressures[*]{" c_system[*]" if of_system else ""}
thermo_modify line one format float %.17g norm no
thermo 1
dump atoms all custom 1 {prefix}.dump {" ".join(columns)}
dump_modify atoms sort id format float %.17g
{chr(10).join(running(folder, prefix, frames))}
"""


def _keywords(request: Request) -> str:
    """Give the arguments of the pair style."""
    words = [str(request.model)]
    words += [f"output {name}" for name, kind in request.outputs.items() if kind == "system"]
    names = {"extensions_directory": "extensions"}
    for name, value in request.options.items():
        if name == "variants":
            # that of the energy goes for what belongs to it, too
            words += [
                f"variant {variant}" if output == "energy" and variant else f"variant/{output} {variant or 'off'}"
                for output, variant in (value or {}).items()
            ]
        elif name == "uncertainty_threshold" or (name != "neighbor_skin" and value is not None):
            words.append(f"{names.get(name, name)} {_SAID.get(value, value)}")
    return " ".join(words)


def _answers(
    run: Run, dump: str, group: list[Turned], request: Request, offered: Mapping[str, ModelOutput]
) -> list[Answer]:
    """Give the answers of one run: of step 0, or of all steps that follow it."""
    frames, steps = run.frames(dump), _steps(run)
    first = 0 if len(group) == 1 else 1
    found = []
    for index, one in enumerate(group, first):
        row, rows = steps[index], frames[index]
        virial = np.zeros((3, 3))
        for k, (i, j) in enumerate(_PRESSURES):
            virial[i, j] = virial[j, i] = row[f"c_pressures[{k + 1}]"] * row["Volume"] / _NKTV2P
        columns, outputs = _columns(rows[:, 4:], request), _of_system(row, request)
        answer = Answer(
            energy=row["PotEng"],
            forces=rows[:, 1:4],
            virial=virial,
            atomic_energies=columns.pop("energies", None),
            atomic_virials=columns.pop("virials", None),
            outputs={
                name: in_declared_unit(name, each, offered[name]) for name, each in {**columns, **outputs}.items()
            },
        )
        found.append(one.back(answer))
    return found


def _steps(run: Run) -> dict[int, dict[str, float]]:
    """Give the numbers of each step, as they were when it was done: a run that goes on computes its last one again."""
    found: dict[int, dict[str, float]] = {}
    for table in run.tables():
        for index, step in enumerate(table["Step"]):
            found.setdefault(int(step), {name: float(values[index]) for name, values in table.items()})
    return found


def _columns(rows: np.ndarray, request: Request) -> dict[str, np.ndarray]:
    """Give the other columns of a dump: energies, virials, and outputs of atoms."""
    found = {}
    if "atomic_energies" in request.results:
        found["energies"], rows = rows[:, 0], rows[:, 1:]
    if "atomic_virials" in request.results:
        # LAMMPS has stress times volume there
        found["virials"], rows = -rows[:, _CENTROID] / _NKTV2P, rows[:, 9:]
    names = [name for name, kind in request.outputs.items() if kind == "atom"]
    if len(names) == 1:
        rows = rows[:, : rows.shape[1] // 2]
    return {**found, **(split_row(names, rows) if names else {})}


def _of_system(row: Mapping[str, float], request: Request) -> dict[str, np.ndarray]:
    """Give the outputs of the system, which stand one after the other."""
    names = [name for name, kind in request.outputs.items() if kind == "system"]
    values = np.array([[value for name, value in row.items() if name.startswith("c_system[")]])
    return split_row(names, values) if names else {}


SUBJECTS = {ranks: LammpsSubject(ranks) for ranks in (1, 2, 4)}
ONE, TWO, FOUR = SUBJECTS.values()
