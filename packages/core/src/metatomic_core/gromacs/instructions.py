"""What a user of a file for GROMACS needs to know: the lines of the mdp file, and notes."""

import dataclasses
import math
from pathlib import Path
from typing import Any

# Inputs in the order in which the modules take them, without and with pairs; "nnp-charge" follows where it is wanted.
INPUTS = {
    False: ("atom-positions", "atom-numbers", "box", "pbc"),
    True: ("atom-positions", "atom-numbers", "atom-pairs", "pair-shifts", "box", "pbc"),
}
# GROMACS keeps the pairs of a pair search for ``nstlist`` steps: two atoms may approach by this much, in nm.
PAIR_BUFFER = 0.1


@dataclasses.dataclass
class Use:
    """What decides how a file is used.

    Attributes
    ----------
    model_file
        Path of the file, as GROMACS will see it.
    pairs
        Whether the pairs come from GROMACS.
    cutoff
        Largest cutoff of the model, in nm.
    charge
        Whether the model wants the total charge.
    link_type
        Symbol of an element that the model knows.
    knows_hydrogen
        Whether it knows that one.
    """

    model_file: str
    pairs: bool
    cutoff: float
    charge: bool
    link_type: str
    knows_hydrogen: bool

    def inputs(self) -> tuple[str, ...]:
        """Give the inputs that GROMACS has to give, in order."""
        return INPUTS[self.pairs] + (("nnp-charge",) if self.charge else ())

    def release(self) -> str:
        """Give the first release of GROMACS that knows all inputs."""
        return "2026" if self.pairs or self.charge else "2025"


@dataclasses.dataclass
class Report:
    """What was written, and how to use it.

    Attributes
    ----------
    file
        The file.
    model
        Name of the model.
    energy
        Output of the model that is the potential energy.
    release
        Oldest release of GROMACS that can run the file.
    torch_version
        Version of torch that the libraries are for, as in "2.13".
    mdp
        Lines for the mdp file, in order.
    libraries
        Paths of the libraries that GROMACS will open.
    unavailable
        Outputs of the model that GROMACS has no use for.
    notes
        What else there is to know.
    """

    file: Path
    model: str
    energy: str
    release: str
    torch_version: str
    mdp: dict[str, str]
    libraries: list[str]
    unavailable: list[str]
    notes: list[str]

    def data(self) -> dict[str, Any]:
        """Give everything as data."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Give everything as text that may be appended to an mdp file."""
        width = max(len(name) for name in self.mdp)
        title = f"wrote {self.file}: {self.model or 'unnamed model'}, for GROMACS {self.release} and later"
        lines = [f"; {title} with libtorch {self.torch_version}"]
        lines += [f"{name:{width}} = {value}" for name, value in self.mdp.items()]
        lines += [f"; {note}" for note in self.notes]
        lines += [f"; opens {library}" for library in self.libraries]
        return "\n".join(lines)


def mdp_lines(use: Use) -> dict[str, str]:
    """Give the lines of the mdp file."""
    lines = {"nnpot-active": "true", "nnpot-modelfile": use.model_file, "nnpot-input-group": "System"}
    lines.update({f"nnpot-model-input{i}": name for i, name in enumerate(use.inputs(), start=1)})
    if use.charge:
        lines["nnpot-nnp-charge"] = "0"
    if use.pairs:
        reach = f"{math.ceil((use.cutoff + PAIR_BUFFER) * 1000 - 1e-6) / 1000:g}"
        lines["nnpot-pair-cutoff"] = reach
        # without a tolerance, GROMACS leaves rlist and nstlist as they are
        lines.update({"cutoff-scheme": "Verlet", "rlist": reach, "nstlist": "10", "verlet-buffer-tolerance": "-1"})
    # only matters to groups that are bonded to other atoms; GROMACS 2025 does not know this line
    if use.release() != "2025" and not use.knows_hydrogen:
        lines["nnpot-link-type"] = use.link_type
    return lines


def notes(use: Use, unavailable: list[str]) -> list[str]:
    """Give what a user has to know beside the lines."""
    found = ["no NPT (pcoupl = no): GROMACS leaves the virial of the model out, so that pressures are wrong"]
    if use.charge:
        found.append("set nnpot-nnp-charge to the total charge of the group, in e; pbc has to be xyz or xy")
    else:
        found.append("pbc may be xyz or xy, or no without the lines of the inputs box and pbc")
    if use.pairs:
        found += [
            f"pairs are as old as the last pair search: {PAIR_BUFFER:g} nm are for what atoms move in nstlist steps",
            "run on one rank; rlist has to be below half of the box, and not below rvdw and rcoulomb",
        ]
    if not use.knows_hydrogen:
        found.append(
            f"a group that is bonded to other atoms needs nnpot-link-type = {use.link_type}, or another known element"
        )
    if unavailable:
        found.append(f"not available in GROMACS: {', '.join(unavailable)}")
    return found
