"""Fuzzing by hand: ``python tests/fuzz/long.py --minutes 60 [--target NAME ...] [--seed N] [--output DIR]``.

Goes round all targets, and prints for each how many inputs were tried, accepted and refused, and what was found.  Each
finding is shrunk and written to a folder, with what it raised; mend it, and move it to ``tests/fuzz/corpus/TARGET``.
"""

import argparse
import faulthandler
import functools
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["METATOMIC_EXPORTED"] = "0"

# seconds of one target at a time, at most
_ROUND = 20.0
# a reader that hangs in compiled code ends the process, and says where
_HANGS = 600.0


def main() -> int:
    """Run; give the exit status: 1 if anything was found."""
    from fuzz import corpus
    from fuzz.search import search_until
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--target", action="append", choices=[*TARGETS], help="may be given several times")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--output", type=Path, default=Path("fuzz-findings"))
    arguments = parser.parse_args()
    names = arguments.target or [*TARGETS]
    end = time.monotonic() + 60.0 * arguments.minutes
    number, found, counts = arguments.seed, {name: {} for name in names}, {name: Counter() for name in names}
    seconds, share = Counter(), min(_ROUND, 20.0 * arguments.minutes / len(names))
    print(f"seed {number}, {len(names)} targets, {arguments.minutes:g} minutes")
    while time.monotonic() < end:
        for name in names:
            start = time.monotonic()
            if start >= end:
                break
            faulthandler.dump_traceback_later(_HANGS, exit=True)
            before = set(found[name])
            # what ends the process is there afterwards
            note = functools.partial(corpus.write, arguments.output / f"tried-last-{name}")
            search_until(TARGETS[name], min(end, start + share), number, found[name], counts[name], note)
            faulthandler.cancel_dump_traceback_later()
            seconds[name] += time.monotonic() - start
            for index, signature in enumerate(set(found[name]) - before, len(before) + 1):
                problem = found[name][signature]
                path = corpus.write(arguments.output / name / f"finding-{index}", problem.value)
                path.with_suffix(".txt").write_text(problem.text, "utf-8")
                print(f"{name}: {' '.join(signature)}; see {path}", flush=True)
            number += 1
        _print_table(names, counts, seconds)
    return 1 if any(found.values()) else 0


def _print_table(names, counts, seconds):
    print(f"{'target':20} {'seconds':>8} {'inputs':>9} {'accepted':>9} {'refused':>9} {'findings':>9}")
    for name in names:
        row = counts[name]
        inputs = row["accepted"] + row["refused"] + row["known"] + row["findings"]
        print(
            f"{name:20} {seconds[name]:8.0f} {inputs:9d} {row['accepted']:9d} {row['refused']:9d} {row['findings']:9d}"
        )
    total = Counter()
    for name in names:
        total += counts[name]
    print(f"{'all':20} {sum(seconds.values()):8.0f} {sum(total.values()):9d}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
