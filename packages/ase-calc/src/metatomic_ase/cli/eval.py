"""``metatomic eval``: energies, forces and stresses of many structures, in batches."""

from collections.abc import Mapping, Sequence
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

    from metatomic_ase import MetatomicCalculator

    from ._properties import Property

_EPILOG = """The output keeps all that the input says about the structures, and has energy (eV), forces (eV/Å) and
stress (eV/Å^3, tension positive, for periodic structures) in the place of those of the input.

--property adds energies (per atom, in eV) or any output of the model, such as energy_uncertainty: values per atom
become arrays, values per structure entries of info, under the name of the output with _ for other signs, in the units
of ASE; charge, dipole and magnetic_moment become the charges, dipole and magmoms of ASE.  Arrays need an .extxyz file.

Ctrl-C and SIGTERM end the work after the current batch: the output has the structures that are done, and the same
command with --resume does the others.  The output is written every few seconds, so that goes for a run that was killed.

\b
Examples:
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz --property energies
  metatomic eval silicon.pt structures.xyz -o evaluated.extxyz --resume
  metatomic eval silicon.pt run.traj -o last.extxyz --index -10: --batch-size 32
  metatomic eval silicon.pt structures.xyz --json"""


# seconds, at least, between writes of the structures that are done
WRITE_EVERY = 5.0


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
@bibtex_option
@structure_options
@model_options
@force_option
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    model: str,
    structures: str,
    output: str | None,
    index: str,
    batch_size: int,
    names: tuple[str, ...],
    resume: bool,
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
    from ._properties import ENERGIES, find_properties
    from ._provenance import provenance
    from ._structures import check_species, read_structures, write_structures

    properties = find_properties(calc, names)
    if path is not None:
        _check_arrays(path, [one.key for one in properties if one.per_atom and not one.is_result])
    images = read_structures(structures, file_format, index)
    check_species(images, calc.capabilities().atomic_types, structures)
    if path is not None:
        _check_format(path, len(images))
    options = {"structures": structures, "index": index, "file_format": file_format, "property": list(names)}
    options = {**options, **text_from_options(model_arguments, MODEL_OPTIONS)}
    origin = provenance("eval", model, calc, options)
    evaluated = _done(path, images, origin) if resume and path is not None and path.exists() else []
    n_before = len(evaluated)
    with StopOnSignal() as stop:
        work = _Work(calc, images, properties, ENERGIES in names, structures, origin)
        seconds = work.run(evaluated, batch_size, stop, path)
        if path is not None and len(evaluated) > n_before:
            write_structures(path, evaluated)
    if as_json:
        keys = [one.key for one in properties]
        print_json({"origin": origin, "structures": [_data(atoms, keys) for atoms in evaluated]})
    elif evaluated:
        _report(evaluated, images, seconds, path)
    cite([calc], bibtex=bibtex_file)
    if stop.number:
        kept = f"'{path}' has them; go on with the same command and --resume" if path is not None and evaluated else ""
        done = f"stopped after {len(evaluated)} of {len(images)} structures"
        click.echo(f"metatomic: {done}{'; ' + kept if kept else ''}", err=True)
        ctx.exit(stop.exit_status)


def _check_arrays(path: Path, keys: Sequence[str]) -> None:
    """Check that a file holds arrays of any name."""
    if keys and path.suffix not in (".extxyz", ".xyz"):
        raise ValueError(f"expected an .extxyz file for `--property` {keys[0]}, which is per atom, got '{path}'")


def _done(path: Path, images: "Sequence[ase.Atoms]", origin: Mapping[str, Any]) -> "list[ase.Atoms]":
    """Read the structures that an interrupted command has done.

    Raises
    ------
    ValueError
        If they are not the first of the input, have no results, or come from another model.
    """
    import numpy as np

    from ._structures import read_structures

    done = read_structures(str(path))
    for index, atoms in enumerate(done):
        if index >= len(images) or not np.array_equal(atoms.numbers, images[index].numbers):
            same = False
        else:
            # text holds eight decimals
            same = np.allclose(atoms.positions, images[index].positions, rtol=0, atol=1e-6)
        if not same or atoms.calc is None or not {"energy", "forces"} <= atoms.calc.results.keys():
            raise ValueError(
                f"expected the first results of this command in '{path}' for --resume, got another structure {index}; "
                "use --force to begin anew"
            )
        if atoms.info.get("metatomic_sha256", origin["model"]["sha256"]) != origin["model"]["sha256"]:
            raise ValueError(
                f"expected results of the same model in '{path}' for --resume, got those of another; use --force to "
                "begin anew"
            )
        if str(atoms.info.get("metatomic_options", _options(origin))) != _options(origin):
            raise ValueError(
                f"expected results of the same options in '{path}' for --resume, got "
                f"'{atoms.info['metatomic_options']}'; use --force to begin anew"
            )
    return done


def _options(origin: Mapping[str, Any]) -> str:
    from ._provenance import as_info

    return as_info(origin)["metatomic_options"]


def _check_format(path: Path, n_structures: int) -> None:
    import warnings

    from ._structures import KEEPS_RESULTS, output_format

    name = output_format(path, n_structures)
    if name not in KEEPS_RESULTS:
        warnings.warn(
            f"expected a format that holds energies and forces, such as .extxyz, got '{path}' ({name}), which may not",
            stacklevel=2,
        )


class _Work:
    """What to evaluate, and how.

    Parameters
    ----------
    calculator
        The calculator.
    images
        All structures.
    properties
        Outputs to add.
    with_energies
        Whether to add energies per atom.
    source
        File of the structures, for messages.
    origin
        What `_provenance.provenance` gave.
    """

    def __init__(
        self,
        calculator: "MetatomicCalculator",
        images: "Sequence[ase.Atoms]",
        properties: "Sequence[Property]",
        with_energies: bool,
        source: str,
        origin: Mapping[str, Any],
    ):
        self._calculator = calculator
        self._images = images
        self._properties = properties
        self._with_energies = with_energies
        self._source = source
        self._origin = origin

    def run(self, evaluated: "list[ase.Atoms]", batch_size: int, stop: StopOnSignal, path: Path | None) -> float:
        """Add copies of the structures with their results to those that are there, until a signal; give seconds.

        What is done is written every few seconds, so that a run that is killed can go on.
        """
        import time

        from metatomic_core.adapters.progress import Progress

        from ._structures import write_structures

        first, total = len(evaluated), len(self._images)
        due = time.monotonic() + WRITE_EVERY
        with Progress("structure", total, first) as progress:
            while len(evaluated) < total and not stop.number:
                start = len(evaluated)
                evaluated.extend(self._results(list(self._images[start : start + batch_size]), start))
                progress.update(len(evaluated), f"{progress.rate(len(evaluated)):.3g} structures/s")
                begin = time.monotonic()
                if path is not None and begin >= due and len(evaluated) < total:
                    write_structures(path, evaluated)
                    # all of the file is written each time: that may take a twentieth of the time
                    due = time.monotonic() + max(WRITE_EVERY, 20 * (time.monotonic() - begin))
            return progress.elapsed

    def _results(self, batch: "list[ase.Atoms]", start: int) -> "list[ase.Atoms]":
        """Give copies of a batch with their results."""
        from metatomic_ase._results import voigt

        from ._properties import attach, compute
        from ._provenance import as_info, without_info
        from ._structures import with_results

        results = _batch(self._calculator, batch, start, self._source, self._with_energies)
        more = compute(self._calculator, batch, self._properties)
        found = []
        for index, atoms in enumerate(batch):
            values = {name: listed[index] for name, listed in results.items()}
            if values.get("stress") is not None:
                values["stress"] = voigt(values["stress"])
            one = with_results(atoms, values)
            one.info = {**without_info(one.info), **as_info(self._origin)}
            attach(one, more[index], self._properties)
            found.append(one)
        return found


def _batch(
    calc: "MetatomicCalculator", batch: "list[ase.Atoms]", start: int, source: str, per_atom: bool
) -> dict[str, list[Any]]:
    """Evaluate a batch; if that fails find the structure that is the reason."""
    try:
        return calc.compute_energy(batch, compute_forces_and_stresses=True, per_atom=per_atom)
    except ValueError:
        for index, atoms in enumerate(batch):
            try:
                calc.compute_energy([atoms], compute_forces_and_stresses=True)
            except ValueError as error:
                raise ValueError(f"structure {start + index} of '{source}': {error}") from error
        raise


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


def _report(evaluated: "Sequence[ase.Atoms]", images: "Sequence[ase.Atoms]", seconds: float, path: Path | None) -> None:
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
    given = [atoms.calc.results if atoms.calc is not None else {} for atoms in images[: len(evaluated)]]
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
