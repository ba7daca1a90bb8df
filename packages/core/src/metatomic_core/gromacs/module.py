"""The scripted modules in files for GROMACS: they map its inputs to those of the pipeline of the model, and back.

Units, pairs, gradients and signs are the business of ``AtomisticModel.evaluate``, the method in the file of the model.
GROMACS takes the forces from the gradient of what `forward` returns with respect to the positions, so this is given the
forces of the pipeline as its gradient.
"""

from typing import Dict, List, Optional, Tuple

import torch

from metatomic_core.foundation.elements import symbols

from .cell_list import half_list
from .pairs import both_ways, pairs_of_gromacs, within
from .probe import is_probe, probe_line

# Neighbors up to this much beyond the cutoff, in nm, are kept until an atom has moved half of it.
SKIN = 0.1


class GromacsModel(torch.nn.Module):
    """A model that finds the neighbors by itself, with the inputs that all releases of GROMACS give.

    Parameters
    ----------
    model
        The model, as its file has it.
    energy
        Name of the energy output.
    charge
        Name of the requested input that is the total charge; empty if there is none.
    """

    _requests: List[Tuple[float, bool, bool]]
    _types: List[int]

    def __init__(self, model: torch.jit.ScriptModule, energy: str, charge: str):
        super().__init__()
        self.model = model
        self._energy = energy
        self._charge = charge
        self._requests = model.pair_requests("nm")
        self._cutoff = max([request[0] for request in self._requests], default=0.0)
        self._types = model.atomic_types()
        known = zip(self._types, symbols(self._types), strict=True)
        self._known = ", ".join(f"{number} ({symbol})" for number, symbol in known)
        # what the kept list was made for; no structure has no atoms
        self._kept = torch.zeros(0, 5, dtype=torch.int64)
        self._kept_positions = torch.zeros(0, 3, dtype=torch.float64)
        self._kept_cell = torch.zeros(3, 3, dtype=torch.float64)
        self._kept_pbc = torch.zeros(3, dtype=torch.bool)
        self._skin = SKIN

    def forward(
        self,
        positions: torch.Tensor,
        numbers: torch.Tensor,
        box: Optional[torch.Tensor] = None,
        pbc: Optional[torch.Tensor] = None,
        nnp_charge: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Compute the energy.

        Parameters
        ----------
        positions
            Input "atom-positions": shape (n_atoms, 3), in nm.
        numbers
            Input "atom-numbers": shape (n_atoms,).
        box, pbc
            Inputs of these names: shape (3, 3), in nm, and (3,).  None for an open system.
        nnp_charge
            Input "nnp-charge", shape (1,); only for models that want a charge.

        Returns
        -------
        torch.Tensor
            The energy in kJ/mol, one element, float64.  Its gradient with respect to the positions is minus the forces.
        """
        self._check(positions, numbers, box, pbc)
        probe = is_probe(positions.detach(), numbers, box)
        cell, periodic = self._cell(positions, box, pbc, probe)
        exact = self._places(positions, probe)
        pairs = torch.zeros([0, 5], dtype=torch.int64, device=positions.device)
        if len(self._requests) > 0:
            pairs = self._neighbors(exact, cell, periodic)
        return self._evaluate(positions, exact, numbers, cell, periodic, pairs, nnp_charge, probe)

    def _neighbors(self, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor) -> torch.Tensor:
        """Give the pairs within the largest cutoff, and some beyond it."""
        if positions.size(0) == self._kept_positions.size(0):
            same_cell = bool((cell == self._kept_cell).all()) and bool((pbc == self._kept_pbc).all())
            moved = (positions - self._kept_positions).square().sum(1).max()
            if same_cell and float(moved) <= 0.25 * self._skin * self._skin:
                return self._kept
        self._kept = half_list(positions, cell, pbc, self._cutoff + self._skin)
        self._kept_positions, self._kept_cell, self._kept_pbc = positions.clone(), cell.clone(), pbc.clone()
        return self._kept

    def _check(
        self, positions: torch.Tensor, numbers: torch.Tensor, box: Optional[torch.Tensor], pbc: Optional[torch.Tensor]
    ) -> None:
        """Check shapes, which tell whether the inputs are in order, and positions."""
        order = "; give the inputs in the order that `metatomic convert` printed"
        n_atoms = numbers.size(0)
        if positions.dim() != 2 or positions.size(0) != n_atoms or positions.size(1) != 3 or n_atoms == 0:
            raise ValueError(f"expected `atom-positions` of the shape ({n_atoms}, 3), got {positions.size()}" + order)
        if numbers.is_floating_point() or numbers.dim() != 1:
            raise ValueError(f"expected integers for `atom-numbers`, got others of the shape {numbers.size()}" + order)
        if (box is None) != (pbc is None):
            raise ValueError("expected the inputs `box` and `pbc`, or none of the two, got one" + order)
        if box is not None and (box.dim() != 2 or box.numel() != 9):
            raise ValueError(f"expected `box` of the shape (3, 3), got {box.size()}" + order)
        if pbc is not None and (pbc.dim() != 1 or pbc.numel() != 3):
            raise ValueError(f"expected `pbc` of the shape (3), got {pbc.size()}" + order)
        if not bool(torch.isfinite(positions).all()):
            raise ValueError("expected finite `atom-positions`, got nan or infinity; is the simulation unstable")

    def _places(self, positions: torch.Tensor, probe: bool) -> torch.Tensor:
        """Give the positions for the model, float64, without gradient."""
        exact = positions.detach().to(torch.float64)
        return probe_line(exact.size(0), exact) if probe else exact

    def _cell(
        self, positions: torch.Tensor, box: Optional[torch.Tensor], pbc: Optional[torch.Tensor], probe: bool
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Give the cell, float64, and its periodicity."""
        # the atoms of the probe are not to be folded into its box
        if box is None or pbc is None or probe:
            zeros = torch.zeros([3, 3], dtype=torch.float64, device=positions.device)
            return zeros, torch.zeros([3], dtype=torch.bool, device=positions.device)
        periodic = pbc.to(torch.bool)
        return box.detach().to(torch.float64) * periodic.unsqueeze(1), periodic

    def _checked_types(self, numbers: torch.Tensor, probe: bool) -> torch.Tensor:
        known = torch.tensor(self._types, dtype=numbers.dtype, device=numbers.device)
        unknown = ~(numbers.unsqueeze(1) == known.unsqueeze(0)).any(dim=1)
        if not bool(unknown.any()):
            return numbers
        if probe:
            return torch.full_like(numbers, self._types[0])
        number = int(numbers[unknown][0])
        raise ValueError(
            f"expected atoms of the atomic numbers {self._known}, got {number}; choose them by nnpot-input-group, "
            "set nnpot-link-type to one of these, or correct the column at.num of [ atomtypes ]"
        )

    def _lists(
        self, pairs: torch.Tensor, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor
    ) -> List[torch.Tensor]:
        """Give each list that the model wants."""
        periodic = bool(pbc.any())
        lists: List[torch.Tensor] = []
        for cutoff, full, _ in self._requests:
            selected = within(pairs, positions, cell, periodic, cutoff)
            lists.append(both_ways(selected) if full else selected)
        return lists

    def _evaluate(
        self,
        positions: torch.Tensor,
        exact: torch.Tensor,
        numbers: torch.Tensor,
        cell: torch.Tensor,
        pbc: torch.Tensor,
        pairs: torch.Tensor,
        nnp_charge: Optional[torch.Tensor],
        probe: bool,
    ) -> torch.Tensor:
        types = self._checked_types(numbers, probe)
        structure: Dict[str, torch.Tensor] = {"types": types, "positions": exact, "cell": cell, "pbc": pbc}
        units: Dict[str, Dict[str, str]] = {"engine": {"length": "nm", "energy": "kJ/mol"}}
        inputs: Dict[str, torch.Tensor] = {}
        if self._charge != "":
            if nnp_charge is None:
                raise ValueError("expected the input `nnp-charge`, which this model needs, got none")
            inputs[self._charge] = nnp_charge.detach()
            units["inputs"] = {self._charge: "e"}
        request = {"energy": self._energy, "forces": self._energy}
        outputs: Dict[str, str] = {}
        lists = [self._lists(pairs, exact, cell, pbc)]
        results, _, _ = self.model.evaluate(
            [structure], lists, None, request, outputs, units, check_consistency=False, vectors=None, inputs=[inputs]
        )
        energy, forces = results["energy"].sum(), results["forces"]
        if probe:
            # the model has worked; so close atoms need not have an energy that is a number
            return 0.0 * positions.to(torch.float64).sum()
        if not (bool(torch.isfinite(energy)) and bool(torch.isfinite(forces).all())):
            raise ValueError("expected a finite energy and forces of the model, got nan or infinity; do atoms overlap")
        return energy - (forces * (positions.to(torch.float64) - exact)).sum()


class GromacsPairsModel(GromacsModel):
    """A model that takes the pairs of GROMACS 2026 and later; see `GromacsModel`."""

    def forward(  # type: ignore[override]
        self,
        positions: torch.Tensor,
        numbers: torch.Tensor,
        atom_pairs: torch.Tensor,
        pair_shifts: torch.Tensor,
        box: Optional[torch.Tensor] = None,
        pbc: Optional[torch.Tensor] = None,
        nnp_charge: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Compute the energy, as `GromacsModel.forward`.

        Parameters
        ----------
        positions, numbers, box, pbc, nnp_charge
            As there.
        atom_pairs
            Input "atom-pairs": shape (n_pairs, 2), each pair once, maybe with pairs beyond the cutoff.
        pair_shifts
            Input "pair-shifts": shape (n_pairs, 3), in nm.
        """
        self._check(positions, numbers, box, pbc)
        if atom_pairs.dim() != 2 or atom_pairs.size(1) != 2 or atom_pairs.is_floating_point():
            raise ValueError("expected integers of the shape (n_pairs, 2) for `atom-pairs`, got others")
        if pair_shifts.dim() != 2 or pair_shifts.size(0) != atom_pairs.size(0) or pair_shifts.size(1) != 3:
            raise ValueError(f"expected `pair-shifts` of the shape ({atom_pairs.size(0)}, 3), got {pair_shifts.size()}")
        probe = is_probe(positions.detach(), numbers, box, atom_pairs, pair_shifts)
        cell, periodic = self._cell(positions, box, pbc, probe)
        exact = self._places(positions, probe)
        pairs = pairs_of_gromacs(exact, cell, periodic, atom_pairs, pair_shifts, self._cutoff)
        return self._evaluate(positions, exact, numbers, cell, periodic, pairs, nnp_charge, probe)
