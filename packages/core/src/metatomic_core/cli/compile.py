"""``metatomic compile``: machine code of the exported programs in a model file, in the cache of the user."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.console import columns, json_option, print_json, print_table

if TYPE_CHECKING:
    from metatomic_core.kernels.cache import About
    from metatomic_core.kernels.compiling import Outcome

_MARCHES = ("native", "x86-64-v3", "x86-64-v4")
_EPILOG = """\b
Examples:
  metatomic compile silicon.pt
  metatomic compile silicon.pt --march x86-64-v3
  metatomic compile --list
  metatomic compile --clear"""


@click.command(epilog=_EPILOG)
@click.argument("file", required=False)
@click.option("--device", metavar="NAME", default="cpu", show_default=True, help="Device to compile for: cpu or cuda.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Floating point type, which is that of the model; to be sure of it.",
)
@click.option(
    "--march",
    type=click.Choice(_MARCHES),
    default="native",
    show_default=True,
    help="Instruction set; x86-64-v3 also runs on other machines.",
)
@click.option(
    "--flavor", "flavors", metavar="NAME", multiple=True, help="What to make; by default what dynamics takes."
)
@click.option("--all", "all_of_them", is_flag=True, help="Make all flavors, also for selected atoms.")
@click.option("--again", is_flag=True, help="Compile what is in the cache, too.")
@click.option(
    "--extensions",
    "extensions_directory",
    metavar="DIR",
    help="Directory with the TorchScript extensions that FILE needs.",
)
@click.option("--list", "show", is_flag=True, help="List what is in the cache.")
@click.option("--clear", is_flag=True, help="Remove all that is in the cache.")
@json_option
def compile_command(
    *,
    file: str | None,
    device: str,
    dtype: str | None,
    march: str,
    flavors: tuple[str, ...],
    all_of_them: bool,
    again: bool,
    extensions_directory: str | None,
    show: bool,
    clear: bool,
    as_json: bool,
) -> None:
    """Compile the model in FILE for this machine: engines then run it several times faster.

    The packages go into a cache of the user (METATOMIC_CACHE, or metatomic in XDG_CACHE_HOME or ~/.cache), where ASE,
    i-PI and LAMMPS find them by the content of the file.  Energies, forces and virials are compared with those of the
    model before anything is kept.  Needs a C++ compiler, here and not where it is run.
    """
    if sum([file is not None, show, clear]) != 1:
        raise click.UsageError("expected a FILE, or one of --list and --clear; see --help")
    if show or clear:
        _show(clear=clear, as_json=as_json)
        return
    from metatomic_core.kernels.building import Task
    from metatomic_core.kernels.compiling import compile_model
    from metatomic_core.kernels.flavors import FLAVORS
    from metatomic_core.loading import read_model_header

    for flavor in flavors:
        if flavor not in FLAVORS:
            raise click.UsageError(f"expected --flavor to be one of {', '.join(FLAVORS)}, got '{flavor}'")
    found = read_model_header(str(file)).capabilities.dtype
    if dtype not in (None, found):
        raise click.UsageError(
            f"expected --dtype {found}, which is that of the model, got {dtype}; save the model in {dtype} from Python"
        )

    def step(task: Task, number: int, total: int) -> None:
        click.echo(f"compiling {number + 1} of {total}: {task.flavor}{_of(task.record.selects)}", err=True)

    done = compile_model(
        str(file),
        device=device,
        march=march,
        flavors=flavors or None,
        all_of_them=all_of_them,
        again=again,
        extensions_directory=extensions_directory,
        progress=step,
    )
    if as_json:
        print_json([_data(outcome.folder, outcome.about, was_there=outcome.was_there) for outcome in done])
        return
    for outcome in done:
        click.echo(_line(outcome))


def _of(selects: bool) -> str:
    return " of selected atoms" if selects else ""


def _line(outcome: "Outcome") -> str:
    about = outcome.about
    what = f"{about.flavor}{_of(about.selects)} for {about.device} {about.march}"
    if outcome.was_there:
        return f"{what}: in the cache already"
    worst = max(about.checked.values(), default=None)
    checked = "not compared, as this machine can not run it" if worst is None else f"differs by {worst:.0e} at most"
    return f"{what}: {about.seconds:.0f} s, {about.bytes / 1e6:.1f} MB, {checked}"


def _data(folder: Path, about: "About", **more: Any) -> dict[str, Any]:
    import dataclasses

    return {"folder": folder, **more, **dataclasses.asdict(about)}


def _show(*, clear: bool, as_json: bool) -> None:
    from metatomic_core.kernels import cache

    found = list(cache.packages())
    if clear:
        cache.clear()
    if as_json:
        print_json([_data(folder, about) for folder, about in found])
        return
    if clear:
        click.echo(f"removed {len(found)} compiled packages from {cache.cache_folder()}")
        return
    if not found:
        click.echo(f"no compiled packages in {cache.cache_folder()}")
        return
    table = columns("model", "flavor", "device", "dtype", "for", "torch", "size")
    for _, about in found:
        size = f"{about.bytes / 1e6:.1f} MB"
        table.add_row(
            about.model, about.flavor + _of(about.selects), about.device, about.dtype, about.march, about.torch, size
        )
    print_table(table)
    click.echo(f"in {cache.cache_folder()}")
