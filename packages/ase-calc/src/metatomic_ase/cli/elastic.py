"""``metatomic elastic``: elastic constants and moduli."""

from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.adapters.console import columns, print_table

from ._study import RESUME_HELP, Study, output_options, relaxation_options

if TYPE_CHECKING:
    from metatomic_ase.properties.elastic import ElasticConstants

_EPILOG = f"""Constants are derivatives of the stress by the strain, in the orientation of the structure, in the order
of Voigt: xx, yy, zz, yz, xz, xy.  The structure has to be free of stress: relax it first, with `metatomic relax --cell
full --fmax 1e-4`.  With spglib, they are averaged over the point group.

Files: PREFIX.json (results), PREFIX.extxyz (the strained structures with energies, forces and stresses), and the
picture, Young's modulus by direction.

{RESUME_HELP}

\b
Examples:
  metatomic elastic silicon.pt relaxed.extxyz
  metatomic elastic silicon.pt relaxed.extxyz -o clamped --no-relax
  metatomic elastic silicon.pt relaxed.extxyz -o small --strain 0.001 --points 2 --json"""


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structure")
@click.option(
    "--strain",
    type=click.FloatRange(0, 0.2, min_open=True, max_open=True),
    metavar="X",
    default=0.005,
    show_default=True,
    help="Largest strain; shear strains are those of engineers.",
)
@click.option(
    "--points",
    type=click.Choice(["2", "4"]),
    default="4",
    show_default=True,
    help="Strains of each component; with 4, the error is of fourth order in the strain.",
)
@click.option("--symmetry/--no-symmetry", default=True, show_default=True, help="Whether to average by symmetry.")
@relaxation_options("under strain; clamped ions if not", "0.0001")
@output_options("elastic")
def elastic(**given: Any) -> None:
    """Compute the elastic constants of STRUCTURE with MODEL.

    STRUCTURE is a crystal, in a file of any format that ASE reads.
    """
    study = Study("elastic", given, (".json", ".extxyz"))

    from metatomic_ase.properties.elastic import fit_elastic_constants, strained_structures

    from ._pictures import elastic_constants

    calc, atoms, origin = study.read()
    strain, n_points = given["strain"], int(given["points"])
    structures = strained_structures(atoms, strain, n_points)
    computed = study.computed(structures, calc, study.settings(origin, atoms), "strain")
    found = fit_elastic_constants(computed, strain, n_points, symmetry=given["symmetry"])
    _warn(found, given["symmetry"])
    data = {"origin": origin, "formula": atoms.get_chemical_formula(), **_data(found)}
    study.write_structures(computed, origin)
    if found.is_stable:
        study.draw(lambda: elastic_constants(found))
    study.write_json(data)
    study.finish(data, lambda: _report(found, study), calc)


def _warn(found: "ElasticConstants", wants_symmetry: bool) -> None:
    import warnings

    import numpy as np

    from metatomic_ase.properties.elastic import LARGE_STRESS

    largest = float(np.abs(found.stress).max())
    if largest > LARGE_STRESS:
        warnings.warn(
            f"expected a structure without stress, got {largest:.3g} GPa, so these are not its elastic constants at "
            "equilibrium; relax it first with `metatomic relax --cell full`",
            stacklevel=2,
        )
    if wants_symmetry and found.point_group is None:
        warnings.warn(
            "expected spglib to find the symmetry, got none, so constants are not averaged; pip install spglib",
            stacklevel=2,
        )
    if not found.is_stable:
        warnings.warn(
            f"expected positive eigenvalues of the stiffness, got {found.eigenvalues[0]:.3g} GPa: the crystal is not "
            "stable, and its moduli and the picture of them have no meaning",
            stacklevel=2,
        )


def _data(found: "ElasticConstants") -> dict[str, Any]:
    group = found.point_group
    symmetry = None
    if group is not None:
        symmetry = {
            "space_group": group.space_group,
            "point_group": group.name,
            "independent_constants": group.n_constants,
        }
    return {
        "stiffness_GPa": found.stiffness,
        "compliance_1_per_GPa": found.compliance,
        "stiffness_as_computed_GPa": found.computed,
        "asymmetry_GPa": found.asymmetry,
        "stress_of_structure_GPa": found.stress,
        "symmetry": symmetry,
        "averages_GPa": found.averages(),
        "universal_anisotropy": found.universal_anisotropy,
        "eigenvalues_GPa": found.eigenvalues,
        "is_stable": found.is_stable,
    }


def _report(found: "ElasticConstants", study: Study) -> None:
    table = columns("C [GPa]", *"123456")
    for number, row in enumerate(found.stiffness, start=1):
        table.add_row(str(number), *(f"{value + 0.0:.2f}" for value in row.round(2)))
    print_table(table)
    table = columns("", "Voigt", "Reuss", "Hill")
    averages = found.averages()
    for key, label, form in _MODULI:
        table.add_row(label, *(format(averages[kind][key], form) for kind in ("voigt", "reuss", "hill")))
    print_table(table)
    table = columns()
    if found.point_group is not None:
        group = found.point_group
        table.add_row("symmetry", f"{group.space_group}, {group.name}, {group.n_constants} independent constants")
    table.add_row("largest asymmetry [GPa]", f"{found.asymmetry:.2g}")
    table.add_row("universal anisotropy", f"{found.universal_anisotropy:.3f}")
    table.add_row("stable (Born)", "yes" if found.is_stable else "NO")
    table.add_row("written", study.written())
    print_table(table)


_MODULI = (
    ("bulk", "bulk modulus [GPa]", ".2f"),
    ("shear", "shear modulus [GPa]", ".2f"),
    ("young", "Young's modulus [GPa]", ".2f"),
    ("poisson", "Poisson's ratio", ".4f"),
)
