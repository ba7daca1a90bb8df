"""Files of the structures of findings, which ASE and OVITO show."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metatomic_core.adapters import replaced_when_done
from metatomic_core.engine import Structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ase

    from .report import Configuration, Report


def input_key(name: str) -> str:
    """Give the name of an input in files: what follows the last "::", in letters that they allow.

    Parameters
    ----------
    name
        Name of an input.

    Returns
    -------
    str
        The name.
    """
    return re.sub(r"\W", "_", name.rpartition("::")[2])


def as_atoms(structure: Structure, energy: float | None = None, forces: np.ndarray | None = None) -> "ase.Atoms":
    """Give a structure as ASE has it, with results where there are some.

    Parameters
    ----------
    structure
        The structure; types that are no elements become "X", and an array ``atomic_types``.
    energy, forces
        What the model gives.

    Returns
    -------
    ase.Atoms
        The structure.
    """
    import ase
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.data import chemical_symbols

    is_element = structure.types < len(chemical_symbols)
    atoms = ase.Atoms(
        np.where(is_element, structure.types, 0), structure.positions, cell=structure.cell, pbc=structure.pbc
    )
    if not is_element.all():
        atoms.set_array("atomic_types", structure.types)
    results = {name: value for name, value in (("energy", energy), ("forces", forces)) if value is not None}
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def configuration_atoms(configuration: "Configuration") -> "ase.Atoms":
    """Give a configuration as ASE has it, with its inputs under their names, and with what it is.

    Parameters
    ----------
    configuration
        The configuration.

    Returns
    -------
    ase.Atoms
        The structure; inputs are in the units of the model, as `checked_structures` reads them again.
    """
    structure = configuration.structure
    atoms = as_atoms(structure, configuration.energy, configuration.forces)
    for name, values in structure.inputs.items():
        if np.ndim(values) > 0 and len(values) == len(atoms):
            atoms.set_array(input_key(name), np.asarray(values))
        else:
            atoms.info[input_key(name)] = np.asarray(values).tolist()
    labels = {"check": configuration.check, "part": configuration.part, "structure": configuration.name}
    atoms.info.update({key: text for key, text in labels.items() if text})
    return atoms


def extended_xyz(configurations: "Sequence[Configuration]") -> str:
    """Give configurations as the text of an extended XYZ file, for ASE and OVITO.

    Parameters
    ----------
    configurations
        The configurations, one frame each.

    Returns
    -------
    str
        The text.
    """
    import ase.io

    text = io.StringIO()
    ase.io.write(text, [configuration_atoms(one) for one in configurations], format="extxyz")
    return text.getvalue()


def file_names(report: "Report") -> "dict[str, list[Configuration]]":
    """Give the files that the configurations of a report are saved to, one for each finding.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    dict
        Configurations by the name of the file, which says check and part.
    """
    files: dict[str, list[Configuration]] = {}
    for configuration in report.configurations:
        parts = [configuration.check, *([configuration.part] if configuration.part else [])]
        files.setdefault("_".join(map(_slug, parts)) + ".extxyz", []).append(configuration)
    return files


def save_configurations(report: "Report", folder: Path) -> list[Path]:
    """Save the configurations of a report.

    Parameters
    ----------
    report
        The report.
    folder
        Where; it is made if it does not exist.

    Returns
    -------
    list of Path
        The files.
    """
    files = file_names(report)
    if files:
        folder.mkdir(parents=True, exist_ok=True)
    for name, configurations in files.items():
        with replaced_when_done(folder / name) as path:
            path.write_text(extended_xyz(configurations), "utf-8")
    return [folder / name for name in files]


def _slug(text: str) -> str:
    """Give a text as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-.")[:60] or "x"
