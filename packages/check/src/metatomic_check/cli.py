"""``metatomic check``: whether a model may be believed."""

import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.console import checked_output, force_option, json_option
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.adapters.text_options import click_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ase

    from .report import Report

_EPILOG = """The exit status is 1 if anything fails.  Failures are printed again at the end, with what they mean; the
structures that show them are saved in a new folder MODEL-check, or that of --save.

\b
Examples:
  metatomic check silicon.pt
  metatomic check silicon.pt --quick --engines none
  metatomic check silicon.pt --structures mine.extxyz --html report.html
  metatomic check silicon.pt --only numerics --json > numerics.json
  metatomic check --list"""

# a report does not warn about atoms: it has findings
_OPTIONS = {name: option for name, option in ENGINE_OPTIONS.items() if name != "uncertainty_threshold"}
_NONE = "none"


def _print_list(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print all checks, and end."""
    if not value or ctx.resilient_parsing:
        return
    from .printing import print_checks
    from .table import all_checks

    print_checks(all_checks())
    ctx.exit()


def _names(ctx: click.Context, param: click.Parameter, text: str | None) -> list[str] | None:
    """Read names with commas between them; "none" alone is none of them."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names) or (_NONE in names and len(names) > 1):
        raise click.BadParameter(f"expected names with commas between them, or {_NONE}, got '{text}'", ctx, param)
    return [] if names == [_NONE] else names


@click.command("check", epilog=_EPILOG)
@click.argument("model")
@click.option("--structures", metavar="FILE", help="Structures to check on, of any format that ASE reads.")
@click.option("--format", "file_format", metavar="NAME", help="Format of the structures, as ASE names it.")
@click.option("--index", default=":", show_default=True, help="Which structures: 0, -1, :100, ::10.")
@click.option(
    "--engines", metavar="NAMES", callback=_names, help="Engines to compare, with commas, or none; all by default."
)
@click.option("--quick", "effort", flag_value="quick", help="Some checks: seconds, for light potentials.")
@click.option("--full", "effort", flag_value="full", help="All checks: more structures, finer steps, longer runs.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this check, or group of checks; any number of times.")
@click.option("--seed", default=0, show_default=True, help="Seed of all random numbers.")
@click.option("--html", metavar="FILE", help="Write the report as one HTML file, with plots.")
@click.option("--save", metavar="FOLDER", help="Where to save structures of findings: a new or empty folder, or none.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_print_list, help="List all checks.")
@click_options(_OPTIONS)
@json_option
@force_option
@click.pass_context
def check_command(
    ctx: click.Context,
    /,
    model: str,
    structures: str | None,
    file_format: str | None,
    index: str,
    engines: list[str] | None,
    effort: str | None,
    only: tuple[str, ...],
    seed: int,
    html: str | None,
    save: str | None,
    as_json: bool,
    force: bool,
    **options: Any,
) -> None:
    """Tell whether a MODEL may be believed, by itself and in each simulation engine.

    Each check asks one question and grades the answer: pass, warn, fail, by design (as the authors of the model
    declare), information, not applicable.
    """
    page = None if html is None else checked_output(html, force, "--html")
    folder = _folder(save, Path(model).stem, force, as_json)
    images = _images(structures, file_format, index)
    given = {name: value for name, value in options.items() if value != _OPTIONS[name].default and value != {}}

    from metatomic_core.adapters.progress import Progress

    from .checking import check_model
    from .choosing import chosen_checks

    effort = effort or "normal"
    # names are checked before the model is loaded
    total = len(chosen_checks(only, effort))
    with Progress("check", total) as progress:
        report = check_model(
            model,
            images,
            engines=engines,
            effort=effort,
            only=only,
            options=given,
            seed=seed,
            date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            command=_command(),
            tell=lambda done, _, name: progress.update(done, name, at_once=True),
        )
    _write(report, folder, page, as_json)
    if report.grade.value == "fail":
        ctx.exit(1)


def _images(path: str | None, file_format: str | None, index: str) -> "Sequence[ase.Atoms] | None":
    """Read the structures that the user gives."""
    if path is None:
        if file_format is not None or index != ":":
            raise click.UsageError("expected --structures FILE with --format and --index, got none")
        return None
    from .structure_files import read_atoms

    return read_atoms(path, file_format, index)


def _folder(save: str | None, stem: str, force: bool, as_json: bool) -> Path | None:
    """Give the folder for structures, before any work; it is made when there are some.

    Raises
    ------
    ValueError
        If it is a file, or has something in it.
    """
    if save == _NONE or (save is None and as_json):
        return None
    if save is not None:
        folder = Path(save)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"expected `--save` to be a folder, got the file '{folder}'")
        if folder.is_dir() and any(folder.iterdir()) and not force:
            raise ValueError(
                f"expected a new or empty folder for `--save`, got '{folder}'; choose another or add --force"
            )
        return folder
    names = (f"{stem}-check{f'-{number}' if number > 1 else ''}" for number in range(1, sys.maxsize))
    return next(Path(name) for name in names if not Path(name).exists())


def _command() -> str:
    """Give the command line, for people who repeat it."""
    return shlex.join(["metatomic", *sys.argv[1:]])


def _write(report: "Report", folder: Path | None, page: Path | None, as_json: bool) -> None:
    """Write files, and print the report."""
    from metatomic_core.adapters import replaced_when_done

    from .printing import print_report
    from .saved_files import save_configurations

    if folder is not None:
        save_configurations(report, folder)
    if page is not None:
        from .html import html_report

        with replaced_when_done(page) as path:
            path.write_text(html_report(report), "utf-8")
    if as_json:
        click.echo(report.to_json())
        return
    print_report(report, folder)
    if page is not None:
        click.echo(f"wrote {page}")
