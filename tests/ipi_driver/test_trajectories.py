"""Whatever way positions and forces travel, the trajectory is the same, also as with i-PI's own PES of ASE."""

import numpy as np
import pytest
from ipi_cases import argon, write_structure
from ipi_processes import NPT, Bench, assert_same_run, ffdirect, ffsocket, free_port, write_input

from metatomic_ipi.cli import pes_file

PRESSURE = "<pressure units='megapascal'> 50 </pressure>"
SETTINGS = {
    "nve": {"beads": 1, "temperature": 60},
    "npt": {"beads": 1, "temperature": 60, "motion": NPT, "ensemble": PRESSURE, "columns": "volume, pressure_md"},
    "npt-8": {"beads": 8, "temperature": 60, "motion": NPT, "ensemble": PRESSURE, "columns": "volume, pressure_md"},
}
# way: mode, batch size, number of beads it is tried with
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
# i-PI calls an ASE calculator in its own way; its unit of force is 5e-8 off the quotient of energy and length
ASE_PES = """
import ipi.utils.units as units
from ipi.pes._ase import ASEDriver
from metatomic_ase import MetatomicCalculator
__DRIVER_NAME__ = "test_ase"
__DRIVER_CLASS__ = "TestASE"
class TestASE(ASEDriver):
    def __init__(self, template, model, consistent=True, **kwargs):
        if consistent:
            known = units.UnitMap
            known["force"]["ev/ang"] = known["energy"]["electronvolt"] / known["length"]["angstrom"]
        self.model = model
        super().__init__(template, **kwargs)
    def check_parameters(self):
        super().check_parameters()
        self.ase_calculator = MetatomicCalculator(self.model)
"""


def run(directory, model, case, mode="unix", batch=1, pes=None, parameters=None):
    """Run i-PI to its end, and give its trajectory."""
    directory.mkdir()
    write_structure(directory, argon())
    given = {"model": model, "template": "template.xyz", **(parameters or {})}
    port = free_port() if mode == "inet" else 0
    forcefield = (
        ffdirect(pes or pes_file(), given, batch)
        if mode == "direct"
        else ffsocket(batch, "unix" if mode == "driver" else mode, port)
    )
    write_input(directory, forcefield, **SETTINGS[case])
    with Bench(directory) as bench:
        server = bench.ipi()
        if mode == "driver":
            options = ",".join(f"{name}={value}" for name, value in given.items())
            bench.until(lambda: (directory / "RESTART").exists() or "Created unix socket" in server.text())
            bench.stock_driver("-m", "custom", "-P", pes_file(), "-u", "-a", "test", "-S", bench.prefix, "-o", options)
        elif mode == "inet":
            bench.client(model, address=["--host", "localhost", "--port", port])
        elif mode != "direct":
            bench.client(model, *(["--shm"] if mode == "shm" else []))
        assert server.wait() == 0, server.text()
        for process in bench.processes[1:]:
            assert process.wait(10) == 0, process.text()
        assert "reports success" in server.text(), server.text()
        return bench.record()


@pytest.fixture(scope="module")
def reference(models, tmp_path_factory):
    """Give the trajectory of each case over a unix socket."""
    folder = tmp_path_factory.mktemp("reference")
    return {case: run(folder / case, models / "argon.pt", case) for case in SETTINGS}


@pytest.mark.parametrize("way", WAYS)
def test_trajectory_is_the_same_whatever_way(way, reference, models, tmp_path):
    mode, batch = WAYS[way]
    for case in ("nve", "npt-8") if batch == 1 else ("npt-8",):
        record = run(tmp_path / case, models / "argon.pt", case, mode, batch)
        assert_same_run(record, reference[case])
        assert np.ptp(record[1], axis=1).max() > 1e-3


@pytest.mark.parametrize("case", SETTINGS)
def test_trajectory_is_that_of_the_ase_pes(case, reference, models, tmp_path):
    pes = tmp_path / "pes_of_ase.py"
    pes.write_text(ASE_PES)
    record = run(tmp_path / "consistent", models / "argon.pt", case, "direct", pes=pes)
    assert_same_run(record, reference[case])
    if case == "npt":
        parameters = {"consistent": False}
        record = run(tmp_path / "as it is", models / "argon.pt", case, "direct", 1, pes, parameters)
        np.testing.assert_allclose(record[2]["q"], reference[case][2]["q"], rtol=0, atol=1e-6)
