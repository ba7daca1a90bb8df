"""`keep_freed_memory`, measured by the pages that a fresh process has to get from the system."""

import subprocess
import sys

import pytest

from metatomic_core.adapters import memory

# blocks above 32 MiB, the largest that glibc keeps by itself; run as a file, so that it starts without torch
_SCRIPT = """
import resource, runpy, sys
kept = runpy.run_path(sys.argv[1])["keep_freed_memory"]
def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b"x" * (40 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start
before, result = faults(), kept()
faults()
print(before, result, faults())
"""

on_glibc = pytest.mark.skipif(not memory._has_glibc(), reason="without glibc nothing is to be done")


def run(**variables: str):
    """Give page faults of four large blocks before and after the call, and what it returned."""
    command = [sys.executable, "-I", "-S", "-c", _SCRIPT, memory.__file__]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=True)
    before, result, after = done.stdout.split()
    return int(before), result == "True", int(after)


@on_glibc
def test_memory_is_asked_for_once():
    before, result, after = run()
    assert result
    # 4 x 10240 pages of 4 KiB, or 4 x 20 huge ones
    assert before >= 80
    assert after < 10


@on_glibc
@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")]
)
def test_settings_of_the_user_are_kept(name, value):
    before, result, after = run(**{name: value})
    assert not result
    assert after > before / 2


@pytest.mark.parametrize("failure", ["other system", "other library"])
def test_nothing_happens_elsewhere(monkeypatch, failure):
    def no_such_name(_):
        raise ValueError("unrecognized configuration name")

    if failure == "other system":
        monkeypatch.setattr(memory.sys, "platform", "darwin")
    else:
        monkeypatch.setattr(memory.os, "confstr", no_such_name)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("the C library was opened"))
    assert memory.keep_freed_memory() is False
