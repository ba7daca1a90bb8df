"""A person who follows README.md or a page of the documentation line by line, in one folder, sees no error.

Every block of code is run, in the order of its page, in a fresh folder where the files of the clone are at hand. What
is not run is in the tables below, with the reason; a row that nothing needs any more fails as well.
Run by ``nox -s walkthrough``, where all packages and metatomic-torch are installed.
"""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import OTHER_LANGUAGES, PAGES, ROOT, code_blocks

# what a person has who stands in a clone
CLONE = ["benchmarks", "constraints.txt", "docs", "examples", "packages", "tests"]
SECONDS = 400

NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?")
SHELL = ["", "bash", "shell", "sh"]
# (page or None for all, start of a line of a shell block, reason not to run it)
SKIPPED_LINES = [
    (None, "pip install ", "the packages are installed, in the versions of the constraints"),
    (None, "python3 -m venv ", "makes the environment in which this runs"),
    (None, ".venv/bin/pip install ", "the same as pip install"),
    (None, "export PIP_EXTRA_INDEX_URL=", "for pip alone"),
    ("docs/universal.rst", "metatomic compile 7net0.pt", "minutes; tests/families compile smaller ones"),
    ("docs/universal.rst", "metatomic check 7net0.pt", "minutes; tests/check and docs/check.rst check smaller ones"),
    ("docs/engines/ipi.rst", "i-pi input.xml &", "a run of one's own, without an end; tests/ipi_driver make such runs"),
    ("docs/engines/ipi.rst", "metatomic-ipi model.pt template.xyz --", "client of that run"),
    ("docs/engines/lammps.rst", "metatomic-lammps build --lammps ~/", "LAMMPS and libtorch of another machine"),
    ("docs/engines/lammps.rst", "plugin load /home/", "line of a LAMMPS input, for another machine"),
    ("packages/ipi-driver/README.md", "i-pi input.xml &", "a run of one's own, without an end"),
    ("packages/ipi-driver/README.md", "metatomic-ipi model.pt template.xyz --unix NAME", "client of that run"),
]  # fmt: skip

# (page, start of an unnamed block which is no shell, reason)
NOT_SHELL = [
    ("docs/engines/ipi.rst", "<ffdirect", OTHER_LANGUAGES["xml"]),
    ("docs/engines/lammps.rst", "pair_style metatomic MODEL", "a syntax"),
    ("docs/engines/lammps.rst", "fix charges all pair", OTHER_LANGUAGES["lammps"]),
    ("docs/engines/lammps.rst", "pair_style hybrid/overlay", OTHER_LANGUAGES["lammps"]),
]

# (page, start of a block that is a file, its name): written before the page is followed
FILES = [
    ("packages/lammps-glue/README.md", "units metal", "in.lammps"),
    ("docs/universal.rst", "units metal", "in.lih"),
]

# page -> commands for what it takes for granted
GRANTED = {
    "examples/cpp/README.md": "cp examples/cpp/* .",  # it is read in its own folder
}

# long runs, and what is run instead
SHORTER = {
    "--steps 10000": "--steps 20",
    # some frames of it are compared
    "run.extxyz --steps 2000": "run.extxyz --steps 300",
    "--steps 20000": "--steps 40",
    "--steps 2000": "--steps 20",
    "--steps 200": "--steps 10",
    "--steps 500": "--steps 10",
    "\nrun 1000\n": "\nrun 10\n",
    "else 40.0": "else 0.2",
}


def matching(table, page, text):
    """Rows of a table that are meant for this page and begin like the text."""
    return [row for row in table if row[0] in (None, page) and text.startswith(row[1])]


def shortened(text):
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and what went wrong, or nothing."""

    printed: str = ""
    failure: str = ""


def run(command, folder, exported="1"):
    """Run a command in a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "METATOMIC_EXPORTED": exported}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Outcome(failure=f"did not end in {SECONDS} s")
    return Outcome(printed, f"status {process.returncode}: {printed[-1500:]}" if process.returncode else "")


def run_shell(text, folder):
    # programs of imported models take a minute to make, and tests/families make them
    exported = "0" if "metatomic import " in text else "1"
    return run(["bash", "-euo", "pipefail", "-c", shortened(text)], folder, exported)


def run_block(block, folder, before):
    """Run a block as far as it is one to run; output is compared with what the block before it printed."""
    if block.language == "output":
        return Outcome(before.printed, "\n".join(lines_not_printed(block.text, before.printed)))
    if block.language == "python":
        script = folder / f"script_of_line_{block.line}.py"  # TorchScript reads the source of a model
        script.write_text(block.text, "utf-8")
        return run([sys.executable, script.name], folder)
    if block.language in OTHER_LANGUAGES:
        return Outcome()
    if block.language not in SHELL:
        return Outcome(failure=f"language {block.language!r} is not known to this test")
    if not block.language and (matching(NOT_SHELL, block.page, block.text) or matching(FILES, block.page, block.text)):
        return Outcome()
    whole = re.sub(r"\\\n\s*", " ", block.text)
    lines = [line for line in whole.splitlines() if not matching(SKIPPED_LINES, block.page, line)]
    return run_shell("\n".join(lines), folder) if "".join(lines).strip() else Outcome()


def lines_not_printed(expected, printed):
    """Give the lines of a page that no printed line equals: in its words, and its numbers to a hundredth."""
    lines = [line.split() for line in printed.splitlines()]
    wanted = [line for line in expected.splitlines() if line.strip()]
    return [f"not printed: {line}" for line in wanted if not any(same(line.split(), words) for words in lines)]


def same(expected, printed):
    return len(expected) == len(printed) and all(map(same_word, expected, printed))


def same_word(expected, printed):
    if NUMBER.fullmatch(expected) and NUMBER.fullmatch(printed):
        # below a millionth a number is rounding, which differs between machines
        return float(printed) == pytest.approx(float(expected), rel=0.01, abs=1e-6)
    return expected == printed


@pytest.mark.parametrize("page", [page for page in PAGES if code_blocks(page)])
def test_page_line_by_line(page, tmp_path):
    for name in CLONE:
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = code_blocks(page)
    for block in blocks:
        for _, _, name in matching(FILES, page, block.text):
            (tmp_path / name).write_text(shortened(block.text), "utf-8")
    outcome = run_shell(GRANTED.get(page, "true"), tmp_path)
    assert outcome.failure == ""
    failures = []
    for block in blocks:
        outcome = run_block(block, tmp_path, outcome)
        failures += [f"{block}: {outcome.failure}"] if outcome.failure else []
    assert not failures, "\n\n".join(failures)


def test_output_is_compared_by_word_and_number():
    """What is on a page and was not printed is found, and a last digit of another machine is not."""
    printed = "header\nvolume [Å^3]   20.0233\nresidual   3e-15\n"
    assert lines_not_printed("volume [Å^3]  20.02\n\nresidual 1e-14", printed) == []
    assert lines_not_printed("volume [Å^3]  20.5", printed) == ["not printed: volume [Å^3]  20.5"]
    assert lines_not_printed("volume [nm^3]  20.02", printed) == ["not printed: volume [nm^3]  20.02"]


def test_tables_have_no_row_too_many():
    """What is listed as not run, or written as a file, is on the page that it names."""
    blocks = [block for page in PAGES for block in code_blocks(page)]
    starts = [(block.page, line) for block in blocks for line in [block.text, *block.text.splitlines()]]
    unused = [
        (page, start)
        for page, start, _ in [*SKIPPED_LINES, *NOT_SHELL, *FILES]
        if not any(page in (None, where) and line.startswith(start) for where, line in starts)
    ]
    assert unused == []
    assert set(GRANTED) <= set(PAGES)
    assert all(any(long in block.text for block in blocks) for long in SHORTER)
