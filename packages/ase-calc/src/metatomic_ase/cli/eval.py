"""``metatomic eval``: energies, forces and stresses of many structures, in batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.adapters.console import (
    checked_output,
    columns,
    force_option,
    json_option,
    print_json,
    print_table,
)
from metatomic_core.adapters.text_options import text_from_options

from ._common import (
    MODEL_OPTIONS,
    StopOnSignal,
    bibtex_option,
    calculator,
    checked_bibtex,
    model_options,
    structure_options,
)

if TYPE_CHECKING:
    import ase

    from ._eval_many import Work

_EPILOG = """The output keeps all that the input says about the structures, and has energy (eV), forces (eV/Å) and
stress (eV/Å^3, tension positive, for periodic structures) in the place of those of the input.

--property adds energies (per atom, in eV) or any output of the model, such as energy_uncertainty: values per atom
become arrays, values per structure entries of info, under the name of the output with _ for other signs, in the units
of ASE; charge, dipole and magnetic_moment become the charges, dipole and magmoms of ASE.  Arrays need an .extxyz file.

A structure that fails (a species that the model does not know, atoms at one place, positions that are no numbers) is
left out and named, the others are done, and the exit status is 1; with --strict, it ends the work.

Ctrl-C and SIGTERM end the work after the current batch: the output has the structures that are done, and the same
command with --resume does the others.  The output is written every few seconds, so that goes for a run that was killed.

\b
Examples:
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz --property energies
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz --resume
  metatomic eval silicon.pt run.traj -o last.extxyz --index -10: --batch-size 32
  metatomic eval silicon.pt structures.xyz --json"""


@click.command("eval", cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structures")
@click.option("-o", "--output", metavar="FILE", help="File to write; its suffix gives the format: .extxyz, .traj, ...")
@click.option("--index", default=":", show_default=True, help="Which structures: 0, -1, :100, ::10.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", default=16, show_default=True, help="Structures at a time."
)
@click.option("--property", "names", multiple=True, metavar="NAME", help="Also write this output of the model.")
@click.option("--resume", is_flag=True, help="Go on after the structures that the output already has.")
@click.option("--strict", is_flag=True, help="End with an error at the first structure that fails.")
@bibtex_option
@structure_options
@model_options
@force_option
@json_option
def evaluate(
    model: str,
    structures: str,
    output: str | None,
    index: str,
    batch_size: int,
    names: tuple[str, ...],
    resume: bool,
    strict: bool,
    bibtex: str | None,
    file_format: str | None,
    force: bool,
    as_json: bool,
    **model_arguments: Any,
) -> None:
    """Compute energies, forces and stresses of STRUCTURES with MODEL.

    STRUCTURES is a file of any format that ASE reads.
    """
    if output is None and (not as_json or resume):
        raise click.UsageError(f"expected -o FILE{' with --resume' if resume else ' or --json'}, got neither")
    path = None if output is None else checked_output(output, force or resume)
    bibtex_file = checked_bibtex(bibtex, force)
    calc = calculator(model, model_arguments, uncertainty_threshold=None)

    from ._citations import cite
    from ._eval_many import Work
    from ._properties import ENERGIES, find_properties
    from ._provenance import provenance
    from ._structures import check_species, read_structures, write_structures

    properties = find_properties(calc, names)
    if path is not None:
        _check_arrays(path, [one.key for one in properties if one.per_atom and not one.is_result])
    images = read_structures(structures, file_format, index)
    if strict:
        check_species(images, calc.capabilities().atomic_types, structures)
    if path is not None:
        _check_format(path, len(images))
    options = {"structures": structures, "index": index, "file_format": file_format, "property": list(names)}
    options = {**options, **text_from_options(model_arguments, MODEL_OPTIONS)}
    origin = provenance("eval", model, calc, options)
    # of one structure, its error is that of the command
    work = Work(calc, images, properties, ENERGIES in names, structures, origin, strict or len(images) == 1)
    if resume and path is not None and path.exists():
        work.resume(path)
    n_before = len(work.done)
    with StopOnSignal() as stop:
        seconds = work.run(batch_size, stop, path)
        if path is not None and len(work.done) > n_before:
            write_structures(path, work.results())
    if as_json:
        print_json({"origin": origin, **_all_data(work, [one.key for one in properties])})
    elif work.done:
        _report(work, images, seconds, path)
    cite([calc], bibtex=bibtex_file)
    _end(work, len(images), stop, path)


def _end(work: "Work", n_structures: int, stop: StopOnSignal, path: Path | None) -> None:
    """Name the structures that failed, and end the command with an error if there are any, or it was stopped.

    Raises
    ------
    RuntimeError
        If structures failed.
    """
    work.complain()
    if stop.number:
        kept = path is not None and work.done
        further = f"; '{path}' has them; go on with the same command and --resume" if kept else ""
        click.echo(f"metatomic: stopped after {work.n_passed()} of {n_structures} structures{further}", err=True)
        click.get_current_context().exit(stop.exit_status)
    if work.failed:
        raise RuntimeError(
            f"expected results for all {n_structures} structures, got {len(work.failed)} that failed, left out"
        )


def _check_arrays(path: Path, keys: Sequence[str]) -> None:
    """Check that a file holds arrays of any name."""
    if keys and path.suffix not in (".extxyz", ".xyz"):
        raise ValueError(f"expected an .extxyz file for `--property` {keys[0]}, which is per atom, got '{path}'")


def _check_format(path: Path, n_structures: int) -> None:
    import warnings

    from ._structures import KEEPS_RESULTS, output_format

    name = output_format(path, n_structures)
    if name not in KEEPS_RESULTS:
        warnings.warn(
            f"expected a format that holds energies and forces, such as .extxyz, got '{path}' ({name}), which may not",
            stacklevel=2,
        )


def _all_data(work: "Work", keys: Sequence[str]) -> dict[str, Any]:
    return {
        "structures": [_data(atoms, keys) for atoms in work.results()],
        "failed": [{"structure": number, "error": reason} for number, reason in sorted(work.failed.items())],
    }


def _data(atoms: "ase.Atoms", keys: Sequence[str]) -> dict[str, Any]:
    results = atoms.calc.results
    places = {**atoms.info, **atoms.arrays, **results}
    energies = {"energies_eV": results["energies"]} if "energies" in results else {}
    return {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "energy_eV": results["energy"],
        "forces_eV_per_A": results["forces"],
        "stress_eV_per_A3": results.get("stress"),
        **energies,
        **{key: places[key] for key in keys},
    }


def _report(work: "Work", images: "Sequence[ase.Atoms]", seconds: float, path: Path | None) -> None:
    """Print what was done, and how far it is from energies and forces that the input has."""
    import numpy as np

    evaluated = work.results()
    n_atoms = np.array([len(atoms) for atoms in evaluated])
    energies = np.array([atoms.calc.results["energy"] for atoms in evaluated]) / n_atoms
    table = columns()
    table.add_row("structures", f"{len(evaluated)} ({n_atoms.sum()} atoms) in {seconds:.3g} s")
    if work.failed:
        table.add_row("failed", str(len(work.failed)))
    spread = f"{energies.mean():.6f} eV per atom"
    if len(evaluated) > 1:
        spread += f" on average, from {energies.min():.6f} to {energies.max():.6f}"
    table.add_row("energy", spread)
    table.add_row("largest force", f"{max(np.abs(atoms.calc.results['forces']).max() for atoms in evaluated):.6g} eV/Å")
    of_input = [images[number] for number in sorted(work.done)]
    given = [atoms.calc.results if atoms.calc is not None else {} for atoms in of_input]
    if all("energy" in results for results in given):
        errors = energies - np.array([results["energy"] for results in given]) / n_atoms
        table.add_row("against the input", f"energy RMSE {1000 * np.sqrt((errors**2).mean()):.4g} meV per atom")
    if all("forces" in results for results in given):
        errors = np.concatenate(
            [atoms.calc.results["forces"] - results["forces"] for atoms, results in zip(evaluated, given, strict=True)]
        )
        table.add_row("", f"force RMSE {1000 * np.sqrt((errors**2).mean()):.4g} meV/Å")
    table.add_row("written", str(path))
    print_table(table)
