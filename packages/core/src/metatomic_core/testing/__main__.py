"""``python -m metatomic_core.testing SUBJECT``: the contract as a table, for people who write an adapter."""

import dataclasses
import importlib

import click

from metatomic_core.adapters.console import columns, json_option, print_json, print_table

from .contract import FAILED, run_contract, standard_tests
from .subject import Subject, installed_subjects


def _subject(name: str) -> Subject:
    """Give a subject that is installed, or that ``module:name`` says."""
    module, colon, attribute = name.partition(":")
    if not colon:
        installed = installed_subjects()
        if name not in installed:
            raise click.ClickException(
                f"expected a subject that is installed or 'module:name', got '{name}'; installed are "
                f"{', '.join(installed) or 'none'}"
            )
        return installed[name]
    found = getattr(importlib.import_module(module), attribute, None)
    if isinstance(found, type) and issubclass(found, Subject):
        found = found()
    if not isinstance(found, Subject):
        raise click.ClickException(f"expected a Subject for '{name}', got {type(found).__name__}")
    return found


@click.command()
@click.argument("subject")
@click.argument("tests", nargs=-1)
@json_option
def main(subject: str, tests: tuple[str, ...], as_json: bool) -> None:
    """Ask SUBJECT the standard tests, all or those named by TESTS.

    SUBJECT is the name of one that is installed, or module:name.  The exit status is 1 if one fails.
    """
    chosen = _subject(subject)
    absent = chosen.absent()
    if absent:
        raise click.ClickException(absent)
    try:
        outcomes = run_contract(chosen, tests or None)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    failed = [outcome for outcome in outcomes if outcome.status == FAILED]
    if as_json:
        print_json([dataclasses.asdict(outcome) for outcome in outcomes])
    else:
        table = columns("test", "suite", "outcome", "why")
        for outcome in outcomes:
            table.add_row(outcome.test, standard_tests()[outcome.test].suite, outcome.status, outcome.reason)
        print_table(table)
        for outcome in failed:
            if outcome.meaning:
                click.echo(f"\n{outcome.test}: {outcome.meaning}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main(prog_name="python -m metatomic_core.testing")
