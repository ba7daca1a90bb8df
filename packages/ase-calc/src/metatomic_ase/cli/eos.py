"""``metatomic eos``: equation of state, with volume, bulk modulus and its derivative."""

from typing import Any

import click

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.adapters.console import columns, print_table

from ._study import RESUME_HELP, Study, output_options, relaxation_options

_EPILOG = f"""The cell keeps its shape while its volume changes: relax it first, with `metatomic relax --cell full`.
The equation is that of Birch and Murnaghan, of third order.

Files: PREFIX.json (results), PREFIX.extxyz (the points with energies, forces and stresses), and the picture.

{RESUME_HELP}

\b
Examples:
  metatomic eos silicon.pt relaxed.extxyz
  metatomic eos silicon.pt relaxed.extxyz -o wide --strain 0.05 --points 15
  metatomic eos silicon.pt relaxed.extxyz -o clamped --no-relax --picture png"""


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structure")
@click.option(
    "--strain",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    metavar="X",
    default=0.02,
    show_default=True,
    help="Largest relative change of the lengths of the cell; volumes change three times as much.",
)
@click.option(
    "--points", type=click.IntRange(5, 1000), metavar="N", default=11, show_default=True, help="Number of volumes."
)
@relaxation_options("at each volume", "0.001")
@output_options("eos")
def eos(**given: Any) -> None:
    """Compute the equation of state of STRUCTURE with MODEL.

    STRUCTURE is a crystal, in a file of any format that ASE reads.
    """
    study = Study("eos", given, (".json", ".extxyz"))

    from metatomic_ase.properties.equation_of_state import fit_equation_of_state, scaled_structures

    from ._pictures import equation_of_state

    calc, atoms, origin = study.read()
    structures = scaled_structures(atoms, given["strain"], given["points"])
    found = study.computed(structures, calc, study.settings(origin, atoms), "volume")
    fitted = fit_equation_of_state(found)
    data = {"origin": origin, **_data(fitted, atoms)}
    study.write_structures(found, origin)
    study.draw(lambda: equation_of_state(fitted, len(atoms)))
    study.write_json(data)
    study.finish(data, lambda: _report(data, study), calc)


def _data(found: Any, atoms: Any) -> dict[str, Any]:
    scale = (found.volume / atoms.get_volume()) ** (1 / 3)
    n_atoms = len(atoms)
    return {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": n_atoms,
        "volume_A3": found.volume,
        "volume_per_atom_A3": found.volume / n_atoms,
        "cell_lengths_A": (scale * atoms.cell.lengths()).tolist(),
        "energy_eV": found.energy,
        "energy_per_atom_eV": found.energy / n_atoms,
        "bulk_modulus_GPa": found.bulk_modulus,
        "bulk_modulus_derivative": found.derivative,
        "residual_meV_per_atom": 1000 * found.residual / n_atoms,
        "points": {
            "volume_A3": found.volumes,
            "energy_eV": found.energies,
            "pressure_of_fit_GPa": found.pressure_at(found.volumes),
        },
    }


# key of `_data`, label, format
_LINES = (
    ("volume_per_atom_A3", "volume V0 [Å^3 per atom]", ".5f"),
    ("energy_per_atom_eV", "energy E0 [eV per atom]", ".6f"),
    ("bulk_modulus_GPa", "bulk modulus B0 [GPa]", ".3f"),
    ("bulk_modulus_derivative", "derivative B0'", ".3f"),
    ("residual_meV_per_atom", "residual [meV per atom]", ".3g"),
)


def _report(data: dict[str, Any], study: Study) -> None:
    table = columns()
    for key, label, form in _LINES:
        table.add_row(label, format(data[key], form))
    table.add_row("cell lengths at V0 [Å]", " ".join(f"{length:.5f}" for length in data["cell_lengths_A"]))
    table.add_row("written", study.written())
    print_table(table)
