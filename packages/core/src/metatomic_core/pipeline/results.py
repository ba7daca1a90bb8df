"""The table of results: what each is made from, which derivative of the energy it is, and what it is given for.

A new result that follows from the energy and its first derivatives is a row here and a line in `finish`.
"""

from typing import Dict, List, NamedTuple

from metatomic_core.data.quantities import base_quantity

from .batch import Leaves


class Result(NamedTuple):
    """One result.

    Attributes
    ----------
    per
        "system" or "atom": what it is given for.
    dimension
        "energy", "force" or "pressure": the dimension of its unit, which is made of those of the engine.
    derivative
        Of the energy: "" for none, "positions" (forces, -dE/dr), "strain" (-dE/dstrain, with strain acting as
        r @ (1 + strain)), or "pairs" (shares of atoms in -dE/dstrain, half of each pair to each of its atoms).
    over_volume
        Whether it is *minus* that derivative, divided by the volume of the cell.
    direct
        Quantity of a model that gives it without derivatives; empty where there is none.
    """

    per: str
    dimension: str
    derivative: str
    over_volume: bool
    direct: str


def result_table() -> Dict[str, Result]:
    """Give all results of the pipeline, by name."""
    return {
        "energy": Result("system", "energy", "", False, ""),
        "atomic_energies": Result("atom", "energy", "", False, ""),
        "forces": Result("atom", "force", "positions", False, "non_conservative_force"),
        "virial": Result("system", "energy", "strain", False, "non_conservative_stress"),
        "stress": Result("system", "pressure", "strain", True, "non_conservative_stress"),
        "atomic_virials": Result("atom", "energy", "pairs", False, ""),
        "atomic_stresses": Result("atom", "pressure", "pairs", True, ""),
    }


class Needs(NamedTuple):
    """What is needed of an energy for the results that are asked for.

    Attributes
    ----------
    energy
        Name of the output; empty if no result is made from an energy.
    per_atom
        Whether energies of atoms are among the results.
    gradients, cells
        Whether there is anything to differentiate, and whether with respect to cells too: forces alone are cheaper.
    pairs
        Whether shares of atoms in the virial are among the results.
    """

    energy: str
    per_atom: bool
    gradients: bool
    cells: bool
    pairs: bool


def needs_of(request: Dict[str, str], table: Dict[str, Result]) -> Needs:
    """Check what is asked for, and say what it takes.

    Parameters
    ----------
    request
        Results, each with the output that it is made from.
    table
        The table of results.

    Raises
    ------
    ValueError
        If a result is unknown, or can not be made from this output; if results are made from several energies.
    """
    energy = ""
    derivatives: List[str] = []
    for result, source in request.items():
        if result not in table:
            known = ", ".join(["'" + key + "'" for key in table.keys()])
            raise ValueError(f"expected results among {known} in `request`, got '{result}'")
        # looking names up costs more than a small tensor operation
        if source != energy:
            base = base_quantity(source)
            if base != "energy" and (base != table[result].direct or base == ""):
                sources = ["energy"]
                if table[result].direct != "":
                    sources.append(table[result].direct)
                raise ValueError(f"expected '{result}' to be made from {sources}, got '{source}'")
            if base != "energy":
                continue
            if energy != "":
                raise ValueError(f"expected one energy in `request`, got '{energy}' and '{source}'")
            energy = source
        derivatives.append(table[result].derivative)
    of_pairs = "pairs" in derivatives
    cells = of_pairs or "strain" in derivatives
    return Needs(energy, "atomic_energies" in request, cells or "positions" in derivatives, cells, of_pairs)


def leaves_for(needs: Needs, differentiates: bool) -> Leaves:
    """Say which tensors are leaves of the graph, for modules that differentiate by themselves and for others."""
    if differentiates:
        return Leaves(True, True, False, True)
    return Leaves(needs.gradients, needs.cells, needs.gradients, False)


def kinds_of(
    request: Dict[str, str], outputs: Dict[str, str], needs: Needs, table: Dict[str, Result]
) -> Dict[str, str]:
    """Give what to ask of the model: outputs with the kind of their samples.

    Parameters
    ----------
    request
        Results, each with the output that it is made from.
    outputs
        Other outputs, with the kind of their samples.
    needs, table
        What is needed of the energy, and the table of results.

    Raises
    ------
    ValueError
        If an output is wanted of two kinds.
    """
    kinds: Dict[str, str] = {}
    for result, source in request.items():
        # energies of atoms only where they are wanted themselves
        kinds[source] = table[result].per if source != needs.energy else "atom" if needs.per_atom else "system"
    for name, kind in outputs.items():
        # energies per system are made from those per atom, where both are wanted
        is_finer = kind == "atom" and name == needs.energy
        if name in kinds and kinds[name] != kind and not is_finer:
            raise ValueError(f"expected one kind of samples for output '{name}', got '{kind}' and '{kinds[name]}'")
        kinds[name] = kind
    return kinds
