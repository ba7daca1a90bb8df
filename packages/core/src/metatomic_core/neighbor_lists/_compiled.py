"""A loop over pairs in C++, five times as fast as what it stands for; made by ``metatomic compile``.

vesin keeps candidates as well, and computes their distances at each call; for small models that takes longer than the
model. The loop here is all of it that is done at each call. It is compiled for any processor of the kind of this one.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from metatomic_core.foundation.user_cache import user_cache

_SOURCE = r"""
#include <cstdint>

extern "C" {
/* whether any point has moved further than the square root of a limit */
int64_t metatomic_moved(int64_t n, const double* points, const double* before, double limit) {
    double largest = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        double x = points[3 * i] - before[3 * i];
        double y = points[3 * i + 1] - before[3 * i + 1];
        double z = points[3 * i + 2] - before[3 * i + 2];
        double square = x * x + y * y + z * z;
        /* written like this, also where it is not a number */
        if (!(square <= largest)) largest = square;
        if (!(largest <= limit)) return 1;
    }
    return 0;
}

/* Pairs closer than a cutoff among candidates: atoms, numbers of the candidates, and vectors. Arrays that are written
   to have room for all candidates. */
int64_t metatomic_pairs(int64_t n, const int32_t* first, const int32_t* second, const double* offsets,
                        const double* points, double square_of_cutoff,
                        int64_t* out_first, int64_t* out_second, int32_t* out_candidate, double* out_vectors) {
    int64_t k = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double* from = points + 3 * (int64_t)first[i];
        const double* to = points + 3 * (int64_t)second[i];
        double x = to[0] - from[0] + offsets[3 * i];
        double y = to[1] - from[1] + offsets[3 * i + 1];
        double z = to[2] - from[2] + offsets[3 * i + 2];
        out_first[k] = first[i];
        out_second[k] = second[i];
        out_candidate[k] = (int32_t)i;
        out_vectors[3 * k] = x;
        out_vectors[3 * k + 1] = y;
        out_vectors[3 * k + 2] = z;
        /* no branch: which candidates are near can not be foreseen */
        k += x * x + y * y + z * z < square_of_cutoff;
    }
    return k;
}
}
"""
_FILE = "pairs.so"
# for the hash of the source: what changes what it does
_OPTIONS = ("-O3", "-shared", "-fPIC", "-ffp-contract=off")
_SECONDS = 60


class Library:
    """The compiled functions."""

    def __init__(self, path: Path):
        loaded = ctypes.CDLL(str(path))
        pointer, integer, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
        self.moved = loaded.metatomic_moved
        self.moved.argtypes, self.moved.restype = [integer, pointer, pointer, real], integer
        self.pairs = loaded.metatomic_pairs
        self.pairs.argtypes = [integer, pointer, pointer, pointer, pointer, real, pointer, pointer, pointer, pointer]
        self.pairs.restype = integer


def library_file() -> Path:
    """Give where the library of this version is, or would be."""
    text = "\n".join((_SOURCE, *_OPTIONS))
    name = f"{sys.platform}-{platform.machine()}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    # beside the kernels, with which it is made and removed
    return user_cache("kernels") / "pairs" / name / _FILE


@functools.cache
def _loaded(path: Path) -> Library | None:
    try:
        return Library(path)
    except (OSError, AttributeError):
        # of another machine, or broken: the lists are made without
        return None


def library() -> Library | None:
    """Give the library, or None where it has not been made."""
    path = library_file()
    return _loaded(path) if path.exists() else None


def build_library() -> Path:
    """Compile the library into the cache of the user, unless it is there.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    RuntimeError
        If there is no compiler, or it fails.
    """
    path = library_file()
    if path.exists():
        return path
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, filter(None, names))), None)
    if compiler is None:
        raise RuntimeError(
            "expected a C++ compiler, got none; install one, or name one in the environment variable CXX"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source, made = Path(folder) / "pairs.cpp", Path(folder) / _FILE
        source.write_text(_SOURCE, encoding="utf-8")
        command = [compiler, *_OPTIONS, str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise RuntimeError(f"expected '{compiler}' to compile the search for pairs, got: {lines[-1]}")
        # whole or not at all, also where several processes do it
        made.replace(path)
    return path
