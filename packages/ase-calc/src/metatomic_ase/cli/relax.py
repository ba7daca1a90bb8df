"""``metatomic relax``: positions, and the cell if wanted, at the minimum of energy or enthalpy."""

import contextlib
import warnings
from collections.abc import Iterator
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
from metatomic_core.adapters.quantity import Quantity
from metatomic_core.adapters.text_options import text_from_options

from ._common import (
    MODEL_OPTIONS,
    StopOnSignal,
    bibtex_option,
    calculator,
    checked_bibtex,
    checked_plot,
    model_options,
    plot_option,
    structure_options,
)
from ._convergence import Convergence

if TYPE_CHECKING:
    import ase

    from metatomic_ase import MetatomicCalculator

_EPILOG = """A relaxation that does not converge writes its last structure, says so, and ends with exit status 1; to go
on, relax that structure: `metatomic relax MODEL relaxed.extxyz -o further.extxyz`.  With --cell, the forces on the cell
(of ASE's FrechetCellFilter: virial per atom) must be below --fmax as well, and the stress, less the pressure, below
--smax if that is given.  Only strains within the periodic directions
are relaxed.

Several structures, of several files or by --index, are relaxed together, which is quicker, and written to one file, in
their order; those that fail are left out and named, and the exit status is 1.  What is done stands in
OUTPUT.unfinished until the end: the same command with --resume goes on, after a kill as well.

\b
Examples:
  metatomic relax silicon.pt silicon.xyz -o relaxed.extxyz
  metatomic relax silicon.pt silicon.xyz -o relaxed.extxyz --cell full --fmax 0.001
  metatomic relax silicon.pt silicon.xyz -o pressed.extxyz --cell isotropic --pressure "5 GPa"
  metatomic relax silicon.pt relaxed.extxyz -o further.extxyz
  metatomic relax silicon.pt *.cif -o relaxed.extxyz --cell full"""

# remark of scipy, with an error below 1e-7
_LOGM_ROUNDING = r"logm result may be inaccurate, approximate err = [\d.]+e-(0[89]|[1-9]\d)$"
_OPTIMIZERS = ("fire", "bfgs", "lbfgs")
# steps between lines where output is no terminal
_LINE_EVERY = 20


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structures", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="FILE", help="File to write; its suffix gives the format.")
@click.option(
    "--cell",
    type=click.Choice(["fixed", "isotropic", "shape", "full"]),
    default="fixed",
    show_default=True,
    help="What of the cell to relax; shape is at constant volume.",
)
@click.option(
    "--fmax", type=Quantity("eV/A", "0.01 eV/A"), default="0.01", show_default=True, help="Largest force left, in eV/Å."
)
@click.option(
    "--pressure", type=Quantity("GPa", "1 bar", positive=False, needs_unit=True), help="Pressure: '1 bar', '2.5 GPa'."
)
@click.option(
    "--smax",
    type=Quantity("GPa", "0.1 GPa"),
    help="Largest stress left, in GPa, of a cell that relaxes, beside --fmax: '0.01', '50 bar'.",
)
@click.option(
    "--optimizer",
    type=click.Choice(_OPTIMIZERS, case_sensitive=False),
    default="lbfgs",
    show_default=True,
    help="Optimizer of ASE; fire is slower, and safer far from the minimum.",
)
@click.option(
    "--steps", type=click.IntRange(min=0), metavar="N", default=500, show_default=True, help="Largest number of steps."
)
@click.option("--trajectory", metavar="FILE", help="Write each step to this .traj file.")
@click.option("--index", default="-1", show_default=True, help="Which structures of each file; ':' for all.")
@click.option("--resume", is_flag=True, help="Go on with what an unfinished run of many structures has done.")
@plot_option
@bibtex_option
@structure_options
@model_options
@force_option
@json_option
def relax(
    model: str,
    structures: tuple[str, ...],
    output: str,
    cell: str,
    fmax: float,
    pressure: float | None,
    smax: float | None,
    optimizer: str,
    steps: int,
    trajectory: str | None,
    index: str,
    resume: bool,
    plot: str | None,
    bibtex: str | None,
    file_format: str | None,
    force: bool,
    as_json: bool,
    **model_arguments: Any,
) -> None:
    """Relax the atoms of STRUCTURES with MODEL, and their cells if wanted.

    STRUCTURES are files of any format that ASE reads.
    """
    _check_cell(cell, pressure, smax)
    path = checked_output(output, force)
    if trajectory is not None:
        checked_output(trajectory, force, "--trajectory")
    bibtex_file, picture = checked_bibtex(bibtex, force), checked_plot(plot, force)
    calc = calculator(model, model_arguments, uncertainty_threshold=None)

    from ._citations import cite
    from ._provenance import as_info, provenance, without_info
    from ._structures import check_species, output_format, read_all, with_results, write_structures

    read = [(one.where, one.atoms) for one in read_all(structures, file_format, index)]
    output_format(path, len(read))
    options: dict[str, Any] = {
        "structure": " ".join(structures),
        "index": index,
        "file_format": file_format,
        "cell": cell,
    }
    options.update({"pressure": pressure, "fmax": fmax, "smax": smax, "optimizer": optimizer, "steps": steps})
    options.update(text_from_options(model_arguments, MODEL_OPTIONS))
    if len(read) > 1:
        if trajectory is not None or plot is not None:
            raise click.UsageError(f"expected --trajectory and --plot only for one structure, got {len(read)}")
        settings = (optimizer, fmax, steps, cell, pressure or 0.0, smax)
        _relax_many(read, calc, settings, path, provenance("relax", model, calc, options), resume, force, as_json)
        cite([calc], [optimizer], bibtex_file)
        return
    if resume:
        raise click.UsageError("expected --resume only for several structures, got one")
    atoms = read[0][1]
    check_species([atoms], calc.capabilities().atomic_types, structures[0])
    atoms.calc = calc
    target, limits = _target(atoms, cell, pressure or 0.0), Convergence(fmax, smax)
    before = _measure(atoms)
    with StopOnSignal() as stop:
        converged, history = _minimize(target, optimizer, limits, steps, trajectory, stop)
    n_steps, largest, stress_left = len(history) - 1, history[-1][1], _stress_left(target)
    after = _measure(atoms)
    calculated = {name: atoms.calc.results.get(name) for name in ("energy", "forces", "stress")}
    options["steps"] = n_steps
    origin = provenance("relax", model, calc, options)
    relaxed = with_results(atoms, calculated)
    relaxed.info = {**without_info(relaxed.info), **as_info(origin)}
    write_structures(path, [relaxed])
    if picture is not None:
        from ._run_pictures import draw_relaxation

        draw_relaxation(history, len(atoms), fmax, picture)
    if as_json:
        left = {"fmax_eV_per_A": largest, "smax_GPa": stress_left}
        outcome = {"converged": converged, "steps": n_steps, **left, "before": before, "after": after}
        print_json({**outcome, "origin": origin})
    else:
        _report(before, after, converged, n_steps, path)
    cite([calc], [optimizer], bibtex_file)
    missed = f"{limits.wanted()} within {steps} steps, got {limits.got(largest, stress_left)}"
    _end(stop, None if converged else missed, n_steps, model, path)


def _check_cell(cell: str, pressure: float | None, smax: float | None) -> None:
    """Check that what is asked of the stress goes with how the cell relaxes."""
    if pressure is not None and cell in ("fixed", "shape"):
        raise click.UsageError(f"expected --pressure only with --cell isotropic or full, got {cell}")
    if smax is not None and cell == "fixed":
        raise click.UsageError("expected --smax only with a --cell that relaxes, got fixed")


def _end(stop: StopOnSignal, missed: str | None, n_steps: int, model: str, path: Path) -> None:
    """End the command with an error if it was stopped, or did not converge.

    Raises
    ------
    RuntimeError
        If it did not converge; `missed` says what was wanted.
    """
    further = f"'{path}' has the last structure; go on with `metatomic relax {model} {path} -o FILE`"
    if stop.number:
        click.echo(f"metatomic: stopped after {n_steps} steps; {further}", err=True)
        click.get_current_context().exit(stop.exit_status)
    if missed is not None:
        raise RuntimeError(f"expected {missed}; {further}, or raise --steps")


def _relax_many(
    read: "list[tuple[str, ase.Atoms]]",
    calc: "MetatomicCalculator",
    settings: tuple[str, float, int, str, float, float | None],
    path: Path,
    origin: dict[str, Any],
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Relax many structures together, write them, and end the command with an error if one of them is not relaxed."""
    from ._provenance import as_info, without_info
    from ._relax_many import Many, Settings, as_data, complain, report
    from ._structures import write_structures

    asked = Settings(*settings)
    many = Many(read, calc, asked, path)
    outcome = many.run(origin, resume, force)
    if outcome.signal:
        done = f"stopped after {len(outcome.done)} of {len(read)} structures"
        click.echo(f"metatomic: {done}; go on with the same command and --resume", err=True)
        click.get_current_context().exit(128 + outcome.signal)
    relaxed = []
    for number, one in sorted(outcome.done.items()):
        if one.error is None:
            about = {"metatomic_source": read[number][0], "metatomic_converged": one.converged}
            one.atoms.info = {**without_info(one.atoms.info), **as_info(origin), **about}
            relaxed.append(one.atoms)
    if relaxed:
        write_structures(path, relaxed)
    many.forget()
    if as_json:
        print_json({"origin": origin, "structures": as_data(read, outcome)})
    else:
        report(outcome, path)
    complain(read, outcome, Convergence(asked.fmax, asked.smax))


def _target(atoms: "ase.Atoms", cell: str, pressure: float) -> Any:
    """Give what the optimizer moves: the atoms, or a filter on atoms and cell.

    Raises
    ------
    ValueError
        If the structure has no cell that can be relaxed.
    """
    from ase.filters import FrechetCellFilter

    from metatomic_ase._cells import cell_freedom

    freedom = cell_freedom(atoms, cell, pressure)
    if freedom is None:
        return atoms
    return FrechetCellFilter(
        atoms,
        mask=freedom.mask,
        hydrostatic_strain=freedom.isotropic,
        constant_volume=freedom.constant_volume,
        scalar_pressure=freedom.pressure,
    )


@contextlib.contextmanager
def _quiet_logm() -> Iterator[None]:
    """Context without the remarks of scipy about errors of rounding in the logarithm of the strain.

    scipy warns above 2e-13, which the 3x3 matrices of ASE's filter for the cell pass at each step by rounding; errors
    below 1e-7 are far below those of forces.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_LOGM_ROUNDING, category=RuntimeWarning)
        yield


def _minimize(
    target: Any, optimizer: str, limits: Convergence, steps: int, trajectory: str | None, stop: StopOnSignal
) -> "tuple[bool, list[tuple[float, float]]]":
    """Run the optimizer; give whether it converged, and energy and largest force at the start and after each step."""
    import ase.optimize
    import numpy as np

    from metatomic_core.adapters.console import console

    out = console(stderr=True)
    make = getattr(ase.optimize, optimizer.upper())
    # that on the cell, of ASE's filter, counts for --fmax, and is no force on an atom
    what = "largest force" if isinstance(target, ase.Atoms) else "largest force, on atoms and cell,"
    with (
        make(target, logfile=None, trajectory=trajectory) as dynamics,
        out.status("relaxing") as status,
        _quiet_logm(),
    ):
        converged, history = False, []
        # ASE knows no limit of the stress: it only counts the steps
        for _ in dynamics.irun(fmax=0.0, steps=steps):
            largest = float(np.linalg.norm(target.get_forces(), axis=1).max())
            history.append((float(target.get_potential_energy()), largest))
            converged = limits.is_reached(largest, _stress_left(target))
            text = f"step {dynamics.nsteps}, {history[-1][0]:.6f} eV, {what} {largest:.3g} eV/Å"
            if out.is_terminal:
                status.update(text)
            elif dynamics.nsteps % _LINE_EVERY == 0:
                click.echo(text, err=True)
            if converged or stop.number:
                break
        return converged, history


def _stress_left(target: Any) -> float | None:
    """Give the largest stress that a change of the cell may still take away, in GPa; None for a fixed cell."""
    from ase.filters import FrechetCellFilter

    from metatomic_ase._cells import CellFreedom

    if not isinstance(target, FrechetCellFilter):
        return None
    freedom = CellFreedom(target.mask, target.hydrostatic_strain, target.constant_volume, target.scalar_pressure)
    return freedom.stress_left(target.atoms.get_stress(voigt=False))


def _measure(atoms: "ase.Atoms") -> dict[str, Any]:
    """Give energy, largest force, and stress (Voigt, in GPa), volume and cell lengths where there are any."""
    import numpy as np
    from ase import units

    from metatomic_ase._convert import has_stress

    measured = {
        "energy_eV": float(atoms.get_potential_energy()),
        "energy_per_atom_eV": float(atoms.get_potential_energy()) / len(atoms),
        "largest_force_eV_per_A": float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
    }
    if has_stress(atoms):
        stress = (atoms.get_stress() / units.GPa).tolist()
        measured["stress_diagonal_GPa"], measured["stress_shear_GPa"] = stress[:3], stress[3:]
        measured["volume_A3"] = float(atoms.get_volume())
        measured["cell_lengths_A"] = atoms.cell.lengths().tolist()
        measured["cell_angles_deg"] = atoms.cell.angles().tolist()
    return measured


# key of `_measure`, label, format of a number
_LINES = (
    ("energy_eV", "energy [eV]", ".6f"),
    ("energy_per_atom_eV", "energy per atom [eV]", ".6f"),
    ("largest_force_eV_per_A", "largest force [eV/Å]", ".3g"),
    ("stress_diagonal_GPa", "stress xx yy zz [GPa]", ".4f"),
    ("stress_shear_GPa", "stress yz xz xy [GPa]", ".4f"),
    ("volume_A3", "volume [Å^3]", ".4f"),
    ("cell_lengths_A", "cell lengths [Å]", ".5f"),
    ("cell_angles_deg", "cell angles [deg]", ".3f"),
)


def _report(before: dict[str, Any], after: dict[str, Any], converged: bool, n_steps: int, path: Path) -> None:
    table = columns("", "before", "after")
    for key, label, form in _LINES:
        if key in before:
            table.add_row(label, _numbers(before[key], form), _numbers(after[key], form))
    print_table(table)
    click.echo(f"{'converged' if converged else 'NOT converged'} in {n_steps} steps, written to {path}")


def _numbers(values: "float | list[float]", form: str) -> str:
    listed = values if isinstance(values, list) else [values]
    # no "-0.0000"
    return " ".join(format(round(value, 10) + 0.0, form) for value in listed)
