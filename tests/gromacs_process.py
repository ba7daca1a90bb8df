"""What GROMACS does with a model file, in a process that has torch and nothing of this project.

The calls are those of ``torchmodel.cpp`` in GROMACS: it opens the libraries that the file names, loads the file, calls
`forward` with the inputs in the order of the mdp file, and takes the forces from the gradient with respect to the first
input.  Run as a program, this does it for the calls in a file, and writes what came out to another one.
"""

import ctypes
import os
import subprocess
import sys
import zipfile

import torch

# as in release 2025, and as since release 2026
EXECUTORS = {"optimized": True, "plain": False}


def run(calls, folder, executor="plain"):
    """Call model files, in one fresh process.

    Parameters
    ----------
    calls
        For each path of a file the calls, and for each call the inputs, all tensors.
    folder
        Where to put files.
    executor
        Key of `EXECUTORS`.

    Returns
    -------
    dict of list
        For each path and call the energy and the forces, or the text of the error.
    """
    given, taken = folder / "calls.pt", folder / "results.pt"
    torch.save(calls, given)
    command = [sys.executable, "-W", "ignore", __file__, str(given), str(taken), executor]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    return torch.load(taken)


def load(model_file):
    with zipfile.ZipFile(model_file) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("/extra/extension_libs")]
        libraries = archive.read(record).decode().split(":")
    for library in libraries:
        ctypes.CDLL(library, mode=os.RTLD_LAZY)
    return torch.jit.load(model_file, torch.device("cpu")).eval()


def call(model, inputs):
    """Give the energy as the real number of GROMACS, and the forces."""
    positions = inputs[0].clone().requires_grad_(True)
    energy = model.forward(positions, *inputs[1:])
    assert energy.numel() == 1
    positions.retain_grad()
    energy.backward()
    assert positions.grad.is_contiguous()
    return energy.to(torch.float32).item(), -1.0 * positions.grad


def call_or_error(model, inputs):
    try:
        return call(model, inputs)
    except torch.jit.Error as error:
        return str(error).strip().splitlines()[-1]


def main(given, taken, executor):
    torch._C._set_graph_executor_optimize(EXECUTORS[executor])
    torch.set_num_threads(1)
    results = {}
    for path, calls in torch.load(given).items():
        model = load(path)
        results[path] = [call_or_error(model, inputs) for inputs in calls]
    assert not any(name.startswith(("metatomic", "metatensor")) for name in sys.modules)
    torch.save(results, taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
