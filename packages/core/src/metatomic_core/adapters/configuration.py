"""Options of a command in a file: ``--config FILE.yaml`` reads them, ``--write-config FILE.yaml`` writes them.

A command has both with ``@click.command(cls=ConfigurableCommand)``.  Values in the file are what one would write on the
command line, and are read as text: "2 fs" keeps its unit, "off" is no boolean, and 1e-3 is not rounded.
"""

import difflib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
from click.core import ParameterSource

from metatomic_core.foundation.atomic_write import replaced_when_done
from metatomic_core.foundation.quoting import in_one_line

from .console import checked_output, house_style

__all__ = ["ConfigurableCommand", "given_in_file"]

_CONFIG, _WRITE = "config", "write_config"
# never in a file: what names it, and what holds for one call
_NOT_IN_FILES = (_CONFIG, _WRITE, "help")
_NOT_WRITTEN = (*_NOT_IN_FILES, "force")
# text that YAML takes as it is
_PLAIN = re.compile(r"(?!-(?: |$))[\w./+-]([\w./+ =-]*[\w./+-])?", re.ASCII)
_NOTHING = ("", "~", "null")
# where help begins in files that are written
_COLUMN = 36


class _Entry(NamedTuple):
    """A value in a file: texts as on the command line, and the line that it is in."""

    value: Any
    line: int


class ConfigurableCommand(click.Command):
    """Command that takes its options from a file as well; those on the command line come first.

    Parameters
    ----------
    *arguments, **more
        As those of `click.Command`.
    """

    def __init__(self, *arguments: Any, **more: Any):
        super().__init__(*arguments, **more)
        self.params += [
            click.Option(
                ["--config"],
                metavar="FILE",
                expose_value=False,
                help="YAML file with options by their long names, and arguments; the command line comes first.",
            ),
            click.Option(
                ["--write-config"],
                metavar="FILE",
                expose_value=False,
                help="Write all options to a file for --config, and run nothing.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, with the values of the file where it says nothing."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        texts = _on_command_line(self.make_parser(ctx), args)
        path = texts.get(_CONFIG)
        entries: dict[str, _Entry] = {}
        if isinstance(path, str) and not any(name in args for name in self.get_help_option_names(ctx)):
            entries = _read(path, self)
            ctx.default_map = {**(ctx.default_map or {}), **{name: entry.value for name, entry in entries.items()}}
        try:
            rest = super().parse_args(ctx, args)
        except click.BadParameter as error:
            entry = entries.get(error.param.name or "") if error.param is not None else None
            if entry is None or (error.param is not None and error.param.name in texts):
                raise
            message = f"{_place(str(path), entry.line)}: {house_style(error.format_message())}"
            raise click.UsageError(message, ctx) from error
        given = {name: texts[name] for name in texts if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
        ctx.meta[__name__] = {**{name: entry.value for name, entry in entries.items()}, **given}
        ctx.meta[f"{__name__}.target"] = given.get(_WRITE)
        return rest

    def make_parser(self, ctx: click.Context) -> Any:
        """Give the parser; arguments of any number that are not there are not there, in each version of click."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def without_empty(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
            values, rest, order = parse(args)
            return {name: value for name, value in values.items() if value != ()}, rest, order

        parser.parse_args = without_empty  # type: ignore[method-assign]
        return parser

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or write its options."""
        target = ctx.meta.get(f"{__name__}.target")
        if target is None:
            return super().invoke(ctx)
        path = checked_output(target, bool(ctx.params.get("force")), "--write-config")
        text = _written(self, ctx, ctx.meta[__name__], target)
        with replaced_when_done(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        click.echo(f"written {path}; run `{ctx.command_path} --config {path}`", err=True)
        return None


def _on_command_line(parser: Any, args: list[str]) -> dict[str, Any]:
    """Give what stands on the command line, as text, by the names of parameters."""
    values, _, _ = parser.parse_args(list(args))
    # others are not set, of a type that click keeps to itself, or None
    return {name: value for name, value in values.items() if isinstance(value, (str, bool, list, tuple))}


def given_in_file(ctx: click.Context) -> set[str]:
    """Give the names of the parameters whose values come from the file of ``--config``.

    Parameters
    ----------
    ctx
        Context of the command.

    Returns
    -------
    set of str
        Names in Python.
    """
    return {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP}


def _keys(command: click.Command) -> dict[str, click.Parameter]:
    """Give the parameters by their names in files, with dashes."""
    keys: dict[str, click.Parameter] = {}
    for param in command.params:
        if param.name in _NOT_IN_FILES:
            continue
        if isinstance(param, click.Option):
            keys.update({one.lstrip("-"): param for one in param.opts if one.startswith("--")})
        elif param.name:
            keys[param.name.replace("_", "-")] = param
    return keys


def _place(path: str, line: int) -> str:
    return f"'{in_one_line(path)}', line {line}"


def _read(path: str, command: click.Command) -> dict[str, _Entry]:
    """Read a file; give values by the names of parameters in Python.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no YAML, or has a key that the command does not know, or a value of another form.
    """
    import yaml

    if not Path(path).exists():
        raise FileNotFoundError(f"expected a file for `--config`, got '{in_one_line(path)}', which does not exist")
    try:
        # not `load`: nodes know their lines, and scalars stay text
        node = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{_place(path, line)}: expected YAML, got a line that is not: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"expected a text file with YAML for `--config`, got '{in_one_line(path)}'") from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{_place(path, 1)}: expected options as `name: value`, got something else")
    return _entries(node, path, command)


def _entries(node: Any, path: str, command: click.Command) -> dict[str, _Entry]:
    """Give the values of a mapping, each for its parameter."""
    keys = _keys(command)
    entries: dict[str, _Entry] = {}
    for name_node, value_node in node.value:
        line = name_node.start_mark.line + 1
        key = str(name_node.value)
        param = keys.get(key.replace("_", "-"))
        if param is None or param.name is None:
            _refuse_key(path, line, key, keys, command)
        if param.name in entries:
            raise ValueError(
                f"{_place(path, line)}: expected each option once, got '{in_one_line(key)}' again, after line "
                f"{entries[param.name].line}"
            )
        value = _value(param, value_node, f"{_place(path, line)}: ", key)
        if value is not None:
            entries[param.name] = _Entry(value, line)
    return entries


def _refuse_key(path: str, line: int, key: str, keys: Mapping[str, Any], command: click.Command) -> NoReturn:
    nearest = difflib.get_close_matches(key.replace("_", "-"), keys, n=1)
    hint = f"did you mean '{nearest[0]}'" if nearest else f"known are {', '.join(keys)}"
    raise ValueError(
        f"{_place(path, line)}: expected an option of metatomic {command.name}, got '{in_one_line(key)}'; {hint}"
    )


def _value(param: click.Parameter, node: Any, where: str, key: str) -> Any:
    """Give the text or texts of a value; None for an empty one, which is as if it were not there."""
    import yaml

    takes_several = param.multiple or param.nargs != 1
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and node.value in _NOTHING:
            return None
        texts = node.value.split() if param.nargs > 1 else [node.value]
        return texts if takes_several else node.value
    if takes_several and isinstance(node, yaml.SequenceNode):
        items = node.value
        if all(isinstance(item, yaml.ScalarNode) for item in items):
            return [item.value for item in items]
    if param.multiple and "=" in (param.make_metavar(click.get_current_context()) or "") and _is_flat(node):
        return [f"{name.value}={value.value}" for name, value in node.value]
    wanted = "a value or a list of values" if takes_several else "one value"
    found = "a list" if isinstance(node, yaml.SequenceNode) else "names with values"
    raise ValueError(f"{where}expected {wanted} for '{in_one_line(key)}', got {found}")


def _is_flat(node: Any) -> bool:
    import yaml

    return isinstance(node, yaml.MappingNode) and all(
        isinstance(one, yaml.ScalarNode) for pair in node.value for one in pair
    )


def _written(command: click.Command, ctx: click.Context, given: Mapping[str, Any], target: str) -> str:
    """Give the text of a file with all options: defaults as comments, so that what was given is given again."""
    version = importlib.metadata.version("metatomic-core")
    lines = [
        f"# Options of `{ctx.command_path}`, metatomic-core {version}; run `{ctx.command_path} --config {target}`.",
        "# Options at their defaults are comments.  Paths are relative to the directory where the command is run.",
    ]
    names: dict[str, str] = {}
    for key, param in _keys(command).items():
        names.setdefault(param.name or "", key)
    for param in command.params:
        name = param.name or ""
        if name in _NOT_WRITTEN:
            continue
        is_given = name in given
        value = given[name] if is_given else param.get_default(ctx)
        line = f"{'' if is_given else '# '}{names[name]}:{_yaml(value)}"
        help_text = " ".join((getattr(param, "help", None) or "").split())
        lines.append(f"{line:{_COLUMN}}  # {help_text}" if help_text else line)
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    """Give a value as YAML, with the blank before it; nothing for one that is not set."""
    if isinstance(value, bool):
        return f" {str(value).lower()}"
    if isinstance(value, (list, tuple)):
        return f" [{','.join(_yaml(one) for one in value).strip()}]"
    if value is None or not isinstance(value, (str, int, float)):
        return ""
    text = str(value)
    return f" {text}" if _PLAIN.fullmatch(text) and text not in _NOTHING else f" {_quoted(text)}"


def _quoted(text: str) -> str:
    # two escapes of JSON, as beyond the first plane, are two characters in YAML
    return json.dumps(text, ensure_ascii=not text.isprintable())
