"""PyTorch and what it brings: build, TorchScript, metatensor, neighbor lists, compiler, devices."""

import platform
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metatomic_core.adapters.diagnoses import PROBLEM, WARNING, Finding, NotTriedError, Trial, output_of

_LONGEST = 300
_NEIGHBORS = 6
_SUM = 64.0  # of the product of two matrices of ones
_PROGRAM = "#include <cmath>\n#include <vector>\nint main() { return (int)std::floor(std::vector<double>(1)[0]); }\n"


def torch_module() -> Any:
    """Import torch.

    Raises
    ------
    NotTriedError
        If it can not be imported, which is a finding of `pytorch`.
    """
    try:
        import torch
    except Exception as error:
        raise NotTriedError("torch can not be imported") from error
    return torch


def pytorch(_: Trial) -> Iterator[Finding]:
    """Say which build of torch is installed, and how it runs."""
    try:
        import torch
    except Exception as error:  # noqa: BLE001  (libraries that are missing come as OSError)
        reason = " ".join(str(error).split()) or "no message"
        advice = f"install a torch for Python {platform.python_version()}, or mend what the message says"
        yield Finding("torch", f"can not be imported: {type(error).__name__}: {reason}", PROBLEM, advice)
        return
    kinds = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip}
    built_for = next((f"{kind} {version}" for kind, version in kinds.items() if version), "the CPU")
    yield Finding("torch", f"{torch.__version__}, built for {built_for}, in {Path(torch.__file__).parent}")
    parallel = "OpenMP" if torch.backends.openmp.is_available() else "no OpenMP"
    mkl = "MKL" if torch.backends.mkl.is_available() else "no MKL"
    text = f"{torch.get_num_threads()} threads, {parallel}, {mkl}, {torch.backends.cpu.get_cpu_capability()}"
    yield Finding("on the CPU", text)


def torchscript(_: Trial) -> Iterator[Finding]:
    """Say whether TorchScript works, and with which executor."""
    torch_module()
    from metatomic_core.foundation.torchscript import executor, missing

    reason = missing()
    if reason:
        advice = "see `Python without TorchScript` in docs/installation.rst, or use a Python that torch compiles with"
        yield Finding("TorchScript", f"does not work: {reason}", WARNING, advice)
        return
    yield Finding("TorchScript", f"works; {executor()}")


def metatensor(_: Trial) -> Iterator[Finding]:
    """Load the library of metatensor that was built for this torch."""
    torch = torch_module()
    try:
        from metatensor.torch import Labels

        Labels(["atom"], torch.tensor([[0], [1]]))
    except Exception as error:  # noqa: BLE001  (also what the loader of libraries says)
        reason = " ".join(str(error).split()) or "no message"
        text = f"does not work with torch {torch.__version__}: {type(error).__name__}: {reason}"
        advice = "run `pip install --upgrade metatensor-torch`, which has libraries for some releases of torch"
        yield Finding("metatensor-torch", text, PROBLEM, advice)
        return
    yield Finding("metatensor-torch", "works with this torch")


def neighbor_lists(_: Trial) -> Iterator[Finding]:
    """Find the pairs of a simple cubic crystal, six for each atom."""
    import numpy as np
    import vesin

    pairs = vesin.NeighborList(cutoff=1.1, full_list=True)
    (first,) = pairs.compute(points=np.zeros((1, 3)), box=np.eye(3), periodic=True, quantities="i")
    if len(first) == _NEIGHBORS:
        yield Finding("vesin", "finds pairs")
    else:
        text = f"finds {len(first)} neighbors in a simple cubic crystal, which has {_NEIGHBORS}"
        yield Finding("vesin", text, PROBLEM, "run `pip install --force-reinstall vesin`")


def compiler(_: Trial) -> Iterator[Finding]:
    """Compile a few lines with the compiler that AOTInductor would take, for ``metatomic compile``."""
    torch_module()
    from metatomic_core.kernels.building import check_compiler

    try:
        check_compiler()
        from torch._inductor.cpp_builder import get_cpp_compiler

        found = str(shutil.which(get_cpp_compiler()))
    except RuntimeError as error:
        text, _separator, advice = str(error).partition("; ")
        yield Finding("C++ compiler", text, WARNING, f"{advice}: without one, models run, but not compiled")
        return
    with tempfile.TemporaryDirectory(prefix="metatomic-") as folder:
        source = Path(folder) / "program.cpp"
        source.write_text(_PROGRAM, "utf-8")
        done = output_of([found, "-std=c++17", "-fopenmp", str(source), "-o", str(Path(folder) / "program")])
    version = output_of([found, "--version"]).lines[0]
    if done.status == 0:
        yield Finding("C++ compiler", f"{found}: {version}")
    else:
        advice = "install one that knows C++17 and OpenMP, or name it in the environment variable CXX"
        yield Finding("C++ compiler", f"{found} ({version}) {done.why('error')}", WARNING, advice)


def devices(_: Trial) -> Iterator[Finding]:
    """List the devices, and compute something on each."""
    torch = torch_module()
    found = [("cpu", f"{torch.backends.cpu.get_cpu_capability()}")]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            for i in range(torch.cuda.device_count()):
                about = torch.cuda.get_device_properties(i)
                text = f"{about.name}, {about.total_memory / 1e9:.0f} GB, capability {about.major}.{about.minor}"
                found.append((f"cuda:{i}", text))
        elif torch.version.cuda:
            reason = " ".join(str(said[-1].message).split()) if said else "torch finds no GPU"
            # machines without a GPU have such a torch more often than not
            found.append(("cuda", f"none: {reason}"))
    if torch.backends.mps.is_available():
        found.append(("mps", "no double precision: models in float32 only"))
    for name, text in found:
        yield Finding(name, text) if text.startswith("none") else _tried(torch, name, text)


def _tried(torch: Any, name: str, text: str) -> Finding:
    try:
        total = torch.ones(4, 4, device=name).matmul(torch.ones(4, 4, device=name)).sum().item()
    except Exception as error:  # noqa: BLE001  (driver, memory, a build without this architecture)
        reason = " ".join(str(error).split())[:_LONGEST]
        advice = "take another device with `device`, or a build of torch for this driver and this GPU"
        return Finding(name, f"{text}: can not compute: {reason}", PROBLEM, advice)
    if total != _SUM:
        return Finding(name, f"{text}: computes {total} where it is {_SUM}", PROBLEM, "do not use this device")
    return Finding(name, text)
