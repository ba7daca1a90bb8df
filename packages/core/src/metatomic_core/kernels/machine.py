"""What the processor of this machine can do, and which code it can run."""

import platform
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch


class March(NamedTuple):
    """A set of instructions that code is compiled for.

    Attributes
    ----------
    flags
        What a processor must have, as /proc/cpuinfo calls it.
    capability
        Of these that torch tells too, which asks the processor itself, also where it is emulated.
    width
        Bits of a vector.
    """

    flags: tuple[str, ...]
    capability: str
    width: int


_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")
# The levels of the x86-64 psABI, best first; torch has no vectors for those below.
MARCHES = {
    "x86-64-v4": March((*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"), "AVX512", 512),
    "x86-64-v3": March(_V3, "AVX2", 256),
}
# Of processors of other kinds: what the compiler finds.
NATIVE = "native"
_CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")


@cache
def cpu_flags() -> frozenset[str]:
    """Give what the processor has; empty where that can not be found out."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())


def lacks_for(march: str) -> str:
    """Say what this machine lacks to run code; empty if nothing.

    Parameters
    ----------
    march
        One of `MARCHES`, or ``native-NAME`` for the machine of this name.
    """
    if march.startswith(NATIVE):
        return "" if march == native_name() else f"the processor of {march}"
    if march not in MARCHES:
        return f"what '{march}' is"
    needed = MARCHES[march]
    capability = torch.backends.cpu.get_cpu_capability()
    if capability in _CAPABILITIES and _CAPABILITIES.index(capability) < _CAPABILITIES.index(needed.capability):
        return needed.capability
    flags = cpu_flags()
    missing = [flag for flag in needed.flags if flags and flag not in flags]
    return ", ".join(missing)


def native_name() -> str:
    """Name the processor of this machine, where it has no level."""
    return f"{NATIVE}-{platform.machine()}"


def best_march() -> str:
    """Give the best of `MARCHES` that this machine runs, or the name of its own kind."""
    if platform.machine() in ("x86_64", "AMD64"):
        for march in MARCHES:
            if not lacks_for(march):
                return march
    return native_name()


def checked_march(march: str) -> str:
    """Give what "native" stands for, and refuse what is not known.

    Raises
    ------
    ValueError
        If it is not known.
    """
    if march == NATIVE:
        return best_march()
    if march not in MARCHES:
        raise ValueError(f"expected `march` to be '{NATIVE}' or one of {list(MARCHES)}, got '{march}'")
    return march
