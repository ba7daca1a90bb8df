"""Models that users of nequip compiled, in all Python engines: the machine code runs in place of a scripted model.

Units, signs, neighbor lists and checks are those of the pipeline; `nequip_files` says what a file tells of itself, and
`nequip_graphs` how it is called.  Loading such a file runs what is in it: only who names the file as the model to run
does that, neither ``metatomic inspect`` nor any other question about it.
"""

from pathlib import Path
from typing import Any, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import all_types, energy_output, pairs
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.files.header import ModelHeader
from metatomic_core.loading import Reader
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.pipeline.batch import Answer, Batch, Leaves
from metatomic_core.pipeline.consistency import check_selected_atoms
from metatomic_core.pipeline.derive import answer_of, selected_labels
from metatomic_core.pipeline.results import Needs

from . import nequip_files
from .nequip_check import check_runs
from .nequip_graphs import Graph, Package

_NO_ENERGY = Needs("", per_atom=False, gradients=False, cells=False, pairs=False)


class _Energies(torch.nn.Module):
    """The energies of a package behind the interface of modules, without their derivatives.

    Parameters
    ----------
    package
        The machine code.
    """

    def __init__(self, package: Package):
        super().__init__()
        self.package = package
        self._options = nequip_files.neighbor_list(package.file)
        self.eval()

    def forward(
        self,
        systems: list[System],
        outputs: dict[str, ModelOutput],
        selected_atoms: Optional[Labels],  # noqa: UP045  (a class of TorchScript)
    ) -> dict[str, TensorMap]:
        """Give energies, see `ModelInterface`."""
        first, second, vectors = pairs(systems, self._options)
        counts = [len(system.get_neighbor_list(self._options).samples) for system in systems]
        graph = Graph(
            all_types(systems), torch.stack([first, second]), vectors, [len(system) for system in systems], counts
        )
        energies = self.package.evaluate(graph, with_virials=False).energies
        return {name: energy_output(systems, energies, output, selected_atoms) for name, output in outputs.items()}

    def requested_neighbor_lists(self) -> list[NeighborListOptions]:
        """List the neighbor lists that the package needs."""
        return [self._options]


class NequipModel(AtomisticModel):
    """A model that nequip compiled, with energies of atoms, forces, virial and stress.

    Parameters
    ----------
    path
        The file; its machine code runs.

    Raises
    ------
    ValueError
        If it is not for this machine, or does not give what it says.
    """

    # of the words for `kernel`, the one that there is
    way = "compiled"

    def __init__(self, path: Path):
        file = nequip_files.read(path)
        nequip_files.check_machine(file)
        header, package = nequip_files.header(file), Package(file)
        check_runs(package)
        super().__init__(_Energies(package), header.metadata, header.capabilities)
        self.package = package
        self.header = header
        self.path = path
        self._differentiates = False

    def __reduce__(self) -> tuple[Any, ...]:
        # machine code is not copied: the file is loaded again
        return _load_again, (self.path.resolve(), str(self._types.device))

    def __prepare_scriptable__(self) -> None:
        raise RuntimeError(_no_file(self.path))

    def save(self, file: str, collect_extensions: str | None = None, *, exported: bool | None = None) -> None:
        """Refuse: machine code is no TorchScript."""
        raise RuntimeError(_no_file(self.path))

    def derive(  # noqa: PLR0917  (as the base class has it)
        self,
        batch: Batch,
        leaves: Leaves,
        needs: Needs,
        request: dict[str, str],
        outputs: dict[str, str],
        check_consistency: bool,
    ) -> tuple[Answer, dict[str, TensorMap]]:
        """Run the machine code on a batch, see `AtomisticModel.derive`.

        Raises
        ------
        ValueError
            If virials of atoms are wanted, or forces that belong to the energy of some atoms only.
        """
        returned = super().outputs_of(batch, outputs, check_consistency) if outputs else {}
        answer = answer_of(returned, outputs, {}, outputs, batch, leaves, _NO_ENERGY)
        return answer._replace(of_energy=self._of_energy(batch, needs)), returned

    def _of_energy(self, batch: Batch, needs: Needs) -> dict[str, torch.Tensor]:
        if needs.energy == "":
            return {}
        if needs.pairs:
            raise ValueError(
                f"expected results that '{self.path}' has, energies, forces, virial and stress, got a request for "
                "virials or stresses of atoms; take a model file"
            )
        if batch.selected_atoms is not None:
            check_selected_atoms(selected_labels(batch.selected_atoms), batch.n_atoms)
        if batch.selected_atoms is not None and needs.gradients:
            raise ValueError(
                f"expected all atoms for forces and stress of '{self.path}', got `selected_atoms`; ask for energies "
                "alone"
            )
        graph = Graph(batch.types, batch.atoms, batch.vectors[0].detach(), batch.n_atoms, batch.n_pairs[0])
        energies, forces, virials = self.package.evaluate(graph, with_virials=needs.cells)
        sizes = torch.tensor(batch.n_atoms, device=energies.device)
        structures = torch.repeat_interleave(torch.arange(len(sizes), device=energies.device), sizes)
        if batch.selected_atoms is not None:
            chosen = batch.selected_atoms.to(torch.int64)
            atoms = (torch.cumsum(sizes, 0) - sizes)[chosen[:, 0]] + chosen[:, 1]
            energies = torch.zeros_like(energies).index_copy(0, atoms, energies[atoms])
        of_structures = torch.zeros(len(sizes), dtype=energies.dtype, device=energies.device)
        found = {"energy": of_structures.index_add(0, structures, energies), "atomic_energies": energies}
        if needs.gradients:
            found["forces"] = forces
        if virials is not None:
            found["virial"] = virials
        return found

    def outputs_of(self, batch: Batch, kinds: dict[str, str], check_consistency: bool) -> dict[str, TensorMap]:
        """Refuse: what comes out of machine code has no graph, and can not be differentiated again."""
        raise ValueError(
            f"expected results that '{self.path}' has, energies, forces, virial and stress, got a request for second "
            "derivatives; take a model file"
        )


def _no_file(path: Path) -> str:
    return (
        f"expected a model with code that TorchScript compiles, got '{path}', which is machine code; it runs in Python "
        "engines as it is, and can not be written as another file"
    )


def _load_again(path: Path, device: str) -> AtomisticModel:
    return load(path).to(device)


def load(path: Path, extensions_directory: str | None = None) -> NequipModel:  # noqa: ARG001  (there are none)
    """Load a package, as `Reader` has it; its machine code runs.

    Raises
    ------
    ValueError
        As `NequipModel`.
    """
    return NequipModel(path)


def describe(path: Path) -> ModelHeader:
    """Give what a package says of itself, without executing anything in it."""
    return nequip_files.header(nequip_files.read(path))


reader = Reader(nequip_files.recognises, load, describe)
