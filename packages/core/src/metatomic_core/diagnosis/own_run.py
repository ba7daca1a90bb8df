"""A tiny run without any engine, and the model file that those of the engines take."""

import os
from collections.abc import Iterator

from metatomic_core.adapters.diagnoses import OK, Finding, NotTriedError, Trial

from .pytorch import torch_module

MODEL = "argon.pt"


def save_and_run(trial: Trial) -> Iterator[Finding]:
    """Save Lennard-Jones of argon, load it, and compare two atoms with the formula."""
    torch_module()
    import numpy as np

    from metatomic_core.engine import Engine, Structure
    from metatomic_core.potentials import lennard_jones

    path = trial.folder / MODEL
    lennard_jones().save(str(path), exported=trial.build)
    engine = Engine(str(path), length_unit="angstrom", energy_unit="eV", device="cpu", kernel="script")
    cell, pbc = np.array(trial.cell), np.ones(3, dtype=bool)
    structure = Structure(np.array(trial.types), np.array(trial.positions), cell, pbc)
    found = engine.evaluate([structure], ["energy", "forces"])
    finding = trial.compared("saved model", np.asarray(found.energy).item(), np.asarray(found.forces))
    if finding.status != OK:
        # what gives wrong numbers here would give them everywhere
        path.unlink()
    yield finding


def compile_and_run(trial: Trial) -> Iterator[Finding]:
    """Compile the model, and compare again; half a minute, so only where it is asked for."""
    if not trial.build:
        return
    torch_module()
    path = trial.folder / MODEL
    if not path.exists():
        raise NotTriedError("no model could be saved for it, see above")
    from metatomic_core.kernels.compiling import compile_model

    # the cache of the user is for models of the user; this process is about to end
    os.environ["METATOMIC_CACHE"] = str(trial.folder / "cache")
    (outcome, *_) = compile_model(str(path), flavors=["forces"], again=True)
    worst = max(outcome.about.checked.values(), default=0.0)
    yield Finding("compiled model", f"compiled in {outcome.about.seconds:.0f} s, differs by {worst:.0e} at most")
