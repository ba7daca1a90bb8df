"""Whatever way positions and forces travel, the trajectory is the same."""

import numpy as np
import pytest
from ipi_processes import assert_same_run
from ipi_trajectories import run

# way: mode, batch size
WAYS = {
    "unix": ("unix", 1),
    "unix in batches": ("unix", 8),
    "unix padded": ("unix", 3),
    "inet": ("inet", 1),
    "inet in batches": ("inet", 8),
    "shm": ("shm", 1),
    "shm in batches": ("shm", 8),
    "shm padded": ("shm", 5),
    "direct": ("direct", 1),
    "direct in batches": ("direct", 8),
    "direct padded": ("direct", 3),
    "driver of i-PI": ("driver", 1),
    "driver of i-PI in batches": ("driver", 8),
}


@pytest.mark.parametrize("way", WAYS)
def test_trajectory_is_the_same_whatever_way(way, reference, models, tmp_path):
    mode, batch = WAYS[way]
    # one bead, alone or with copies, and eight
    for case in ("npt-8",) if "batches" in way else ("nve", "npt-8"):
        record = run(tmp_path / case, models / "argon.pt", case, mode, batch)
        assert_same_run(record, reference[case])
        assert np.ptp(record[1], axis=1).max() > 1e-3
