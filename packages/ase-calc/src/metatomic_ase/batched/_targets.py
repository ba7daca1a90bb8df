"""What ASE's optimizers move: one structure, with energy and derivatives that are given from outside."""

from collections.abc import Iterator

import ase
import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from ase.utils.abc import Optimizable

from metatomic_ase._cells import CellFreedom


def _sign_of_gradients() -> float:
    """Give the sign of forces in what ASE calls a gradient: until 3.26 it is that of the forces."""
    probe = ase.Atoms("H", positions=[[0.0, 0.0, 0.0]])
    probe.calc = SinglePointCalculator(probe, energy=0.0, forces=np.array([[1.0, 0.0, 0.0]]))
    return float(probe.__ase_optimizable__().get_gradient()[0])


_SIGN = _sign_of_gradients()


class AtomsTarget(Optimizable):
    """The positions of atoms.

    Parameters
    ----------
    atoms
        The atoms, which are moved; their constraints hold.
    """

    def __init__(self, atoms: ase.Atoms):
        self.atoms = atoms
        self.energy = np.nan
        self._forces = np.full((len(atoms), 3), np.nan)

    def take(self, energy: float, forces: np.ndarray, stress: np.ndarray | None) -> None:
        """Take the results for the structure as it is.

        Parameters
        ----------
        energy
            In eV.
        forces
            Shape (n_atoms, 3), in eV/angstrom.
        stress
            Shape (3, 3), in eV/angstrom^3; None for structures without a volume.
        """
        del stress
        self.energy, self._forces = self._constrained(energy, forces)

    def _constrained(self, energy: float, forces: np.ndarray) -> tuple[float, np.ndarray]:
        """Apply constraints to results as `ase.Atoms` does."""
        if not self.atoms.constraints:
            return energy, forces
        forces = forces.copy()
        for constraint in self.atoms.constraints:
            constraint.adjust_forces(self.atoms, forces)
            if hasattr(constraint, "adjust_potential_energy"):
                energy += constraint.adjust_potential_energy(self.atoms)
        return energy, forces

    def _move(self, positions: np.ndarray) -> None:
        if self.atoms.constraints:
            self.atoms.set_positions(positions)
        else:
            self.atoms.positions[:] = positions

    def ndofs(self) -> int:
        """Give the number of degrees of freedom."""
        return 3 * len(self.atoms)

    def get_x(self) -> np.ndarray:
        """Give the degrees of freedom, flat."""
        return self.atoms.positions.ravel().copy()

    def set_x(self, x: np.ndarray) -> None:
        """Set the degrees of freedom."""
        self._move(x.reshape(-1, 3))

    def get_gradient(self) -> np.ndarray:
        """Give the gradient, with the sign that this version of ASE wants."""
        return _SIGN * self._forces.ravel()

    def get_value(self) -> float:
        """Give the energy."""
        return float(self.energy)

    def iterimages(self) -> Iterator[ase.Atoms]:
        """Give what trajectories write."""
        return iter([self.atoms])

    def largest_stress(self) -> float | None:
        """Give the largest stress that a change of the cell may still take away, in GPa; None if the cell is fixed."""
        return None

    def largest_force(self) -> float:
        """Give what has to become small: the norm of the largest row of forces, in eV/angstrom."""
        return float(np.sqrt(np.square(self._forces).sum(axis=1).max(initial=0.0)))


class CellTarget(AtomsTarget):
    """Positions and cell: the degrees of freedom of `ase.filters.FrechetCellFilter`.

    These are the positions in the cell of the start, and the logarithm of the deformation F times the number of atoms;
    a cell is that of the start times the transpose of F.  The logarithm is kept rather than computed at each step.

    Parameters
    ----------
    atoms
        The atoms.
    freedom
        How the cell may change.
    """

    def __init__(self, atoms: ase.Atoms, freedom: CellFreedom):
        super().__init__(atoms)
        self._freedom = freedom
        self._first_cell = atoms.cell.array.copy()
        self._factor = float(len(atoms))
        self._log = np.zeros((3, 3))
        self._stress_left = np.nan
        self._deformation = np.eye(3)

    def take(self, energy: float, forces: np.ndarray, stress: np.ndarray | None) -> None:
        """Take the results for the structure as it is; parameters as for `AtomsTarget`."""
        if stress is None:
            raise ValueError("expected a stress for a cell that changes, got none")
        energy, forces = self._constrained(energy, forces)
        volume = abs(float(np.linalg.det(self.atoms.cell.array)))
        stress = self._constrained_stress(stress)
        self._stress_left = self._freedom.stress_left(stress)
        virial = -volume * (stress + self._freedom.pressure * np.eye(3))
        virial = self._freedom.masked(virial)
        # dE/dF, and from it the derivative along the logarithm: the adjoint of the derivative of the exponential
        along_deformation = virial @ np.linalg.inv(self._deformation.T)
        along_log = self._freedom.without_volume(_derivative_of_exponential(self._log.T, along_deformation))
        self.energy = energy + self._freedom.pressure * volume
        self._forces = np.vstack([forces @ self._deformation, along_log / self._factor])

    def _constrained_stress(self, stress: np.ndarray) -> np.ndarray:
        found = full_3x3_to_voigt_6_stress(stress)
        for constraint in self.atoms.constraints:
            if hasattr(constraint, "adjust_stress"):
                constraint.adjust_stress(self.atoms, found)
        return voigt_6_to_full_3x3_stress(found)

    def largest_stress(self) -> float:
        """Give the largest stress that is left, in GPa."""
        return self._stress_left

    def ndofs(self) -> int:
        """Give the number of degrees of freedom."""
        return 3 * len(self.atoms) + 9

    def get_x(self) -> np.ndarray:
        """Give the degrees of freedom, flat."""
        positions = np.linalg.solve(self._deformation, self.atoms.positions.T).T
        return np.concatenate([positions.ravel(), self._factor * self._log.ravel()])

    def set_x(self, x: np.ndarray) -> None:
        """Set the degrees of freedom."""
        rows = x.reshape(-1, 3)
        self._log = rows[-3:] / self._factor
        deformation = torch.linalg.matrix_exp(torch.from_numpy(np.ascontiguousarray(self._log))).numpy()
        # as the filter: what the mask leaves out does not move
        change = (deformation - np.eye(3)).T * self._freedom.mask
        self._deformation = np.eye(3) + change.T
        self.atoms.set_cell(self._first_cell @ self._deformation.T, scale_atoms=True)
        self._move(rows[:-3] @ self._deformation.T)


def _derivative_of_exponential(matrix: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Give the derivative of the exponential of a matrix in a direction, from that of a block matrix.

    N. J. Higham, Functions of Matrices, SIAM 2008, equation 3.16, doi:10.1137/1.9780898717778.
    """
    block = np.zeros((6, 6))
    block[:3, :3] = block[3:, 3:] = matrix
    block[:3, 3:] = direction
    found: np.ndarray = torch.linalg.matrix_exp(torch.from_numpy(block)).numpy()[:3, 3:]
    return found


def target_of(atoms: ase.Atoms, freedom: CellFreedom | None) -> AtomsTarget:
    """Give what an optimizer moves: the atoms alone, or the cell too."""
    return AtomsTarget(atoms) if freedom is None else CellTarget(atoms, freedom)
