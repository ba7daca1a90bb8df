"""The back door: how the models in files become files for others, by the writers that installed packages have.

Nothing here imports torch, and writers should not either until they write: ``metatomic convert --help`` lists them all.
"""

import dataclasses
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metatomic_core.foundation.plugins import Plugin, load_plugin, plugins

__all__ = ["WRITERS", "Writer", "WriterOption", "convert", "writer", "writers"]

# group of entry points, each of which is a `Writer`
WRITERS = "metatomic.writers"
_OPTION = re.compile(r"--[a-z][a-z0-9]*(-[a-z0-9]+)*")
# options of the command itself
_RESERVED = ("--to", "--json", "--force", "--help")


@dataclasses.dataclass(frozen=True)
class WriterOption:
    """An option of ``metatomic convert`` that a writer takes.

    Attributes
    ----------
    name
        As on the command line, like ``--library-dir``.
    argument
        The argument of the writer's function that gets the value.
    help
        One sentence, or more.
    metavar
        What stands for the value in help; None for an option without a value.
    read
        Makes the value of the argument from the text; raises a ValueError for a text that is wrong.

    Raises
    ------
    ValueError
        If the name is none of an option, or one that the command has.
    """

    name: str
    argument: str
    help: str
    metavar: str | None = None
    read: Callable[[str], Any] | None = None

    def __post_init__(self) -> None:
        if not _OPTION.fullmatch(self.name) or self.name in _RESERVED:
            raise ValueError(
                f"expected `name` of an option like '--library-dir', and none of {', '.join(_RESERVED)}, got "
                f"'{self.name}'"
            )


@dataclasses.dataclass(frozen=True)
class Writer:
    """How models become files for others; found by the entry points of the group ``metatomic.writers``.

    Attributes
    ----------
    description
        What it writes: "a file for the nnpot interface of GROMACS".
    write
        Called with the path of the source, which `load_atomistic_model` takes, the path of the file to write, and the
        options that were given, by the names of their arguments.  It finds all problems of the source before it writes,
        writes the file whole or not at all, and gives what to print: a line, or something that has the methods ``text``
        and, for ``--json``, ``data``.
    options
        Options that it takes.
    """

    description: str
    write: Callable[..., Any]
    options: tuple[WriterOption, ...] = ()


def _variant_of_energy(text: str) -> str:
    """Read ``energy=VARIANT``, as all commands spell it."""
    name, _, variant = text.partition("=")
    if name != "energy" or not variant:
        raise ValueError(f"expected a variant of the energy, such as energy=pbe, got '{text}'")
    return variant


def _function(module: str, name: str = "convert") -> Callable[..., Any]:
    """Give a function that imports its module when it is called."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **options)

    return call


_EXTENSIONS = WriterOption(
    "--extensions", "extensions_directory", "Directory with the TorchScript extensions that IN needs.", "DIR"
)
_COLLECT = WriterOption(
    "--collect-extensions", "collect_extensions", "Directory to copy the extensions that OUT needs to.", "DIR"
)
_BUILT_IN: dict[str, Writer] = {
    "metatomic-core": Writer(
        "a model file of this package", _function("metatomic_core.foreign.imported"), (_EXTENSIONS, _COLLECT)
    ),
    "metatomic-torch": Writer(
        "a model file of the reference implementation",
        _function("metatomic_core.foreign.exported"),
        (_EXTENSIONS, _COLLECT),
    ),
    "gromacs": Writer(
        "a file for the nnpot interface of GROMACS",
        _function("metatomic_core.gromacs.convert"),
        (
            _EXTENSIONS,
            WriterOption("--pairs", "pairs", "Take the pairs from GROMACS, 2026 and later."),
            WriterOption(
                "--variant",
                "variant",
                "Variant of the energy: energy=pbe.  [default: the one without a name]",
                "energy=VARIANT",
                _variant_of_energy,
            ),
            WriterOption(
                "--library-dir",
                "library_directory",
                "Where the libraries will be on the machine that runs it.  [default: where they are here]",
                "DIR",
            ),
        ),
    ),
}


def writers() -> dict[str, Writer | Plugin]:
    """Give the writers that there are by name, those of other packages not loaded yet; see `writer`.

    Raises
    ------
    ValueError
        If two have the same name, or one has none.
    """
    found = plugins(WRITERS, "writer")
    for name in _BUILT_IN:
        if name in found:
            raise ValueError(
                f"expected a writer with a name of its own in {found[name].package}, got '{name}', which is one of "
                f"metatomic-core; upgrade or remove {found[name].package}"
            )
    return {**_BUILT_IN, **found}


def writer(name: str) -> Writer:
    """Give a writer by name.

    Parameters
    ----------
    name
        Name of the writer, one of `writers`.

    Returns
    -------
    Writer
        The writer.

    Raises
    ------
    ValueError
        If there is none of this name, or it does not load.
    """
    found = writers()
    if name not in found:
        raise ValueError(f"expected a writer, one of {', '.join(found)}, got '{name}'")
    known = found[name]
    return known if isinstance(known, Writer) else load_plugin(known, Writer, "writer")


def convert(source: str | Path, output: str | Path, target: str = "metatomic-core", **options: Any) -> Any:
    """Write the model in a file to another file, as ``metatomic convert`` does.

    Parameters
    ----------
    source
        File with a model, in any format that is read.
    output
        File to write.
    target
        Name of the writer.
    **options
        Options of the writer, by the names of their arguments.

    Returns
    -------
    object
        What the writer says about it, see `Writer`.

    Raises
    ------
    TypeError
        If source or output is no path.
    ValueError
        If there is no such writer, or the model can not be written so.
    """
    for name, path in (("source", source), ("output", output)):
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                f"expected `{name}` to be a path, got {type(path).__name__}; a model is saved to a file first"
            )
    return writer(target).write(Path(source), Path(output), **options)
