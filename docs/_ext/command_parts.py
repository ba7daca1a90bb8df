"""All commands with all their options, from click itself."""

from collections.abc import Iterator

import click
from rst import heading, indented, plain, with_code

from metatomic_core.cli import metatomic


def commands() -> str:
    """Give a section for each command and subcommand."""
    return "\n".join(_section(command, context) for command, context in all_commands())


def all_commands() -> Iterator[tuple[click.Command, click.Context]]:
    """Give all commands, each before its own, those of installed packages among them."""
    yield from _below(metatomic, click.Context(metatomic, info_name="metatomic"))


def _below(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _below(found, click.Context(found, info_name=name, parent=context))


def option_records(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    """Give names and help of options, as ``--help`` has them."""
    given = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    records = [each.get_help_record(context) for each in given]
    return [record for record in records if record is not None]


def _section(command: click.Command, context: click.Context) -> str:
    path = context.command_path
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [heading(path, "-"), f".. program:: {path}\n", ".. code-block:: none\n", f"   {path} {usage}\n"]
    lines.append(_help(command.help or ""))
    for names, help_text in option_records(command, context):
        lines.append(f".. option:: {names}\n\n{indented(with_code(' '.join(help_text.split())))}\n")
    if command.epilog:
        lines.append(_help(command.epilog))
    return "\n".join(lines)


def _help(text: str) -> str:
    """Give help in paragraphs; those that click does not wrap as they stand."""
    found = []
    for paragraph in text.replace("\r", "").split("\n\n"):
        as_it_stands, rest = paragraph.startswith("\b"), paragraph.removeprefix("\b").strip("\n")
        if not as_it_stands:
            found.append(with_code(" ".join(rest.split())) if rest.count("`") % 2 == 0 else plain(rest))
            continue
        title, *examples = rest.splitlines()
        if not examples:
            found.append(plain(title))
        else:
            found += [plain(title.rstrip()), ".. code-block:: none\n\n" + indented("\n".join(examples))]
    return "\n\n".join(found) + "\n"
