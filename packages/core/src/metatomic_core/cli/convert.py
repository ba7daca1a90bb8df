"""``metatomic convert``: a model file as a file for other engines, and files of metatomic-torch as files of ours.

What a target needs is imported when it is asked for.
"""

import importlib
from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

import click

from ._common import checked_output, force_option

# target: module, function (source, output) -> line to print, what it writes. The function finds all problems of the
# source before it writes, and writes the output whole or not at all.
_TARGETS: Dict[str, Tuple[str, str, str]] = {
    "metatomic-core": ("metatomic_core.foreign.imported", "convert", "a model file of this package"),
    "metatomic-torch": ("metatomic_core.foreign.exported", "convert", "a model file of the reference implementation"),
}
_EPILOG = """\b
Examples:
  metatomic convert pet-mad.pt pet-mad-core.pt
  metatomic convert silicon.pt silicon-reference.pt --to metatomic-torch"""


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
@click.option("--extensions", metavar="DIR", help="Directory with the TorchScript extensions that IN needs.")
@click.option("--collect-extensions", metavar="DIR", help="Directory to copy the extensions that OUT needs to.")
@force_option
def convert(
    source: str, output: str, target: str, extensions: Optional[str], collect_extensions: Optional[str], force: bool
) -> None:
    """Write the model of file IN to file OUT, for other engines.

    IN is a model file of this package or of metatomic-torch.  Nothing is dropped silently: what OUT can not hold is
    an error.
    """
    path = checked_output(output, force, "OUT")
    module, function, _ = _TARGETS[target]
    converter: Callable[..., str] = getattr(importlib.import_module(module), function)
    given = {"extensions_directory": extensions, "collect_extensions": collect_extensions}
    # only what is given: not every target has all of them
    click.echo(converter(Path(source), path, **{name: value for name, value in given.items() if value is not None}))
