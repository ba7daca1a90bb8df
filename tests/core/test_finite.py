"""`all_finite`: right for any numbers, without warnings."""

import numpy as np
import pytest

from metatomic_core.adapters import all_finite


@pytest.mark.parametrize(
    "values",
    [np.zeros((0, 3)), np.zeros(()), np.ones((4, 3))[::2, ::-1], np.full((3, 3), 1e200), np.full(3, 3e38, np.float32)],
)
def test_finite(values):
    assert all_finite(values)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("others", [0.0, 1e300, np.inf])
def test_not_finite(wrong, others):
    values = np.full((5, 3), others)
    values[3, 1] = wrong
    assert not all_finite(values)
    assert not all_finite(values.T)
