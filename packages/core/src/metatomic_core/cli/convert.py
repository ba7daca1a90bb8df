"""``metatomic convert``: a model file as a file for other engines, and files of metatomic-torch as files of ours.

What a target needs is imported when it is asked for.
"""

import importlib
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import click

from ._common import checked_output, force_option, json_option, print_json

# target: module, function (source, output, options) -> what to print, what it writes. The function finds all problems
# of the source before it writes, and writes the output whole or not at all. It gives a line, or something that has
# the methods `text` and `data`.
_TARGETS: Dict[str, Tuple[str, str, str]] = {
    "metatomic-core": ("metatomic_core.foreign.imported", "convert", "a model file of this package"),
    "metatomic-torch": ("metatomic_core.foreign.exported", "convert", "a model file of the reference implementation"),
    "gromacs": ("metatomic_core.gromacs.convert", "convert", "a file for the nnpot interface of GROMACS"),
}
# option: name of the argument, the targets that have it
_OPTIONS = {
    "--extensions": ("extensions_directory", tuple(_TARGETS)),
    "--collect-extensions": ("collect_extensions", ("metatomic-core", "metatomic-torch")),
    "--pairs": ("pairs", ("gromacs",)),
    "--variant": ("variant", ("gromacs",)),
    "--library-dir": ("library_directory", ("gromacs",)),
}
_EPILOG = """\b
Examples:
  metatomic convert pet-mad.pt pet-mad-core.pt
  metatomic convert silicon.pt silicon-reference.pt --to metatomic-torch
  metatomic convert silicon.pt silicon-gromacs.pt --to gromacs >> md.mdp"""


@click.command(epilog=_EPILOG)
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT")
@click.option(
    "--to",
    "target",
    type=click.Choice(list(_TARGETS)),
    default="metatomic-core",
    show_default=True,
    help=f"What to write: {'; '.join(f'{name}, {row[2]}' for name, row in _TARGETS.items())}.",
)
@click.option(
    "--extensions",
    "extensions_directory",
    metavar="DIR",
    help="Directory with the TorchScript extensions that IN needs.",
)
@click.option("--collect-extensions", metavar="DIR", help="Directory to copy the extensions that OUT needs to.")
@click.option("--pairs", is_flag=True, help="gromacs: take the pairs from GROMACS, 2026 and later.")
@click.option("--variant", metavar="NAME", help="gromacs: variant of the energy.  [default: the one without a name]")
@click.option(
    "--library-dir",
    "library_directory",
    metavar="DIR",
    help="gromacs: where the libraries will be on the machine that runs it.  [default: where they are here]",
)
@json_option
@force_option
def convert(source: str, output: str, target: str, as_json: bool, force: bool, **options: Any) -> None:
    """Write the model of file IN to file OUT, for other engines.

    IN is a model file of this package or of metatomic-torch.  What OUT can not hold is an error, or named in what is
    printed.
    """
    given = _given(target, options)
    path = checked_output(output, force, "OUT")
    module, function, _ = _TARGETS[target]
    converter: Callable[..., Any] = getattr(importlib.import_module(module), function)
    report = converter(Path(source), path, **given)
    text, data = (report, None) if isinstance(report, str) else (report.text(), report.data())
    if as_json:
        print_json(data if data is not None else {"file": path, "message": text})
    else:
        click.echo(text)


def _given(target: str, options: Dict[str, Optional[object]]) -> Dict[str, object]:
    """Give the options that were given; refuse those of another target."""
    given: Dict[str, object] = {}
    for option, (name, targets) in _OPTIONS.items():
        if not options[name]:
            continue
        if target not in targets:
            raise click.UsageError(f"expected {option} with --to {' or '.join(targets)}, got --to {target}")
        given[name] = options[name]
    return given
