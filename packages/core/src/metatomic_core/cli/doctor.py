"""``metatomic doctor``: what is installed, whether it works, and what to do where it does not."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.console import json_option, print_json

if TYPE_CHECKING:
    from metatomic_core.diagnosis.examination import Section

# of the JSON: names are added, never changed
_FORMAT = 1
_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}
_WIDTH = max(map(len, _COLORS))
_ARROW = "->"
_EPILOG = """\b
Examples:
  metatomic doctor
  metatomic doctor --json > report.json"""


@click.command(epilog=_EPILOG)
@click.option("--build", is_flag=True, help="Also compile a model, and plugins of engines that are not built: minutes.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Limit of each part: PyTorch, and each engine.",
)
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, build: bool, timeout: float, as_json: bool) -> None:
    """Look at this installation: what works, and what to do.

    Machine, Python, packages, PyTorch, devices, compiler, compiled models, what packages add, and a tiny run in each
    engine that is installed, compared with a formula.  The output is for reports of bugs: it names the home folder ~,
    and of the environment only what matters here.  The exit status is 1 if there is a problem, 0 with warnings alone.
    """
    from metatomic_core.diagnosis.examination import examine

    sections = []
    for section in examine(timeout, build=build):
        sections.append(section)
        if not as_json:
            _print(section)
    data = _data(sections)
    if as_json:
        print_json(data)
    else:
        _print_summary(data)
    ctx.exit(1 if data["problems"] else 0)


def _data(sections: list["Section"]) -> dict[str, Any]:
    statuses = [finding.status for section in sections for finding in section.findings]
    try:
        core = version("metatomic-core")
    except PackageNotFoundError:
        core = None
    return {
        "format": _FORMAT,
        "metatomic_core": core,
        "problems": statuses.count("problem"),
        "warnings": statuses.count("warning"),
        "sections": [section.to_dict() for section in sections],
    }


def _print(section: "Section") -> None:
    """Print a section: a line for each finding, and one with what to do where that is not nothing."""
    click.secho(section.title, bold=True)
    for finding in section.findings:
        mark = click.style(finding.status.ljust(_WIDTH), fg=_COLORS[finding.status])
        click.echo(f"  {mark}  {finding.name}: {finding.value}")
        if finding.advice:
            click.echo(f"  {' ' * _WIDTH}  {_ARROW} {finding.advice}")
    click.echo()


def _print_summary(data: dict[str, Any]) -> None:
    counts = [(data[f"{what}s"], what) for what in ("problem", "warning")]
    click.echo(" and ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts))
