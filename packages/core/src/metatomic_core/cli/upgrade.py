"""``metatomic upgrade``: a model file with today's pipeline and header around the same model."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import click

from metatomic_core.adapters.console import checked_output, force_option, json_option, print_json

_EPILOG = """\b
Examples:
  metatomic upgrade silicon.pt
  metatomic upgrade silicon.pt -o silicon-new.pt"""


class Upgrade(NamedTuple):
    """What was done with a file.

    Attributes
    ----------
    file
        The file that was written, or would have been.
    changed
        Whether the old file was another one than the new one.
    before, after
        Versions that wrote the old file and the new one: "core_version", "torch_version", "format_version".
    """

    file: Path
    changed: bool
    before: dict[str, Any]
    after: dict[str, Any]

    def text(self) -> str:
        """Say it in a line."""
        before, after = (f"metatomic-core {found['core_version']}" for found in (self.before, self.after))
        if not self.changed:
            return f"nothing had to be changed: {self.file} is as {after} writes it"
        if before == after:
            return f"upgraded {self.file}: code and header are now those of this {after}"
        return f"upgraded {self.file}: from {before} to {after}"


@click.command(epilog=_EPILOG)
@click.argument("file")
@click.option("-o", "--output", metavar="OUT", help="File to write.  [default: FILE itself]")
@click.option(
    "--extensions",
    "extensions_directory",
    metavar="DIR",
    help="Directory with the TorchScript extensions that FILE needs.",
)
@json_option
@force_option
def upgrade(file: str, output: str | None, extensions_directory: str | None, as_json: bool, force: bool) -> None:
    """Write a model FILE again, with the pipeline of the installed version.

    In Python that pipeline runs in any case; engines in C++, such as LAMMPS, run the one in the file.  The model,
    its metadata, and the extensions that are recorded stay as they are.  A file in which nothing has to be changed is
    left alone.
    """
    done = upgrade_file(file, None if output is None else checked_output(output, force), extensions_directory)
    if as_json:
        print_json({**done._asdict(), "file": done.file})
    else:
        click.echo(done.text())


def upgrade_file(file: str, output: Path | None = None, extensions_directory: str | None = None) -> Upgrade:
    """Write a model file again, see ``metatomic upgrade``.

    Parameters
    ----------
    file
        The file; its code is loaded.
    output
        Where to write to; None for the file itself, which is replaced whole or not at all.
    extensions_directory
        Directory with the TorchScript extensions that it needs.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is no model file of this package, or an extension is missing.
    """
    from metatomic_core.loading import load_compiled, read_model_header, reader_of

    reader = reader_of(file)
    if reader is not None:
        raise ValueError(
            f"expected a model of metatomic-core, got '{file}', which is a model of {reader}; "
            f"run `metatomic convert {file} OUT` first"
        )
    # what a link points to, not the link
    source = Path(file).resolve()
    model = load_compiled(source, extensions_directory)
    before = model.header
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.pt"
        model.save(str(written))
        new, after = written.read_bytes(), read_model_header(written)
    changed = before != after
    if output is not None:
        _write(new, output, None)
    elif changed:
        _write(new, source, source.stat().st_mode)
    shown = ("core_version", "torch_version", "format_version")
    versions = [{name: getattr(header, name) for name in shown} for header in (before, after)]
    return Upgrade(Path(file) if output is None else output, changed, *versions)


def _write(content: bytes, path: Path, mode: int | None) -> None:
    from metatomic_core.foundation.atomic_write import replaced_when_done

    with replaced_when_done(path) as temporary:
        temporary.write_bytes(content)
    if mode is not None:
        path.chmod(mode)
