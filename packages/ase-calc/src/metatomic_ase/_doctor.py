"""What ``metatomic doctor`` looks at for ASE."""

from collections.abc import Iterator

from metatomic_core.adapters.diagnoses import Diagnosis, Finding, Trial


def calculator(trial: Trial) -> Iterator[Finding]:
    """Run the calculator for two atoms."""
    import ase

    from .calculator import MetatomicCalculator

    atoms = ase.Atoms(numbers=trial.types, positions=trial.positions, cell=trial.cell, pbc=True)
    atoms.calc = MetatomicCalculator(str(trial.model_file()), device="cpu")
    yield trial.compared(f"calculator in ASE {ase.__version__}", atoms.get_potential_energy(), atoms.get_forces())


DIAGNOSIS = Diagnosis("ASE", (calculator,))
