"""``metatomic phonons``: bands, density of states, and thermal properties."""

import warnings
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.adapters.console import columns, print_table
from metatomic_core.adapters.quantity import Quantity

from ._study import RESUME_HELP, Study, output_options

if TYPE_CHECKING:
    from metatomic_ase.properties.phonons import Bands, Phonons, Thermal

_EPILOG = f"""This needs phonopy: pip install "metatomic-ase[phonons]".  The structure has to be at its minimum: relax
it first, with `metatomic relax --cell full --fmax 1e-4`.  Imaginary frequencies are given as negative ones.

Files: PREFIX.phonopy.yaml (cells, displacements and forces; `phonopy-load` reads it),
PREFIX.band.yaml (bands; `phonopy-bandplot` reads it), PREFIX.json (results), PREFIX.extxyz (the supercell and its
displaced copies with forces), and the picture.

{RESUME_HELP}

\b
Examples:
  metatomic phonons silicon.pt relaxed.extxyz
  metatomic phonons silicon.pt relaxed.extxyz --supercell 5 5 5 --path GXWKGL,UX --picture png
  metatomic phonons silicon.pt relaxed.extxyz -o fine --mesh "120 A" --displacement "0.005 A" """

# angstrom
_LENGTH = 15.0
# eV/angstrom; above which the structure is not at its minimum
_LARGE_FORCE = 0.01
_MOST_KELVIN, _STEP_KELVIN = 1000, 10


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structure")
@click.option(
    "--supercell",
    type=click.IntRange(min=1),
    nargs=3,
    metavar="N N N",
    help=f"How often the cell is repeated.  [default: so that it is {_LENGTH:g} Å wide]",
)
@click.option(
    "--displacement", type=Quantity("angstrom", "0.01 A"), default="0.01", show_default=True, help="In Å or with unit."
)
@click.option("--symmetry/--no-symmetry", default=True, show_default=True, help="Whether symmetry saves displacements.")
@click.option("--path", metavar="POINTS", help="Path of bands, such as GXWKGL,UX.  [default: all lines of the lattice]")
@click.option(
    "--mesh",
    type=Quantity("angstrom", "60 A"),
    default="60",
    show_default=True,
    help="Fineness of the mesh of the density of states, as a length in Å.",
)
@output_options("phonons")
def phonons(**given: Any) -> None:
    """Compute the phonons of STRUCTURE with MODEL.

    STRUCTURE is a crystal, in a file of any format that ASE reads.
    """
    from metatomic_ase.properties.displacements import check_phonopy, displaced_structures, repeats_for_length
    from metatomic_ase.properties.phonons import fit_phonons

    check_phonopy()
    study = Study("phonons", given, (".json", ".phonopy.yaml", ".band.yaml", ".extxyz"))

    from ._pictures import phonons as picture

    calc, atoms, origin = study.read()
    repeats = given["supercell"] or repeats_for_length(atoms, _LENGTH)
    phonon, structures = displaced_structures(atoms, repeats, given["displacement"], symmetry=given["symmetry"])
    computed = study.computed(structures, calc, study.settings(origin, atoms), "displacement")
    found = fit_phonons(phonon, computed)
    bands = found.bands(given["path"])
    dos = found.density_of_states(given["mesh"])
    thermal = found.thermal(_temperatures())
    data = {
        "origin": origin,
        "formula": atoms.get_chemical_formula(),
        "supercell": list(repeats),
        "n_displacements": len(structures) - 1,
        **_data(found, bands, thermal),
        "density_of_states": {"frequency_THz": dos[0], "modes_per_THz": dos[1]},
    }
    _warn(data)
    study.write_structures(computed, origin)
    study.write_with(".phonopy.yaml", phonon.save)
    study.write_with(".band.yaml", lambda path: phonon.write_yaml_band_structure(filename=path))
    study.draw(lambda: picture(bands, dos))
    study.write_json(data)
    study.finish(data, lambda: _report(data, study), calc)


def _temperatures() -> Any:
    import numpy as np

    return np.arange(0.0, _MOST_KELVIN + 1, _STEP_KELVIN)


def _data(found: "Phonons", bands: "Bands", thermal: "Thermal") -> dict[str, Any]:
    lowest, point, part = found.lowest()
    return {
        "n_atoms_primitive": len(found.phonopy.primitive),
        "residual_force_eV_per_A": found.residual_force,
        "acoustic_sum_eV_per_A2": found.acoustic_sum,
        "gamma_THz": found.frequencies([0.0, 0.0, 0.0])[0],
        "highest_THz": max(float(one.max()) for one in bands.frequencies),
        "imaginary": {"lowest_THz": lowest, "at": point, "part_of_modes": part, "lowest_of_bands_THz": _lowest(bands)},
        "bands": [
            {
                "from": labels[0],
                "to": labels[1],
                "points": points,
                "distance_1_per_A": distances,
                "frequency_THz": values,
            }
            for labels, points, distances, values in zip(
                bands.labels, bands.points, bands.distances, bands.frequencies, strict=True
            )
        ],
        "thermal": {
            "temperature_K": thermal.temperatures,
            "free_energy_kJ_per_mol": thermal.free_energy,
            "entropy_J_per_K_mol": thermal.entropy,
            "heat_capacity_J_per_K_mol": thermal.heat_capacity,
        },
    }


def _lowest(bands: "Bands") -> float:
    return min(float(one.min()) for one in bands.frequencies)


def _warn(data: dict[str, Any]) -> None:
    from metatomic_ase.properties.phonons import IMAGINARY

    if data["residual_force_eV_per_A"] > _LARGE_FORCE:
        warnings.warn(
            f"expected a structure at its minimum, got a force of {data['residual_force_eV_per_A']:.3g} eV/Å; relax it "
            "first with `metatomic relax --fmax 1e-4`",
            stacklevel=2,
        )
    imaginary = data["imaginary"]
    lowest = min(imaginary["lowest_THz"], imaginary["lowest_of_bands_THz"])
    if lowest < IMAGINARY:
        warnings.warn(
            f"expected real frequencies, got imaginary ones down to {abs(lowest):.3g}i THz, "
            f"{100 * imaginary['part_of_modes']:.2g} % of the modes of the mesh, which thermal properties leave out: "
            "the crystal is not stable, not relaxed, or the supercell is too small",
            stacklevel=2,
        )


def _report(data: dict[str, Any], study: Study) -> None:
    table = columns()
    rows = (
        ("supercell", " ".join(map(str, data["supercell"]))),
        ("displacements", str(data["n_displacements"])),
        ("largest force without displacement [eV/Å]", f"{data['residual_force_eV_per_A']:.2g}"),
        ("violation of the acoustic sum rule [eV/Å^2]", f"{data['acoustic_sum_eV_per_A2']:.2g}"),
        ("frequencies at the center [THz]", " ".join(f"{value + 0.0:.3f}" for value in data["gamma_THz"].round(3))),
        ("highest frequency of the bands [THz]", f"{data['highest_THz']:.3f}"),
        ("imaginary modes of the mesh", f"{100 * data['imaginary']['part_of_modes']:.2g} %"),
    )
    for label, text in rows:
        table.add_row(label, text)
    thermal = data["thermal"]
    room = int(abs(thermal["temperature_K"] - 300).argmin())
    for label, unit, name, row in (
        ("zero-point energy", "kJ/mol", "free_energy_kJ_per_mol", 0),
        ("free energy at 300 K", "kJ/mol", "free_energy_kJ_per_mol", room),
        ("entropy at 300 K", "J/K/mol", "entropy_J_per_K_mol", room),
        ("heat capacity at 300 K", "J/K/mol", "heat_capacity_J_per_K_mol", room),
    ):
        table.add_row(f"{label} [{unit} of primitive cells]", f"{thermal[name][row]:.4f}")
    table.add_row("written", study.written())
    print_table(table)
