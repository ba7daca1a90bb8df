"""What is tried once, when a package of nequip is loaded: that it does what `nequip_graphs` takes for granted.

The file says no more than names of inputs and outputs.  A few atoms show whether signs are as expected, whether
structures in one graph stay apart, whether sizes are free, and whether positions count for pair vectors alone, which
long-ranged models break.
"""

import functools

import torch

from .nequip_graphs import Found, Graph, Package, joined

# Of the cutoff; all within it, and no two pairs of the same length.
_POSITIONS = [[0.0, 0.0, 0.0], [0.55, 0.1, 0.05], [0.1, 0.6, -0.1], [0.3, 0.35, 0.5], [-0.2, 0.3, 0.55]]
# Of the cutoff: how far atoms go in the test of forces.
_STEP = 0.003
_COPIES = 60
# Relative, of derivatives by differences, where the network computes in float32 or less.
_TOLERANCE = 0.1
# Relative, of energies that should be the same, and of their noise.
_NOISE = 1e-5


def check_runs(package: Package) -> None:
    """Evaluate a few atoms in several ways, and compare.

    Raises
    ------
    ValueError
        If structures see each other, positions count, or forces and virials are no derivatives of the energy.
    """
    file = package.file
    small, large = _cluster(package, 3), _cluster(package, len(_POSITIONS))
    found = [package.evaluate(small, with_virials=False), package.evaluate(large, with_virials=True)]
    scale = 1.0 + float(found[1].energies.abs().max())
    # more atoms than the compiler had: it may have taken a number for granted
    several = functools.reduce(joined, [large] * _COPIES, small)
    energies = package.evaluate(several, with_virials=False).energies
    if not _same(energies, torch.cat([found[0].energies, *[found[1].energies] * _COPIES]), scale):
        raise ValueError(
            "expected energies of atoms that depend on their neighbors alone, whatever the number of atoms, got "
            f"'{file.path}', which gives others for the same atoms among {len(energies)}; use it with nequip itself"
        )
    if not _same(_elsewhere(package, large), found[1].energies, scale):
        raise ValueError(
            f"expected a model that sees positions and cell only through pairs within its cutoff, got '{file.path}', "
            "which uses them directly; use it with nequip itself"
        )
    _check_derivatives(package, large, found[1], scale)


def _cluster(package: Package, n_atoms: int) -> Graph:
    """Give a few atoms with all pairs between them, with each type among them if there are not too many."""
    device, numbers = package.device, range(n_atoms)
    types = torch.tensor((package.file.types * n_atoms)[-n_atoms:], device=device)
    positions = package.file.cutoff * torch.tensor(_POSITIONS[:n_atoms], dtype=torch.float64, device=device)
    atoms = torch.tensor([[i, j] for i in numbers for j in numbers if i != j], device=device).t()
    return Graph(types, atoms, positions[atoms[1]] - positions[atoms[0]], [n_atoms], [atoms.shape[1]])


def _same(one: torch.Tensor, other: torch.Tensor, scale: float) -> bool:
    return float((one - other).abs().max()) <= _NOISE * scale


def _elsewhere(package: Package, graph: Graph) -> torch.Tensor:
    """Give energies of the same atoms in other places of a larger cell: their pairs have the same vectors."""
    twice = package.within_cutoffs(joined(graph, graph))
    cell = torch.diag(torch.tensor([1.3, 0.7, 2.1], dtype=torch.float64, device=package.device))
    numbers = torch.arange(3.0 * len(twice.types), dtype=torch.float64, device=package.device)
    positions = 3.0 * torch.sin(numbers).reshape(-1, 3)
    return package.outputs(twice, positions, cell)["atomic_energy"].reshape(-1)[: len(graph.types)]


def _check_derivatives(package: Package, graph: Graph, found: Found, scale: float) -> None:
    """Compare forces and virial with differences of energies, along themselves."""
    virial = (found.virials if found.virials is not None else torch.zeros(1, 3, 3))[0]
    of_atoms = _scaled(found.forces) * package.file.cutoff
    strain = _scaled(virial)
    changes = {
        "forces": (found.forces, of_atoms, of_atoms[graph.atoms[1]] - of_atoms[graph.atoms[0]]),
        "virials": (virial, strain, graph.vectors @ strain),
    }
    for name, (derivative, step, change) in changes.items():
        expected = -2 * float((derivative * step).sum())
        ahead = package.evaluate(graph._replace(vectors=graph.vectors + change), with_virials=False)
        behind = package.evaluate(graph._replace(vectors=graph.vectors - change), with_virials=False)
        difference = float((ahead.energies - behind.energies).sum())
        if not abs(difference - expected) <= _TOLERANCE * abs(expected) + _NOISE * scale:
            raise ValueError(
                f"expected {name} that are derivatives of the energies, got '{package.file.path}', whose energy "
                f"changes by {difference:.3g} eV where it should by {expected:.3g} eV; compile it again"
            )


def _scaled(derivative: torch.Tensor) -> torch.Tensor:
    """Give a small step along a derivative."""
    largest = float(derivative.abs().max())
    return derivative * (_STEP / largest if largest > 0 else 0.0)
