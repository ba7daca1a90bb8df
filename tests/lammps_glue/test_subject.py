"""What the contract suite relies on: steps of a run that is asked for are steps as in dynamics."""

import dataclasses

import numpy as np

from metatomic_core.engine import Structure
from metatomic_core.potentials import lennard_jones
from metatomic_core.testing import Request
from metatomic_lammps import subject
from metatomic_lammps.subject import ONE


def test_neighbor_lists_are_kept_while_atoms_and_box_move_little(plugin, model_folder, monkeypatch):
    runs = []

    def run_and_keep(*arguments):
        runs.append(kept(*arguments))
        return runs[-1]

    kept = subject.run_lammps
    monkeypatch.setattr(subject, "run_lammps", run_and_keep)
    model = model_folder / "argon.pt"
    lennard_jones("Ar", 3.4, 0.0104, 5.0).save(model)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    start = Structure(
        np.full(27, 18), 3.8 * grid + 0.1 * np.cos(np.arange(81).reshape(-1, 3)), 11.4 * np.eye(3), np.ones(3, bool)
    )
    for far in (0.01, 0.4):
        frames = [
            dataclasses.replace(start, positions=start.positions + far * k, cell=start.cell * (1.0 + 0.01 * far * k))
            for k in range(4)
        ]
        answers = ONE.evaluate(Request(model, frames, continued=True))
        assert len({answer.energy for answer in answers}) == 4
    builds = [int(run.output.partition("Neighbor list builds = ")[2].split()[0]) for run in runs]
    assert builds[0] == 0
    assert builds[1] > 0
