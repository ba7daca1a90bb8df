"""Checkpoints of ordinary size with random weights, for families whose packages have no trained ones.

Each function runs in the environment of its family, and writes one file into a folder; those whose networks have a type
of their own want it.
"""

import importlib
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"


def mace(folder: Path, _: str) -> Path:
    """Write a network of the size of the small foundation models: two layers of 128 scalars."""
    import numpy as np
    import torch

    # before e3nn, which does not load by itself with this torch
    modules = importlib.import_module("mace.modules")
    from e3nn import o3

    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    torch.manual_seed(0)
    model = modules.ScaleShiftMACE(
        r_max=5.0,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=block,
        interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=3,
        hidden_irreps=o3.Irreps("128x0e"),
        MLP_irreps=o3.Irreps("16x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.array([-3.1, -5.2, -1.7]),
        avg_num_neighbors=30.0,
        atomic_numbers=[6, 8, 14],
        correlation=3,
        radial_MLP=[64, 64, 64],
        atomic_inter_scale=0.8,
        atomic_inter_shift=0.1,
    )
    path = folder / "random.model"
    torch.save(model, path)
    return path


def nequip(folder: Path, dtype: str) -> Path:
    """Write a network of four layers with 32 features of degrees up to two."""
    return _of_nequip(folder, f"nequip-ordinary-{dtype}")


def allegro(folder: Path, dtype: str) -> Path:
    """Write a network of two layers with 64 scalars and 32 tensors of degrees up to two."""
    return _of_nequip(folder, f"allegro-ordinary-{dtype}")


def _of_nequip(folder: Path, name: str) -> Path:
    command = [sys.executable, str(TESTS / "nequip_checkpoints.py"), str(folder), name]
    subprocess.run(command, check=True, capture_output=True)
    return folder / f"{name}.ckpt"


def torchani(folder: Path, _: str) -> Path:
    """Write a network of the size of ANI-2x, one member, for H, C, N and O."""
    import torch
    from torchani.arch import simple_ani

    torch.manual_seed(0)
    path = folder / "random.pt"
    torch.save(simple_ani(("H", "C", "N", "O"), "wb97x-631gd", ensemble_size=1), path)
    return path
