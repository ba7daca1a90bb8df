"""Error messages and warnings of all packages follow one form.

Lower-case start (or a name in backticks or quotes), no full stop at the end, one line.
"""

import ast
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"
FILES = sorted(PACKAGES.glob("*/src/**/*.py"))

# names that start with a capital letter wherever they stand
PROPER_NAMES = ("ASE", "LAMMPS", "TorchScript", "Python", "C++")
# exceptions whose argument is not a message for people
NOT_MESSAGES = ("KeyError", "SystemExit", "Exit", "StopIteration")


def literal_parts(node):
    """Give the constant texts of a string or f-string, None for each computed part."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return literal_parts(node.left) + literal_parts(node.right)
    return [None]


def message_calls(tree):
    """Give every call that carries a message: raised exceptions and warnings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            call = node.exc
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
            call = node
        else:
            continue
        name = ast.unparse(call.func).rpartition(".")[2]
        if call.args and name not in NOT_MESSAGES:
            yield call


def problems(source):
    """Give one line for each message that breaks the form."""
    found = []
    for call in message_calls(ast.parse(source)):
        parts = literal_parts(call.args[0])
        first, last = parts[0], parts[-1]
        if first and first[0].isupper() and not first.startswith(PROPER_NAMES):
            found.append(f"line {call.lineno}: expected a lower-case start, got {first[:40]!r}")
        if last and last.rstrip().endswith((".", "!")) and not last.endswith("..."):
            found.append(f"line {call.lineno}: expected no full stop, got {last[-40:]!r}")
        if any(part and "\n" in part for part in parts):
            found.append(f"line {call.lineno}: expected one line, got a line break")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGES)))
def test_messages_of_module(path):
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise ValueError("Expected a number")', "lower-case start"),
        ('raise errors.InputError(f"Got {x}")', "lower-case start"),
        ('raise TypeError("expected a number, " f"got {x}.")', "no full stop"),
        ('raise ValueError("expected " + x + " here.")', "no full stop"),
        ('raise RuntimeError("expected a\\nnumber")', "one line"),
        ('warnings.warn("Old name", stacklevel=2)', "lower-case start"),
    ],
)
def test_messages_lint_finds(source, expected):
    (problem,) = problems(source)
    assert expected in problem


@pytest.mark.parametrize(
    "source",
    [
        'raise ValueError(f"expected a number for `cutoff`, got {x}; give one")',
        'raise ValueError(f"{name} is unknown")',
        'raise ValueError("`cutoff` must be positive")',
        'raise ValueError("LAMMPS gave no answer")',
        "raise KeyError('Fe')",
        "raise ValueError(text)",
        "raise",
    ],
)
def test_messages_lint_accepts(source):
    assert problems(source) == []
