"""Error messages and warnings of all packages follow one form.

Lower-case start (or a name in backticks or quotes), no full stop at the end, one line.  Those of the C++ sources say
besides what was expected and what was got.
"""

import ast
import re
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"
FILES = sorted(PACKAGES.glob("*/src/**/*.py"))
CPP_FILES = sorted(PACKAGES.glob("*/src/**/*.cpp"))

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
        found += problems_of_form(literal_parts(call.args[0]), call.lineno)
    return found


def problems_of_form(parts, line):
    """Give one line for each rule that a message breaks, given as its constant and computed parts."""
    found = []
    first, last = parts[0], parts[-1]
    if first and first[0].isupper() and not first.startswith(PROPER_NAMES):
        found.append(f"line {line}: expected a lower-case start, got {first[:40]!r}")
    if last and last.rstrip().endswith((".", "!")) and not last.endswith("..."):
        found.append(f"line {line}: expected no full stop, got {last[-40:]!r}")
    if any(part and "\n" in part for part in parts):
        found.append(f"line {line}: expected one line, got a line break")
    return found


# what is thrown, and what goes to LAMMPS' error class
CPP_CALL = re.compile(r"throw std::\w+\(|error->(?:all|one|warning)\(\s*FLERR,")
# the constant text and the computed parts of an argument, up to the end of the statement
CPP_PART = re.compile(r'\s*(?:((?:"(?:[^"\\\n]|\\.)*"\s*)+)|(\);)|([^";)]+|\)))')


def cpp_problems(source):
    """Give one line for each message of a C++ source that breaks the form."""
    found = []
    for call in CPP_CALL.finditer(source):
        parts, position = [], call.end()
        while match := CPP_PART.match(source, position):
            text, end, _ = match.groups()
            position = match.end()
            if end:
                break
            pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', text) if text else []
            parts.append("".join(pieces).replace("\\n", "\n") if text else None)
        line = source.count("\n", 0, call.start()) + 1
        found += problems_of_form(parts, line)
        whole = " ".join(part for part in parts if part)
        if parts[0] and not (whole.startswith("expected ") and "got " in whole):
            found.append(f"line {line}: expected 'expected ..., got ...', got {whole[:40]!r}")
    return found


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda path: str(path.relative_to(PACKAGES)))
def test_messages_of_cpp_source(path):
    assert cpp_problems(path.read_text(encoding="utf-8")) == []


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


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('throw std::runtime_error("Expected a number, got " + text);', "lower-case start"),
        ('throw std::runtime_error("expected a number, "\n    "got " + text + ".");', "no full stop"),
        ('error->all(FLERR, "expected a\\nnumber, got none");', "one line"),
        ('error->one(FLERR,\n   "no number here");', "'expected ..., got ...'"),
        ('error->warning(FLERR, "expected {}; give it", number(3));', "'expected ..., got ...'"),
    ],
)
def test_messages_lint_finds_in_cpp(source, expected):
    problems = cpp_problems(source)
    assert len([problem for problem in problems if expected in problem]) == 1


def test_messages_lint_accepts_in_cpp():
    source = """
throw std::runtime_error(text + "which does not exist");
throw std::runtime_error("expected `" + k + "` to be positive or off, got '" + join(v) + "'");
error->all(FLERR, std::string(problem.what()));
throw;
"""
    assert cpp_problems(source) == []
