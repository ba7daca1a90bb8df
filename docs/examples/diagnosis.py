from metatomic_core.adapters.diagnoses import WARNING, Diagnosis, Finding
from metatomic_core.engine import Engine, Structure


def library(trial):
    try:
        import my_engine
    except ImportError:
        yield Finding("library", "not installed", WARNING, "run `pip install my-engine`")
    else:
        yield Finding("library", my_engine.__version__)


def run(trial):
    import numpy as np

    engine = Engine(str(trial.model_file()), length_unit="angstrom", energy_unit="eV")
    structure = Structure(
        np.array(trial.types),
        np.array(trial.positions),
        np.array(trial.cell),
        np.ones(3, dtype=bool),
    )
    found = engine.evaluate([structure], ["energy", "forces"])
    yield trial.compared("run", found.energy[0], found.forces)


DIAGNOSIS = Diagnosis("My engine", (library, run))
