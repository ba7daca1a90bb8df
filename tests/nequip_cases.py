"""Packages of nequip without nequip: the texts of a file, and a program that does what its machine code would."""

import json
import zipfile

import torch

TEXTS = {
    "model_dtype": "float64",
    "type_names": "Au Cu",
    "num_types": "2",
    "r_max": "4.0",
    "allow_tf32": "0",
    "nequip_aoti_inputs": "pos edge_index atom_types cell edge_cell_shift",
    "nequip_aoti_outputs": "atomic_energy total_energy forces stress",
    "AOTI_DEVICE_KEY": "cpu",
    "AOTI_PLATFORM": "linux",
    "AOTI_MACHINE": "x86_64",
    "AOTI_CPU_ISA": "AVX2",
    "AOTI_COMPUTE_CAPABILITY": "",
}
SINGLE = {}
LAMMPS = {"nequip_aoti_outputs": "atomic_energy forces virial"}
BATCHES = {"nequip_aoti_inputs": "pos edge_index atom_types cell edge_cell_shift batch num_atoms"}


def write_package(path, texts=TEXTS, folder="data/aotinductor/model"):
    """Write a file as AOTInductor does, with something that is no machine code, and must not be loaded."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/archive_format", "pt2")
        archive.writestr(f"{path.stem}/{folder}/abc.wrapper.so", "machine code")
        if texts is not None:
            archive.writestr(f"{path.stem}/{folder}/abc.wrapper_metadata.json", json.dumps(texts))
    return path


class Program:
    """Stands for the machine code in a file: a pair potential, in the way of nequip and with its conventions.

    Parameters
    ----------
    file
        What the file says.
    changed
        What is wrong with it: "sign", "stress", "mixed", "positions", "bounded", "raises", or nothing.
    """

    epsilon, sigma = 0.4, 2.2

    def __init__(self, file, changed=""):
        self.file, self.changed = file, changed
        self.calls = []

    def run(self, given):
        inputs = dict(zip(self.file.inputs, given, strict=True))
        self._check(inputs)
        n_frames = len(inputs.get("num_atoms", [0]))
        n_atoms, n_pairs = len(inputs["pos"]), inputs["edge_index"].shape[1]
        too_few = min(n_atoms, n_pairs) < 2 or ("batch" in inputs and n_frames < 2)
        if too_few or (self.changed == "raises" and n_atoms > 500):
            raise RuntimeError("run_func_(...) failed\nin model.cpp")
        self.calls.append((n_atoms, n_pairs))
        of_atoms = inputs.get("batch", torch.zeros(n_atoms, dtype=torch.int64))
        strain = torch.zeros(n_frames, 3, 3, dtype=torch.float64, requires_grad=True)
        symmetric = 0.5 * (strain + strain.transpose(1, 2))
        positions = inputs["pos"].detach().requires_grad_()
        moved = positions + (positions.unsqueeze(1) @ symmetric[of_atoms]).squeeze(1)
        cells = inputs["cell"] @ (torch.eye(3, dtype=torch.float64) + symmetric)
        first, second = inputs["edge_index"]
        shifts = (inputs["edge_cell_shift"].unsqueeze(1) @ cells[of_atoms[first]]).squeeze(1)
        lengths = (moved[second] - moved[first] + shifts).norm(dim=1)
        energies = self._energies(inputs, first, lengths, moved)
        gradients = torch.autograd.grad(energies.sum(), [positions, strain], materialize_grads=True)
        forces, virial = (-gradient for gradient in gradients)
        stress = -virial / torch.linalg.det(inputs["cell"]).abs().reshape(-1, 1, 1)
        found = {
            "atomic_energy": energies.detach().unsqueeze(1),
            "total_energy": energies.detach().sum().reshape(1, 1),
            "forces": -forces if self.changed == "sign" else forces,
            "virial": virial,
            "stress": -stress if self.changed == "stress" else stress,
        }
        return [found[name] for name in self.file.outputs]

    def _energies(self, inputs, first, lengths, moved):
        """Give 4 epsilon (sigma / r)^12 (1 - (r / cutoff)^2)^3, less for the second type, half to each atom."""
        inside = (1 - (lengths / self.file.cutoff) ** 2).clamp(min=0) ** 3
        terms = (
            2
            * self.epsilon
            * (self.sigma / lengths) ** 12
            * inside
            * (1.0 - 0.3 * inputs["atom_types"][first].double())
        )
        energies = torch.zeros(len(moved), dtype=torch.float64).index_add(0, first, terms)
        if self.changed == "mixed":
            energies = energies + 0.1 * energies.sum()
        if self.changed == "bounded":
            energies = energies[torch.arange(len(moved)) % 24]
        if self.changed == "positions":
            energies = energies + 0.01 * moved.square().sum(1)
        return energies - 1.5 * (1 + inputs["atom_types"])

    @staticmethod
    def _check(inputs):
        for name, tensor in inputs.items():
            integers = name in {"edge_index", "atom_types", "batch", "num_atoms"}
            assert tensor.dtype == (torch.int64 if integers else torch.float64), name
            assert tensor.is_contiguous(), name
