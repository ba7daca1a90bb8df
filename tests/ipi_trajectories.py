"""Whole runs of argon in every way in which i-PI can reach a model."""

from ipi_cases import argon, write_structure
from ipi_processes import NPT, Bench, ffdirect, ffsocket, free_port, write_input

from metatomic_ipi.cli import pes_file

PRESSURE = "<pressure units='megapascal'> 50 </pressure>"
SETTINGS = {
    "nve": {"beads": 1, "temperature": 60},
    "npt": {"beads": 1, "temperature": 60, "motion": NPT, "ensemble": PRESSURE, "columns": "volume, pressure_md"},
    "npt-8": {"beads": 8, "temperature": 60, "motion": NPT, "ensemble": PRESSURE, "columns": "volume, pressure_md"},
}


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
