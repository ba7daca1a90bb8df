"""Groups of commands whose errors are one line on standard error, for ``metatomic`` and for scripts of adapters."""

import difflib
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from metatomic_core.foundation.quoting import in_one_line

from .console import LONGEST_MESSAGE, house_style, one_line, print_warning

__all__ = ["CleanGroup", "SuggestingGroup"]

# Errors that say what is wrong with what the user gave; anything else is a bug and keeps its traceback.
_USER_ERRORS = (ValueError, TypeError, RuntimeError, OSError, ImportError)
_INTERRUPTED = 130


class SuggestingGroup(click.Group):
    """Group that names the nearest command for one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to call."""
        name, known = args[0], self.list_commands(ctx)
        if not ctx.resilient_parsing and not name.startswith("-") and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{nearest[0]}'" if nearest else f"it has {', '.join(known)}"
            raise click.UsageError(f"expected a command of {ctx.command_path}, got '{name}'; {hint}", ctx)
        return super().resolve_command(ctx, args)


class CleanGroup(SuggestingGroup):
    """Group of a console script: errors are one line, unless it has an option ``--debug`` that was given.

    Attributes
    ----------
    program
        What lines on standard error start with.
    """

    program = "metatomic"

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; errors of the library become one line, unless debugging."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except _USER_ERRORS as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(one_line(error)) from error

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and end with the exit status.

        0 on success, 2 for wrong usage, 130 after an interrupt, 1 for anything else.
        """
        extra["standalone_mode"] = False
        # only how warnings look changes, not which are shown
        with warnings.catch_warnings():
            warnings.showwarning = print_warning
            sys.exit(self._status(args, prog_name or self.program, extra))

    def _status(self, args: Sequence[str] | None, prog_name: str, extra: Any) -> int:
        try:
            status = super().main(args, prog_name, **extra)
        except click.UsageError as error:
            if error.ctx is not None and not error.ctx.args and type(error).__name__ == "NoArgsIsHelpError":
                error.show()
                return error.exit_code
            message = house_style(error.format_message())
            sign = "" if message.endswith("?") else ";"
            hint = f"{sign} see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
            return self._fail(message + hint, error.exit_code)
        except click.ClickException as error:
            return self._fail(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return self._fail("interrupted", _INTERRUPTED)
        # a command that returns ends well; `ctx.exit(n)` gives its number
        return status if isinstance(status, int) else 0

    def _fail(self, message: str, status: int) -> int:
        # what others wrote into names and files is in messages too, and terminals obey what is not printed
        click.echo(f"{self.program}: error: {in_one_line(message, LONGEST_MESSAGE)}", err=True)
        return status
