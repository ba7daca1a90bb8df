"""How a package of nequip is called: structures to its inputs, its outputs to energies, forces and virials.

nequip computes vectors of pairs as positions[second] - positions[first] + shift @ cell.  All positions are zero here,
the cell is the unit matrix, and the shifts are the vectors that the engine has found: so several structures, periodic
or not, make one graph, the stress is dE/dstrain itself, and nothing depends on how far atoms are from the origin.  That
nothing else is made of positions and cell is tried when a model is loaded, see `nequip_check`.
"""

import importlib
from typing import Any, NamedTuple

import torch

from .nequip_files import NequipFile

# What the compiled code is told to expect at least, of atoms, pairs and structures of a batch.  Its own checks, with
# AOTI_RUNTIME_CHECK_INPUTS, are too strict: they have upper bounds too, from choices of the compiler between ways that
# are right for any size (24 atoms for a network that was compiled with four, "s26 + 8 <= 32" in a matrix product).
_AT_LEAST = 2


class Graph(NamedTuple):
    """Structures, one after the other, with their pairs.

    Attributes
    ----------
    types
        Atomic numbers, shape (n_atoms,).
    atoms
        First and second atom of each pair, numbered through all structures, shape (2, n_pairs), int64.
    vectors
        From the first to the second, shape (n_pairs, 3), float64, in angstrom.
    n_atoms, n_pairs
        Of each structure.
    """

    types: torch.Tensor
    atoms: torch.Tensor
    vectors: torch.Tensor
    n_atoms: list[int]
    n_pairs: list[int]


class Found(NamedTuple):
    """What a package says of a graph, float64, in eV and angstrom.

    Attributes
    ----------
    energies
        Of atoms, shape (n_atoms,).
    forces
        Shape (n_atoms, 3).
    virials
        -dE/dstrain, shape (n_structures, 3, 3); None where they were not asked for.
    """

    energies: torch.Tensor
    forces: torch.Tensor
    virials: torch.Tensor | None


class Package:
    """The machine code of a file, loaded.

    Parameters
    ----------
    file
        What it says of itself; it is for this machine.

    Raises
    ------
    ValueError
        If it does not load, or does not run.
    """

    def __init__(self, file: NequipFile):
        self.file = file
        self._loader = _loaded(file)
        self.device = device = torch.device(file.device)
        self._index = torch.full((max(file.types) + 1,), -1, dtype=torch.int64, device=device)
        self._index[torch.tensor(file.types)] = torch.arange(len(file.types), device=device)
        self._cutoffs = None if file.cutoffs is None else torch.tensor(file.cutoffs, dtype=torch.float64, device=device)
        # two atoms too far away to see each other, which make small graphs large enough
        self._padding = Graph(
            torch.tensor(file.types[:1] * _AT_LEAST, device=device),
            torch.tensor([[0, 1], [1, 0]], device=device),
            torch.tensor(
                [[1.001 * file.cutoff, 0, 0], [-1.001 * file.cutoff, 0, 0]], dtype=torch.float64, device=device
            ),
            [_AT_LEAST],
            [_AT_LEAST],
        )
        alone = self.outputs(self._padding if not file.takes_batches else joined(self._padding, self._padding))
        self._padding_virial = _virials(alone)[0]

    def evaluate(self, graph: Graph, with_virials: bool) -> Found:
        """Evaluate structures.

        Parameters
        ----------
        graph
            The structures.
        with_virials
            Whether virials are wanted: one call for each structure, unless the package keeps those of a batch apart.

        Raises
        ------
        ValueError
            If the structures are on another device than the machine code, or it raises an error.
        """
        if graph.vectors.device != self._index.device:
            raise ValueError(
                f"expected structures on {self._index.device}, where '{self.file.path}' was loaded, got them on "
                f"{graph.vectors.device}; give a `device` without number"
            )
        graph = self.within_cutoffs(graph)
        if not with_virials or self.file.takes_batches or len(graph.n_atoms) == 1:
            return self._evaluate(graph, with_virials)
        found = [self._evaluate(part, with_virials) for part in separate(graph)]
        return Found(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def _evaluate(self, graph: Graph, with_virials: bool) -> Found:
        n_atoms, n_structures = len(graph.types), len(graph.n_atoms)
        is_small = min(n_atoms, graph.atoms.shape[1]) < _AT_LEAST
        is_padded = is_small or (self.file.takes_batches and n_structures < _AT_LEAST)
        outputs = self.outputs(joined(graph, self._padding) if is_padded else graph)
        virials = None
        if with_virials:
            virials = _virials(outputs)
            if is_padded and not self.file.takes_batches:
                virials = virials - self._padding_virial
            virials = virials[:n_structures]
        return Found(outputs["atomic_energy"].reshape(-1)[:n_atoms], outputs["forces"][:n_atoms], virials)

    def within_cutoffs(self, graph: Graph) -> Graph:
        """Keep the pairs within the cutoffs of their types, as nequip does."""
        if self._cutoffs is None:
            return graph
        types = self._index[graph.types.to(torch.int64)]
        kept = graph.vectors.norm(dim=1) <= self._cutoffs[types[graph.atoms[0]], types[graph.atoms[1]]]
        n_pairs = [int(part.sum()) for part in torch.split(kept, graph.n_pairs)]
        return Graph(graph.types, graph.atoms[:, kept], graph.vectors[kept], graph.n_atoms, n_pairs)

    def outputs(
        self, graph: Graph, positions: torch.Tensor | None = None, cell: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Run the compiled code on a graph that is large enough.

        Parameters
        ----------
        graph
            The structures.
        positions, cell
            Where to put the atoms, shape (n_atoms, 3), in which cell, shape (3, 3); all at the origin for None.

        Returns
        -------
        dict
            Outputs by the names that nequip gives them.
        """
        n_atoms, sizes = len(graph.types), torch.tensor(graph.n_atoms, device=self.device)
        shifts = graph.vectors.to(torch.float64)
        if positions is None or cell is None:
            positions = torch.zeros(n_atoms, 3, dtype=torch.float64, device=self.device)
            cell = torch.eye(3, dtype=torch.float64, device=self.device)
        else:
            shifts = (shifts - positions[graph.atoms[1]] + positions[graph.atoms[0]]) @ torch.linalg.inv(cell)
        inputs = {
            "pos": positions,
            "edge_index": graph.atoms.to(torch.int64).contiguous(),
            "atom_types": self._index[graph.types.to(torch.int64)],
            "cell": cell.repeat(len(sizes) if self.file.takes_batches else 1, 1, 1),
            "edge_cell_shift": shifts.contiguous(),
            "batch": torch.repeat_interleave(torch.arange(len(sizes), device=self.device), sizes),
            "num_atoms": sizes,
        }
        try:
            found = self._loader.run([inputs[name] for name in self.file.inputs])
        except RuntimeError as error:
            raise ValueError(
                f"expected the machine code in '{self.file.path}' to run, got an error for {n_atoms} atoms and "
                f"{len(shifts)} pairs: {_first_line(error)}"
            ) from error
        return dict(zip(self.file.outputs, found, strict=True))


def _loaded(file: NequipFile) -> Any:
    """Load machine code, after the modules that it needs."""
    for name in file.libraries:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ValueError(
                f"expected the module '{name}', which '{file.path}' needs, got none; run `pip install {name}`"
            ) from error
    # what `torch._inductor.aoti_load_package` returns a wrapper of, after seconds of importing the compiler
    loader = torch._C._aoti.AOTIModelPackageLoader  # noqa: SLF001
    try:
        return loader(str(file.path), "model", False, 1, -1)  # noqa: FBT003  (name, one thread, models, device)
    except RuntimeError as error:
        raise ValueError(
            f"expected machine code that loads with torch {torch.__version__}, got '{file.path}': "
            f"{_first_line(error)}; if it was compiled with another torch, compile it again where it runs"
        ) from error


def _first_line(error: RuntimeError) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _virials(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Give -dE/dstrain of each structure; volumes are one."""
    virials = outputs["virial"] if "virial" in outputs else -outputs["stress"]
    return virials.reshape(-1, 3, 3)


def joined(first: Graph, second: Graph) -> Graph:
    """Join structures of two graphs into one, without pairs between them."""
    return Graph(
        torch.cat([first.types.to(second.types), second.types]),
        torch.cat([first.atoms, second.atoms + len(first.types)], dim=1),
        torch.cat([first.vectors, second.vectors]),
        first.n_atoms + second.n_atoms,
        first.n_pairs + second.n_pairs,
    )


def separate(graph: Graph) -> list[Graph]:
    """Give a graph for each structure."""
    parts, first_atom, first_pair = [], 0, 0
    for n_atoms, n_pairs in zip(graph.n_atoms, graph.n_pairs, strict=True):
        of_pairs = slice(first_pair, first_pair + n_pairs)
        parts.append(
            Graph(
                graph.types[first_atom : first_atom + n_atoms],
                graph.atoms[:, of_pairs] - first_atom,
                graph.vectors[of_pairs],
                [n_atoms],
                [n_pairs],
            )
        )
        first_atom, first_pair = first_atom + n_atoms, first_pair + n_pairs
    return parts
