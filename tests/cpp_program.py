"""The C++ example as a program: compiled, run, and what it prints read back."""

import os
import subprocess
from pathlib import Path

import numpy as np
import torch

from metatomic_core.files.shared_libraries import mapped_libraries

SOURCE = Path(__file__).parents[1] / "examples" / "cpp"
RESULTS = {"energy": "energy", "forces": "energy", "virial": "energy"}


def compiled(build):
    """Compile the example in a folder, and give the program."""
    for command in (
        ["cmake", "-S", SOURCE, "-B", build, f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}"],
        ["cmake", "--build", build],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return build / "evaluate"


def libraries():
    mapped = mapped_libraries()
    return [str(mapped[name]) for name in ("libmetatensor.so", "libmetatensor_torch.so")]


def write_structure(path, structure):
    lines = [str(len(structure.types))]
    for vector, periodic in zip(structure.cell.tolist(), structure.pbc, strict=True):
        lines.append(f"{vector[0]!r} {vector[1]!r} {vector[2]!r} {int(periodic)}")
    for atomic_type, position in zip(structure.types, structure.positions.tolist(), strict=True):
        lines.append(f"{atomic_type} {position[0]!r} {position[1]!r} {position[2]!r}")
    path.write_text("\n".join(lines) + "\n")
    return path


def run(program, *arguments):
    command = [str(argument) for argument in (program, *arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def printed(text):
    """Read what the program prints: a name on a line of its own, then numbers."""
    found = {}
    for line in text.splitlines():
        if line in RESULTS:
            name = line
            found[name] = []
        else:
            found[name].append([float(word) for word in line.split()])
    return {name: np.array(rows) for name, rows in found.items()}
