"""Make the files of the reference implementation that tests/reference runs: ``pet-cuau.pt`` and ``pet-cuau-float64.pt``.

In an environment with ``metatrain==2026.4.1``, ``metatomic-torch==0.1.19`` and ASE, not needed for the tests::

    python tests/data/train_reference_models.py

Trains PET, tiny, for about two minutes on disordered copper-gold crystals labelled with the effective medium theory of
ASE: energies, forces and stresses, and direct forces and stresses as well. ``pet-cuau.pt`` has an ensemble by the last
layer (LLPR) besides, in float32, the only type that LLPR has; ``pet-cuau-float64.pt`` the same weights without it.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from metatrain.utils.io import load_model

OPTIONS = """
architecture:
  name: pet
  model: {{cutoff: 4.0, d_pet: 8, d_head: 8, d_node: 8, d_feedforward: 8, num_heads: 2, num_attention_layers: 1,
          num_gnn_layers: 2}}
  training: {{num_epochs: 250, batch_size: 4, learning_rate: 3e-3}}
training_set:
  systems: {{read_from: {structures}, length_unit: angstrom}}
  targets:
    energy: {{key: energy, unit: eV, forces: {{key: forces}}, stress: {{key: stress}}}}
    non_conservative_force:
      {{key: forces, unit: eV/A, sample_kind: atom, type: {{cartesian: {{rank: 1}}}}}}
    non_conservative_stress:
      {{key: stress, unit: eV/A^3, sample_kind: system, type: {{cartesian: {{rank: 2}}}}}}
validation_set: 0.1
test_set: 0.0
seed: 20261121
base_precision: 32
"""
ENSEMBLE_OPTIONS = """
architecture:
  name: llpr
  model: {{num_ensemble_members: {{energy: 4}}}}
  training: {{batch_size: 4, model_checkpoint: {checkpoint}}}
training_set:
  systems: {{read_from: {structures}, length_unit: angstrom}}
  targets: {{energy: {{key: energy, unit: eV, forces: {{key: forces}}, stress: {{key: stress}}}}}}
validation_set: 0.2
test_set: 0.0
seed: 20261121
base_precision: 32
"""
N_STRUCTURES = 40


def structures():
    """Give disturbed crystals with random cells and species."""
    random = np.random.default_rng(7)
    for _ in range(N_STRUCTURES):
        atoms = bulk("Cu", "fcc", a=random.uniform(3.6, 4.1), cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.uniform(-0.06, 0.06, (3, 3))), scale_atoms=True)
        atoms.positions += random.normal(0, 0.12, atoms.positions.shape)
        atoms.numbers = random.choice([29, 79], len(atoms))
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        atoms.calc = None
        atoms.info.update(energy=energy, stress=stress)
        atoms.arrays["forces"] = forces
        yield atoms


def train(folder, text, name, **values):
    (folder / f"{name}.yaml").write_text(text.format(structures="structures.xyz", **values))
    subprocess.run(["mtt", "train", f"{name}.yaml", "-o", f"{name}.pt"], cwd=folder, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep everything here")
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp())
    ase.io.write(folder / "structures.xyz", list(structures()), format="extxyz")
    train(folder, OPTIONS, "pet")
    train(folder, ENSEMBLE_OPTIONS, "llpr", checkpoint="pet.ckpt")
    shutil.copyfile(folder / "llpr.pt", Path(__file__).with_name("pet-cuau.pt"))
    model = load_model(folder / "pet.ckpt").eval().to(torch.float64)
    model.export().save(str(Path(__file__).with_name("pet-cuau-float64.pt")))


if __name__ == "__main__":
    main()
