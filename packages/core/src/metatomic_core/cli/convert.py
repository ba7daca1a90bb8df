"""``metatomic convert``: the model in a file as a file for others, or of ours; the work is done by writers.

What a writer needs is imported when it is asked for.
"""

from pathlib import Path
from typing import Any

import click

from metatomic_core.adapters.console import checked_output, force_option, json_option, print_json
from metatomic_core.foundation.plugins import Plugin
from metatomic_core.writing import Writer, WriterOption, writer, writers

_DEFAULT = "metatomic-core"
_EPILOG = """\b
Examples:
  metatomic convert pet-mad.pt pet-mad-core.pt
  metatomic convert silicon.pt silicon-reference.pt --to metatomic-torch
  metatomic convert silicon.pt silicon-gromacs.pt --to gromacs >> md.mdp"""


class _ConvertCommand(click.Command):
    """The command with the options of all writers that load; one that does not is named, and fails when it is used."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Give the parameters of the command and of the writers."""
        known = _loaded_writers()
        described = [
            f"{name}, {each.description}" if isinstance(each, Writer) else f"{name}, of {each.package}, does not load"
            for name, each in known.items()
        ]
        target = click.Option(
            ["--to", "target"],
            type=click.Choice(list(known)),
            default=_DEFAULT,
            show_default=True,
            help=f"What to write: {'; '.join(described)}.",
        )
        params = super().get_params(ctx)
        n_arguments = sum(isinstance(param, click.Argument) for param in params)
        return [*params[:n_arguments], target, *_options(known), *params[n_arguments:]]


def _loaded_writers() -> dict[str, Writer | Plugin]:
    """Give the writers by name, those of other packages loaded if they do."""
    found = writers()
    for name in found:
        try:
            found[name] = writer(name)
        except ValueError:
            continue
    return found


def _options(known: dict[str, Writer | Plugin]) -> list[click.Parameter]:
    """Give the options of writers, each once; one that not all have says whose it is."""
    loaded = {name: each for name, each in known.items() if isinstance(each, Writer)}
    users: dict[str, dict[str, WriterOption]] = {}
    for name, each in loaded.items():
        for option in each.options:
            users.setdefault(option.name, {})[name] = option
    return [_option(name, options, len(options) == len(loaded)) for name, options in users.items()]


def _option(name: str, users: dict[str, WriterOption], of_all: bool) -> click.Option:
    """Give an option, as the writers that take it declare it."""
    helps: dict[str, list[str]] = {}
    for writer_name, option in users.items():
        helps.setdefault(option.help, []).append(writer_name)
    kinds = {option.metavar is None for option in users.values()}
    if len(kinds) > 1:
        raise ValueError(f"expected `{name}` with or without a value, got both, for --to {' and '.join(users)}")
    return click.Option(
        [name, _parameter(name)],
        is_flag=kinds == {True},
        metavar=next(iter(users.values())).metavar,
        help=" ".join(text if of_all else f"{', '.join(names)}: {text}" for text, names in helps.items()),
    )


def _parameter(option: str) -> str:
    """Give the name under which click keeps the value of an option."""
    return "option" + option.replace("-", "_")


def _given(target: Writer, name: str, values: dict[str, object]) -> dict[str, object]:
    """Give the options of a writer that were given; refuse those of others."""
    taken = {_parameter(option.name) for option in target.options}
    for parameter, value in values.items():
        if value and parameter not in taken:
            option = parameter.removeprefix("option").replace("_", "-")
            users = [
                other
                for other, each in _loaded_writers().items()
                if isinstance(each, Writer) and option in {known.name for known in each.options}
            ]
            raise click.UsageError(f"expected {option} with --to {' or '.join(users)}, got --to {name}")
    given: dict[str, object] = {}
    for known in target.options:
        value = values[_parameter(known.name)]
        if value:
            given[known.argument] = _read(known, value)
    return given


def _read(option: WriterOption, value: object) -> object:
    """Give the value that the function of the writer takes."""
    if option.read is None:
        return value
    try:
        return option.read(str(value))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option.name) from error


@click.command(cls=_ConvertCommand, epilog=_EPILOG)
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT")
@json_option
@force_option
def convert(source: str, output: str, target: str, as_json: bool, force: bool, **options: Any) -> None:
    """Write the model of file IN to file OUT, for other engines.

    IN is a model file of this package or of metatomic-torch, or in a format that another installed package reads.  What
    OUT can not hold is an error, or named in what is printed.
    """
    chosen = writer(target)
    given = _given(chosen, target, options)
    path = checked_output(output, force, "OUT")
    report = chosen.write(Path(source), path, **given)
    text, data = (report, None) if isinstance(report, str) else (report.text(), report.data())
    if as_json:
        print_json(data if data is not None else {"file": path, "message": text})
    else:
        click.echo(text)
