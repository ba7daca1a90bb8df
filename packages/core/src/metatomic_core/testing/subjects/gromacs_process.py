"""What GROMACS does with a model file, in a process that has torch and nothing of this project.

The calls are those of ``torchmodel.cpp`` in GROMACS: it opens the libraries that the file names, loads the file, calls
`forward` with the inputs in the order of the mdp file, and takes the forces from the gradient with respect to the first
input.  Run as a program, this does it for the calls in each file whose name it reads, and writes what came out to
another one.
"""

import ctypes
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

# as in release 2025, and as since release 2026
EXECUTORS = {"optimized": True, "plain": False}

Calls = Mapping[str, Sequence[Sequence[torch.Tensor]]]
# for each call the energy and the forces, or the text of the error
Results = dict[str, list[Any]]


class GromacsProcess:
    """A fresh process, which calls model files until it is closed.

    Parameters
    ----------
    folder
        Where to put files.
    executor
        Key of `EXECUTORS`.
    """

    def __init__(self, folder: Path, executor: str = "plain"):
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, executor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
            cwd=folder,
        )

    def __call__(self, calls: Calls) -> Results:
        """Call model files.

        Parameters
        ----------
        calls
            For each path of a file the calls, and for each call the inputs, all tensors.

        Returns
        -------
        dict of list
            For each path and call the energy and the forces, or the text of the error.

        Raises
        ------
        RuntimeError
            If the process ends; its last words are in the text.
        """
        given, taken = self._folder / "calls.pt", self._folder / "results.pt"
        torch.save(dict(calls), given)
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("expected a process with pipes, got none")
        self._process.stdin.write(f"{given}\t{taken}\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            _, errors = self._process.communicate()
            raise RuntimeError(f"expected results, got an end: {errors[-2000:]}")
        return torch.load(taken)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def run(calls: Calls, folder: Path, executor: str = "plain") -> Results:
    """Call model files, in one fresh process.

    Parameters
    ----------
    calls
        As `GromacsProcess` takes them.
    folder
        Where to put files.
    executor
        Key of `EXECUTORS`.

    Returns
    -------
    dict of list
        As `GromacsProcess` gives them.
    """
    gromacs = GromacsProcess(folder, executor)
    try:
        return gromacs(calls)
    finally:
        gromacs.close()


def load(model_file: str) -> torch.jit.ScriptModule:
    """Load a model file as GROMACS does.

    Parameters
    ----------
    model_file
        The file.
    """
    with zipfile.ZipFile(model_file) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("/extra/extension_libs")]
        libraries = archive.read(record).decode().split(":")
    for library in libraries:
        ctypes.CDLL(library, mode=os.RTLD_LAZY)
    return torch.jit.load(model_file, torch.device("cpu")).eval()


def call(model: torch.jit.ScriptModule, inputs: Sequence[torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Give the energy as the real number of GROMACS, and the forces.

    Parameters
    ----------
    model
        The model.
    inputs
        Its inputs, positions first.

    Raises
    ------
    RuntimeError
        If GROMACS could not take what it gives.
    """
    positions = inputs[0].clone().requires_grad_()
    energy = model.forward(positions, *inputs[1:])
    if energy.numel() != 1:
        raise RuntimeError(f"expected one energy, got {energy.numel()}")
    positions.retain_grad()
    energy.backward()
    if positions.grad is None or not positions.grad.is_contiguous():
        raise RuntimeError("expected a contiguous gradient, got another")
    return energy.to(torch.float32).item(), -1.0 * positions.grad


def _call_or_error(model: torch.jit.ScriptModule, inputs: Sequence[torch.Tensor]) -> Any:
    try:
        return call(model, inputs)
    except torch.jit.Error as error:
        return str(error).strip().splitlines()[-1]


def main(executor: str) -> None:
    """Answer the calls in files, whose names come by standard input, until it ends.

    Parameters
    ----------
    executor
        Key of `EXECUTORS`.

    Raises
    ------
    RuntimeError
        If something of this project was imported.
    """
    torch._C._set_graph_executor_optimize(EXECUTORS[executor])  # noqa: SLF001  (as GROMACS does in C++)
    torch.set_num_threads(1)
    for line in sys.stdin:
        given, taken = line.rstrip("\n").split("\t")
        results = {}
        for path, calls in torch.load(given).items():
            model = load(path)
            results[path] = [_call_or_error(model, inputs) for inputs in calls]
        if any(name.startswith(("metatomic", "metatensor")) for name in sys.modules):
            raise RuntimeError("expected a process with torch alone, got modules of this project")
        torch.save(results, taken)
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
