"""Tables of D3, from the package ``tad-dftd3``, by those who published the method.

They hold 4 MB for all pairs of elements, of which a model takes those of its own.  The package is needed to make a
model, not to run it.
"""

import difflib
import sys
from importlib.resources import files
from typing import Any, Dict, List, NamedTuple, Tuple

import torch

from metatomic_core.foundation.quoting import in_one_line
from metatomic_core.units import unit_conversion_factor

from ._setup import symbol

if sys.version_info >= (3, 11):
    import tomllib

_MISSING = (
    "expected the package 'tad-dftd3', which has the tables of D3, got none; run "
    "`pip install 'metatomic-core[dispersion]'`"
)
# of a hundred that are known, for messages
_USUAL = "pbe, pbesol, r2scan, b3lyp"
PARAMETERS = ("s6", "s8", "a1", "a2")


class Tables(NamedTuple):
    """What D3 knows of elements, in atomic units, in the order of the species asked for.

    Attributes
    ----------
    c6
        Coefficients between atoms in reference molecules, shape (n, n, n_references, n_references).
    coordination
        Coordination numbers in these molecules, shape (n, n_references); negative where there is none.
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
    try:
        from tad_dftd3.data import R4R2
        from tad_dftd3.reference import Reference
        from tad_mctc.data.radii import COV_D3
        from tad_mctc.units.length import AU2AA
    except ImportError as error:
        raise ImportError(_MISSING) from error
    reference, index = Reference(dtype=torch.float64), torch.tensor(species)
    # the first row is for no element
    last = reference.cn.shape[0] - 1
    beyond = [symbol(number) for number in species if number > last]
    if beyond:
        raise ValueError(f"expected `species` up to {symbol(last)}, the last that D3 knows, got {', '.join(beyond)}")
    # published in angstrom: not with the bohr of that package, which has fewer digits
    radii = COV_D3(dtype=torch.float64)[index] * AU2AA * unit_conversion_factor("angstrom", "bohr")
    return Tables(
        reference.c6[index][:, index].clone(),
        reference.cn[index].clone(),
        radii,
        R4R2(dtype=torch.float64)[index],
    )


def damping(functional: str) -> Tuple[Dict[str, float], str]:
    """Give the parameters of Becke-Johnson damping for a functional, with a2 in bohr, and the DOI of their paper.

    Raises
    ------
    ImportError
        If the package with the tables is missing.
    ValueError
        If it does not know the functional, or not with this damping.
    """
    data = _toml("parameters.toml")
    known = {name: entry["d3"]["bj"] for name, entry in data["parameter"].items() if "bj" in entry.get("d3", {})}
    aliases = {name: method for name, method in _toml("aliases.toml")["alias"].items() if method in known}
    # names in the tables are without the dashes of papers, but for a few
    name = functional.lower()
    name = name if name in known else name.replace("-", "")
    if name not in known and name not in aliases:
        nearest = difflib.get_close_matches(name, [*known, *aliases], n=1)
        hint = f"; did you mean '{nearest[0]}'" if nearest else f"; give its {', '.join(PARAMETERS)} instead"
        got = in_one_line(functional, 40)
        raise ValueError(f"expected `functional` with Becke-Johnson damping, such as {_USUAL}, got '{got}'{hint}")
    found = {**data["default"]["parameter"]["d3"]["bj"], **known[aliases.get(name, name)]}
    return {parameter: float(found[parameter]) for parameter in PARAMETERS}, str(found.get("doi", ""))


def _toml(name: str) -> Dict[str, Any]:
    try:
        folder = files("tad_dftd3.param")
    except ImportError as error:
        raise ImportError(_MISSING) from error
    return _loads(folder.joinpath(name).read_text(encoding="utf-8"))


def _loads(text: str) -> Dict[str, Any]:
    # before Python 3.11 by the package that tad-dftd3 requires there
    if sys.version_info >= (3, 11):
        return tomllib.loads(text)
    import tomli

    return tomli.loads(text)
