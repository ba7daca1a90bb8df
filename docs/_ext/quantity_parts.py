"""Standard quantities, from the table that checks, files and engines use."""

from rst import code, heading, plain, table

from metatomic_ase._convert import SOURCES as OF_ASE
from metatomic_ase._requests import FROM_OUTPUT
from metatomic_core.adapters.inputs import ALWAYS_KNOWN as OF_IPI
from metatomic_core.data.quantities import Quantity, plural_names, standard_quantities
from metatomic_core.units import unit_dimension
from metatomic_lammps.inputs import _UNITS as OF_LAMMPS

# what a quantity is, and who uses it as an output; those of whom nothing is said are outputs to ask for, see OTHER
ABOUT = {
    "energy": (
        "The potential energy. Forces, virials and stresses are its derivatives, which the pipeline takes.",
        "all engines",
    ),
    "energy_ensemble": (
        "Energies of the members of an ensemble of models.",
        "ASE: ``get_ensemble``; i-PI: ``--committee``; LAMMPS: ``output energy_ensemble`` and ``compute pair``",
    ),
    "energy_uncertainty": (
        "The standard deviation that the model expects of its energy; not negative.",
        "ASE, LAMMPS: ``uncertainty_threshold``; ASE: ``get_energy_uncertainty``; i-PI: ``--max-uncertainty``",
    ),
    "feature": (
        "Numbers that describe an atom and its neighbors, or a structure: descriptors, representations.",
        "ASE: ``get_features``",
    ),
    "non_conservative_force": (
        "Forces that the model predicts itself, which are no derivatives of its energy. Engines remove their mean.",
        "ASE, i-PI, LAMMPS: ``non_conservative``",
    ),
    "non_conservative_stress": (
        "The stress that the model predicts itself, with the sign of all stresses: tension is positive.",
        "ASE, i-PI, and LAMMPS on one rank: ``non_conservative``",
    ),
    "position": ("Positions that a model predicts, such as those after a time step. Only an output.", ""),
    "momentum": ("Mass times velocity.", ""),
    "velocity": ("Velocities.", ""),
    "mass": ("Masses of atoms.", ""),
    "charge": ("The charge of an atom, or that of the structure.", "{ase}; i-PI: ``--extra charges``"),
    "dipole": ("The electric dipole moment; it points to the positive charge.", "{ase}; i-PI: ``--extra dipole``"),
    "magnetic_moment": (
        "One number, along one axis for all atoms or without a sign: the sum may not be the moment of the structure.",
        "{ase}",
    ),
    "heat_flux": ("The flux of energy times the volume: an energy times a velocity.", ""),
    "spin_multiplicity": ("2 S + 1: 1 for a closed shell.", ""),
}
OTHER = (
    "where it is asked for: ``additional_outputs`` of ASE, ``--extra`` of i-PI (of structures), ``fix pair`` and "
    "``compute pair`` of LAMMPS"
)
SAMPLES = {"system": "``system``: a row for each structure", "atom": "``system, atom``: a row for each atom"}
# symbols that make a unit to give as an example of each dimension
EXAMPLES = {
    "energy": "eV",
    "force": "eV/angstrom",
    "pressure": "eV/angstrom^3",
    "length": "angstrom",
    "momentum": "u*angstrom/fs",
    "velocity": "angstrom/fs",
    "mass": "u",
    "charge": "e",
    "dipole": "e*angstrom",
    "magnetic_moment": "mu_B",
    "heat_flux": "eV*angstrom/fs",
}


def overview() -> str:
    """Give the table of all quantities."""
    rows = [
        [f":ref:`{name} <quantity-{name}>`", _words(one.dimension), _kinds(one), _components(one)]
        for name, one in standard_quantities().items()
    ]
    return table(["name", "dimension", "samples", "components"], rows, [30, 20, 30, 20])


def contracts() -> str:
    """Give a section for each quantity."""
    missing = set(standard_quantities()) ^ set(ABOUT)
    if missing:
        raise ValueError(f"expected a row of ABOUT for each standard quantity, got other names: {sorted(missing)}")
    return "\n".join(_contract(name, one) for name, one in standard_quantities().items())


def plurals() -> str:
    """Give the sentence on the older spellings."""
    listed = code(*plural_names())
    return (
        f"The older plural spellings ({listed}) are accepted, and the answer comes under the name that was asked for."
    )


def _contract(name: str, one: Quantity) -> str:
    about, used = ABOUT[name]
    older = [plural for plural, singular in plural_names().items() if singular == name]
    rows = [
        ["unit", _unit(one.dimension)],
        ["keys", "``_`` = 0: one block"],
        ["samples", "\n\n".join(f"{SAMPLES[kind]}" for kind in one.sample_kinds)],
        ["components", _components(one, " = 0, 1, 2")],
        ["properties", _properties(one)],
        ["explicit gradients", code(*one.explicit_gradients) or "none"],
        *([["older name", code(*older)]] if older else []),
        ["as an output", used.format(ase=_property_of_ase(name)) if used else OTHER],
        ["as an input", _inputs(name)],
    ]
    return f"\n.. _quantity-{name}:\n{heading(code(name), '~')}\n{about}\n\n{table([], rows, [25, 75])}"


def _unit(dimension: str) -> str:
    if dimension == "none":
        return "none"
    example = EXAMPLES[dimension]
    if unit_dimension(example) != dimension:
        raise ValueError(f"expected an example of dimension {dimension}, got '{example}'")
    return f"of {_words(dimension)}, such as ``{example}``"


def _words(dimension: str) -> str:
    return dimension.replace("_", " ")


def _kinds(one: Quantity) -> str:
    return " or ".join({"system": "``system``", "atom": "``system, atom``"}[kind] for kind in one.sample_kinds)


def _components(one: Quantity, values: str = "") -> str:
    return ", ".join(f"``{name}``{values}" for name in one.components) or "none"


def _properties(one: Quantity) -> str:
    if not one.property_name:
        return "chosen by the model"
    return f"``{one.property_name}`` = 0" + ("" if one.n_properties else " … members - 1")


def _property_of_ase(name: str) -> str:
    return "; ".join(f"ASE: ``{prop}``" for prop, (output, _, _) in FROM_OUTPUT.items() if output == name)


def _inputs(name: str) -> str:
    found = [
        f"{engine}, of each {'structure' if kind == 'system' else 'atom'}: {plain(source.where)}"
        for engine, sources in (("ASE", OF_ASE), ("i-PI, from its template", OF_IPI))
        for (known, kind), source in sources.items()
        if known == name
    ]
    found += ["LAMMPS, of each atom: the atoms"] if name in OF_LAMMPS else []
    found += ["GROMACS 2026, of the structure: ``nnp-charge``"] if name == "charge" else []
    return "; ".join(found) or "no engine gives it"
