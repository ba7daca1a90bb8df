"""What holds for every test: fixed seeds, one thread, and silence."""

import importlib.util
import os
import random
import tempfile

import numpy as np
import pytest

# a second for each model: those who need exported programs ask for them
os.environ["METATOMIC_EXPORTED"] = "0"
# what the user has compiled is not in the tests
_CACHE = tempfile.TemporaryDirectory(prefix="metatomic-tests-")
os.environ["METATOMIC_CACHE"] = _CACHE.name

HAS_TORCH = importlib.util.find_spec("torch") is not None

if HAS_TORCH:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    """Start every test from the same random state, whatever ran before it."""
    random.seed(20261120)
    np.random.seed(20261120)  # noqa: NPY002  (libraries under test may use the global state)
    if HAS_TORCH:
        torch.manual_seed(20261120)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail a test that prints: output nobody asked for hides the output that matters.

    Looks at what pytest captured, so a test is free to use capsys or capfd and read its own
    output. Nothing is captured under ``pytest -s``, and nothing is checked.
    """
    report = yield
    if report.when == "call" and report.passed and item.get_closest_marker("prints") is None:
        printed = report.capstdout + report.capstderr
        if printed.strip():
            report.outcome = "failed"
            report.longrepr = f"expected a test that prints nothing, got {printed!r}"
    return report
