"""``metatomic eval``: energies, forces and stresses of many structures, in batches."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import click

from metatomic_core.cli._common import checked_output, columns, force_option, json_option, print_json, print_table

from ._common import calculator, model_options, structure_options

if TYPE_CHECKING:
    import ase

    from metatomic_ase import MetatomicCalculator

_EPILOG = """\b
Examples:
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz
  metatomic eval silicon.pt run.traj -o last.extxyz --index -10: --batch-size 32
  metatomic eval silicon.pt structures.xyz --json

The output keeps all that the input says about the structures, and has energy (eV), forces (eV/Å) and stress (eV/Å^3,
tension positive, for periodic structures) in the place of those of the input."""


@click.command("eval", epilog=_EPILOG)
@click.argument("model")
@click.argument("structures")
@click.option("-o", "--output", metavar="FILE", help="File to write; its suffix gives the format: .extxyz, .traj, ...")
@click.option("--index", default=":", show_default=True, help="Which structures: 0, -1, :100, ::10.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", default=16, show_default=True, help="Structures at a time."
)
@structure_options
@model_options
@force_option
@json_option
def evaluate(
    model: str,
    structures: str,
    output: Optional[str],
    index: str,
    batch_size: int,
    file_format: Optional[str],
    force: bool,
    as_json: bool,
    **model_arguments: Any,
) -> None:
    """Compute energies, forces and stresses of STRUCTURES with MODEL.

    STRUCTURES is a file of any format that ASE reads.
    """
    if output is None and not as_json:
        raise click.UsageError("expected -o FILE or --json, got neither")
    path = None if output is None else checked_output(output, force)
    calc = calculator(model, model_arguments, uncertainty_threshold=None)

    from ._structures import check_species, read_structures

    images = read_structures(structures, file_format, index)
    check_species(images, calc.capabilities().atomic_types, structures)
    if path is not None:
        _check_format(path, len(images))
    evaluated, seconds = _evaluate(calc, images, batch_size, structures)
    if path is not None:
        from ._structures import write_structures

        write_structures(path, evaluated)
    if as_json:
        print_json([_data(atoms) for atoms in evaluated])
        return
    _report(evaluated, images, seconds, path)


def _check_format(path: Path, n_structures: int) -> None:
    import warnings

    from ._structures import KEEPS_RESULTS, output_format

    name = output_format(path, n_structures)
    if name not in KEEPS_RESULTS:
        warnings.warn(
            f"expected a format that holds energies and forces, such as .extxyz, got '{path}' ({name}), which may not",
            stacklevel=2,
        )


def _evaluate(
    calc: "MetatomicCalculator", images: "Sequence[ase.Atoms]", batch_size: int, source: str
) -> "tuple[List[ase.Atoms], float]":
    """Give copies of the structures with their results, and the time it took in seconds."""
    from metatomic_ase._convert import voigt

    from ._progress import Progress
    from ._structures import with_results

    evaluated: List[ase.Atoms] = []
    with Progress("structure", len(images)) as progress:
        for start in range(0, len(images), batch_size):
            batch = list(images[start : start + batch_size])
            results = _batch(calc, batch, start, source)
            stresses = results.get("stress", [None] * len(batch))
            for atoms, energy, forces, stress in zip(batch, results["energy"], results["forces"], stresses):
                values = {"energy": energy, "forces": forces, "stress": None if stress is None else voigt(stress)}
                evaluated.append(with_results(atoms, values))
            progress.update(len(evaluated), f"{progress.rate(len(evaluated)):.3g} structures/s")
        return evaluated, progress.elapsed


def _batch(calc: "MetatomicCalculator", batch: "List[ase.Atoms]", start: int, source: str) -> Dict[str, List[Any]]:
    """Evaluate a batch; if that fails find the structure that is the reason."""
    try:
        return calc.compute_energy(batch, compute_forces_and_stresses=True)
    except ValueError:
        for index, atoms in enumerate(batch):
            try:
                calc.compute_energy([atoms], compute_forces_and_stresses=True)
            except ValueError as error:
                raise ValueError(f"structure {start + index} of '{source}': {error}") from error
        raise


def _data(atoms: "ase.Atoms") -> Dict[str, Any]:
    results = atoms.calc.results
    return {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "energy_eV": results["energy"],
        "forces_eV_per_A": results["forces"],
        "stress_eV_per_A3": results.get("stress"),
    }


def _report(
    evaluated: "Sequence[ase.Atoms]", images: "Sequence[ase.Atoms]", seconds: float, path: Optional[Path]
) -> None:
    """Print what was done, and how far it is from energies and forces that the input has."""
    import numpy as np

    n_atoms = np.array([len(atoms) for atoms in evaluated])
    energies = np.array([atoms.calc.results["energy"] for atoms in evaluated]) / n_atoms
    table = columns()
    table.add_row("structures", f"{len(evaluated)} ({n_atoms.sum()} atoms) in {seconds:.3g} s")
    spread = f"{energies.mean():.6f} eV per atom"
    if len(evaluated) > 1:
        spread += f" on average, from {energies.min():.6f} to {energies.max():.6f}"
    table.add_row("energy", spread)
    table.add_row("largest force", f"{max(np.abs(atoms.calc.results['forces']).max() for atoms in evaluated):.6g} eV/Å")
    given = [atoms.calc.results if atoms.calc is not None else {} for atoms in images]
    if all("energy" in results for results in given):
        errors = energies - np.array([results["energy"] for results in given]) / n_atoms
        table.add_row("against the input", f"energy RMSE {1000 * np.sqrt((errors**2).mean()):.4g} meV per atom")
    if all("forces" in results for results in given):
        errors = np.concatenate(
            [atoms.calc.results["forces"] - results["forces"] for atoms, results in zip(evaluated, given)]
        )
        table.add_row("", f"force RMSE {1000 * np.sqrt((errors**2).mean()):.4g} meV/Å")
    table.add_row("written", str(path))
    print_table(table)
