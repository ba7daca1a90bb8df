"""Tables of D3, from the package ``tad-dftd3``, which has them from those who published the method.

They are 4 MB for all pairs of elements, of which a model takes those of its own: so that package is needed to make a
model, and not to run it.
"""

import difflib
from typing import Dict, List, NamedTuple, Tuple

import torch

from metatomic_core.foundation.elements import SYMBOLS
from metatomic_core.foundation.quoting import in_one_line

# C6 are known up to there: plutonium
LAST_ELEMENT = 94
# what a method may be called that somebody mistyped
_USUAL = ("pbe", "pbe0", "pbesol", "revpbe", "rpbe", "blyp", "b3lyp", "bp", "tpss", "scan", "r2scan", "b97d", "hf")
_MISSING = "expected the package tad-dftd3, which has the tables of D3, got none; run `pip install tad-dftd3`"


class Tables(NamedTuple):
    """What D3 knows of elements, in atomic units; the order of elements is that of the species asked for.

    Attributes
    ----------
    c6
        Coefficients between atoms in reference molecules, shape (n, n, references, references).
    coordination
        Coordination numbers in these molecules, shape (n, references); negative where there is none.
    radii
        Covalent radii times 4/3, shape (n,).
    ratios
        Square root of half of sqrt(Z) <r^4> / <r^2>, shape (n,).
    """

    c6: torch.Tensor
    coordination: torch.Tensor
    radii: torch.Tensor
    ratios: torch.Tensor


def tables(species: List[int]) -> Tables:
    """Give the tables of some elements.

    Raises
    ------
    ImportError
        If the package with the tables is missing.
    ValueError
        If an element is beyond the last one that D3 knows.
    """
    for number in species:
        if number > LAST_ELEMENT:
            raise ValueError(
                f"expected `species` up to {SYMBOLS[LAST_ELEMENT - 1]}, which D3 knows, got {SYMBOLS[number - 1]}"
            )
    try:
        from tad_dftd3.data import R4R2
        from tad_dftd3.reference import Reference
        from tad_mctc.data.radii import COV_D3
    except ImportError as error:
        raise ImportError(_MISSING) from error
    reference, index = Reference(dtype=torch.float64), torch.tensor(species)
    return Tables(
        reference.c6[index][:, index].clone(),
        reference.cn[index].clone(),
        COV_D3(dtype=torch.float64)[index],
        R4R2(dtype=torch.float64)[index],
    )


def damping(functional: str) -> Tuple[Dict[str, float], str]:
    """Give the parameters of damping after Becke and Johnson for a functional, and where they were published.

    Raises
    ------
    ImportError
        If the package with the tables is missing.
    ValueError
        If it does not know the functional, or not with this damping.
    """
    try:
        from tad_dftd3.param import get_functional_params
    except ImportError as error:
        raise ImportError(_MISSING) from error
    try:
        found = get_functional_params(functional, "bj", keep_meta=True, dtype=torch.float64)
    except (KeyError, ValueError) as error:
        nearest = difflib.get_close_matches(functional.lower(), _USUAL, n=1)
        hint = f"; did you mean '{nearest[0]}'" if nearest else ""
        raise ValueError(
            f"expected `functional` with parameters of Becke-Johnson damping, such as {', '.join(_USUAL[:5])}, got "
            f"'{in_one_line(functional, 40)}'{hint}; or give the parameters"
        ) from error
    return {name: float(found[name]) for name in ("s6", "s8", "a1", "a2")}, str(found.get("doi", ""))
