"""What is declared and what is at hand: about the metadata of the model, and the packages on this machine."""

import difflib
from collections.abc import Iterator

from metatomic_check.bench import Bench
from metatomic_check.checking import declared_by_design
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import all_checks, check


@check("declarations", "contract")
def declarations(bench: Bench) -> Iterator[Finding]:
    """What the metadata of the model declare to be by design is the name of no check, and so has no effect."""
    declared = declared_by_design(bench.engine.model.metadata().extra)
    for name, reason in declared.items():
        if name in all_checks():
            text = f"the model declares to break this by design: {reason}"
            yield Finding("declarations", Grade.INFORMATION, text, part=name)
            continue
        close = difflib.get_close_matches(name, all_checks(), 1, cutoff=0.5)
        hint = f", the nearest is '{close[0]}'" if close else ""
        text = f"the model declares something by design for '{name}', which is no check{hint}; correct its metadata"
        yield Finding("declarations", Grade.WARN, text, part=name)
    if not declared:
        yield Finding("declarations", Grade.PASS, "the model declares to keep all that is checked")


@check("engines at hand", "engines")
def engines_at_hand(bench: Bench) -> Iterator[Finding]:
    """An engine whose package is not installed is not compared with the others."""
    for name, package in bench.absent.items():
        text = f"{package} is not installed here; install it to have this engine compared"
        yield Finding("engines at hand", Grade.NOT_APPLICABLE, text, part=name)
    if bench.absent:
        return
    if bench.only_engines is not None and not bench.only_engines:
        yield Finding("engines at hand", Grade.NOT_APPLICABLE, "no engines were asked for")
    else:
        yield Finding("engines at hand", Grade.PASS, "all engines that were asked for are installed")
