"""Elastic constants of a crystal from finite strains, and what follows from them.

Components are in the order of Voigt, xx, yy, zz, yz, xz, xy, with shear strains of engineers (twice the tensor's);
tension is positive.  Without external stress, the constants are derivatives of stresses by strains.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import ase
import numpy as np
from ase import units

from metatomic_ase.calculator import MetatomicCalculator

from ._strained import check_crystal, deformed
from .point_group import PointGroup, find_point_group
from .points import Points

# Coefficients of central differences: for each number of points, steps as parts of the largest one, and weights of
# the differences between both sides.  B. Fornberg, Math. Comput. 51, 699 (1988), doi:10.1090/S0025-5718-1988-0935077-0.
STENCILS: Mapping[int, tuple[tuple[float, float], ...]] = {
    2: ((1.0, 1 / 2),),
    4: ((0.5, 4 / 3), (1.0, -1 / 6)),
}
# rows and columns of the tensor for each component
_PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
# GPa; of the structure itself, above which derivatives of its stress are not its elastic constants
LARGE_STRESS = 0.1
# part of the largest constant that counts as none
_SINGULAR = 1e-9


@dataclasses.dataclass(frozen=True)
class ElasticConstants:
    """Elastic constants, and averages over directions.

    Attributes
    ----------
    stiffness
        Shape (6, 6), in GPa: symmetric, and averaged over the point group if that is known.
    computed
        Shape (6, 6), in GPa: derivatives of the stress (rows) by the strain (columns), as they were found.
    stress
        Shape (6,), in GPa: of the structure without strain.
    point_group
        The point group that the constants were averaged over; None if they were not.
    """

    stiffness: np.ndarray
    computed: np.ndarray
    stress: np.ndarray
    point_group: PointGroup | None = None

    @property
    def compliance(self) -> np.ndarray:
        """Inverse of the stiffness, shape (6, 6), in 1/GPa."""
        return np.linalg.inv(self.stiffness)

    @property
    def asymmetry(self) -> float:
        """Largest difference, in GPa, between what was computed and the symmetric constants."""
        return float(np.abs(self.computed - self.stiffness).max())

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of the stiffness in GPa, ascending."""
        return np.linalg.eigvalsh(self.stiffness)

    @property
    def is_stable(self) -> bool:
        """Whether all eigenvalues are positive, see doi 10.1103/PhysRevB.90.224104."""
        return bool(self.eigenvalues[0] > 0)

    def averages(self) -> dict[str, dict[str, float]]:
        """Give moduli of polycrystals.

        Returns
        -------
        dict
            For "voigt" (equal strains), "reuss" (equal stresses), and "hill", their mean: "bulk", "shear" and "young"
            modulus in GPa, and "poisson", the ratio of Poisson.
        """
        c, s = self.stiffness, self.compliance
        bulk_voigt = c[:3, :3].sum() / 9
        shear_voigt = (np.trace(c[:3, :3]) - (c[0, 1] + c[0, 2] + c[1, 2]) + 3 * np.trace(c[3:, 3:])) / 15
        bulk_reuss = 1 / s[:3, :3].sum()
        shear_reuss = 15 / (4 * np.trace(s[:3, :3]) - 4 * (s[0, 1] + s[0, 2] + s[1, 2]) + 3 * np.trace(s[3:, 3:]))
        return {
            "voigt": _isotropic(bulk_voigt, shear_voigt),
            "reuss": _isotropic(bulk_reuss, shear_reuss),
            "hill": _isotropic((bulk_voigt + bulk_reuss) / 2, (shear_voigt + shear_reuss) / 2),
        }

    @property
    def universal_anisotropy(self) -> float:
        """Universal anisotropy index, zero for isotropic materials, see doi 10.1103/PhysRevLett.101.055504."""
        voigt, reuss = (self.averages()[kind] for kind in ("voigt", "reuss"))
        return 5 * voigt["shear"] / reuss["shear"] + voigt["bulk"] / reuss["bulk"] - 6

    def young_modulus(self, directions: np.ndarray) -> np.ndarray:
        """Give the modulus of Young for tension along directions.

        Parameters
        ----------
        directions
            Shape (..., 3), of any length.

        Returns
        -------
        numpy.ndarray
            Shape (...), in GPa.
        """
        unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        # products of two components; the compliance has factors of two for shear in its place already
        products = np.stack([unit[..., i] * unit[..., j] for i, j in _PLACES], axis=-1)
        return np.asarray(1 / np.einsum("...i,ij,...j->...", products, self.compliance, products))


def _isotropic(bulk: float, shear: float) -> dict[str, float]:
    return {
        "bulk": float(bulk),
        "shear": float(shear),
        "young": float(9 * bulk * shear / (3 * bulk + shear)),
        "poisson": float((3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))),
    }


def _strains(largest: float, n_points: int) -> Iterator[tuple[int, float, float]]:
    """Give component, strain, and weight in the derivative of all points."""
    for component in range(6):
        for part, weight in STENCILS[n_points]:
            for sign in (1, -1):
                yield component, sign * part * largest, sign * weight / largest


def strained_structures(atoms: ase.Atoms, strain: float = 0.005, n_points: int = 4) -> list[ase.Atoms]:
    """Give the structure, and copies of it with strains of each component.

    Parameters
    ----------
    atoms
        A crystal.
    strain
        Largest strain; shear strains are those of engineers.
    n_points
        Number of strains of each component: 2, for an error that is quadratic in the strain, or 4.

    Returns
    -------
    list of ase.Atoms
        The structure itself, and the copies.

    Raises
    ------
    ValueError
        If the structure is no crystal, or a value is not possible.
    """
    check_crystal(atoms, "elastic constants")
    if n_points not in STENCILS:
        raise ValueError(f"expected `n_points` to be one of {', '.join(map(str, STENCILS))}, got {n_points}")
    if not 0 < strain < 0.2:
        raise ValueError(f"expected `strain` between 0 and 0.2, got {strain:g}; 0.005 is usual")
    found = [deformed(atoms, np.eye(3))]
    for component, size, _ in _strains(strain, n_points):
        tensor = np.zeros((3, 3))
        row, column = _PLACES[component]
        # half of the shear of engineers at both places
        tensor[row, column] += size / 2
        tensor[column, row] += size / 2
        found.append(deformed(atoms, np.eye(3) + tensor))
    return found


def fit_elastic_constants(
    structures: Sequence[ase.Atoms], strain: float = 0.005, n_points: int = 4, *, symmetry: bool = True
) -> ElasticConstants:
    """Give the elastic constants from stresses.

    Parameters
    ----------
    structures
        What `strained_structures` gave for this strain and number of points, with calculators that give stresses.
    strain, n_points
        As for `strained_structures`.
    symmetry
        Whether to average over the point group of the first structure, if spglib is installed.

    Returns
    -------
    ElasticConstants
        The elastic constants.

    Raises
    ------
    ValueError
        If there are more or fewer structures than there should be, or nothing resists a strain.
    """
    strains = list(_strains(strain, n_points))
    if len(structures) != len(strains) + 1:
        raise ValueError(f"expected `structures` to be the {len(strains) + 1} strained ones, got {len(structures)}")
    stresses = np.array([atoms.get_stress(apply_constraint=False) for atoms in structures]) / units.GPa
    computed = np.zeros((6, 6))
    for (component, _, weight), stress in zip(strains, stresses[1:], strict=True):
        computed[:, component] += weight * stress
    symmetric = (computed + computed.T) / 2
    group = find_point_group(structures[0]) if symmetry else None
    if group is not None:
        symmetric = group.average(symmetric)
    sizes = np.abs(np.linalg.eigvalsh(symmetric))
    if not sizes.min() > _SINGULAR * sizes.max():
        raise ValueError(
            f"expected a crystal that resists each strain, got constants between {sizes.min():.3g} and "
            f"{sizes.max():.3g} GPa; see whether atoms are closer than the cutoff of the model"
        )
    return ElasticConstants(symmetric, computed, stresses[0], group)


def elastic_constants(
    atoms: ase.Atoms,
    calculator: MetatomicCalculator,
    *,
    strain: float = 0.005,
    n_points: int = 4,
    relax: bool = True,
    fmax: float = 1e-4,
    steps: int = 500,
    symmetry: bool = True,
) -> ElasticConstants:
    """Compute the elastic constants of a crystal, with all strains in one call of the model.

    Parameters
    ----------
    atoms
        The crystal, at its minimum.
    calculator
        The calculator.
    strain, n_points, symmetry
        As for `fit_elastic_constants`.
    relax
        Whether atoms relax under strain; without, these are the constants of clamped ions.
    fmax
        Largest force that is left, in eV/angstrom.
    steps
        Largest number of steps of a relaxation.

    Returns
    -------
    ElasticConstants
        The elastic constants.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from metatomic_ase import MetatomicCalculator
    >>> from metatomic_core.potentials import stillinger_weber
    >>> silicon = elastic_constants(bulk("Si", a=5.431), MetatomicCalculator(stillinger_weber()))
    >>> print(f"C44 = {silicon.stiffness[3, 3]:.0f} GPa")
    C44 = 56 GPa
    """
    structures = strained_structures(atoms, strain, n_points)
    points = Points(calculator)
    found = points.relax(structures, fmax, steps) if relax else points.evaluate(structures)
    return fit_elastic_constants(found, strain, n_points, symmetry=symmetry)
