"""Evaluate structures with the calculator of the reference implementation, in a process of its own.

``python reference_evaluate.py JOBS RESULTS``, with the reference's ``metatomic_ase`` first on PYTHONPATH: JOBS is a
pickled list of (model file, options, [(numbers, positions, cell, pbc), ...]), RESULTS gets a pickled list of lists of
dictionaries with energy, forces and, for periodic structures, stress.
"""

import pickle
import sys
import warnings

import torch
from ase import Atoms


def evaluate(calculator, numbers, positions, cell, pbc):
    atoms = Atoms(numbers, positions=positions, cell=cell, pbc=pbc)
    atoms.calc = calculator
    found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        found["stress"] = atoms.get_stress()
    return found


def main():
    # what the reference implementation warns about is its own affair
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # as in metatomic-core: otherwise the first calls of each model take a second
    torch._C._set_graph_executor_optimize(False)
    from importlib.metadata import version

    from metatomic_ase import MetatomicCalculator

    assert version("metatomic-ase") != version("metatomic-core"), "expected the reference's metatomic-ase, got ours"
    with open(sys.argv[1], "rb") as file:
        jobs = pickle.load(file)
    results = []
    for model, options, structures in jobs:
        calculator = MetatomicCalculator(model, **options)
        results.append([evaluate(calculator, *structure) for structure in structures])
    with open(sys.argv[2], "wb") as file:
        pickle.dump(results, file)


if __name__ == "__main__":
    main()
