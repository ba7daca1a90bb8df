"""Docstrings of all that is public: numpydoc reads them, and they name each parameter, result and error.

Public is what ``__all__`` names in a package, and in a module of the kit for adapters.  Looked at are classes, their
public methods, and functions.
"""

import ast
import builtins
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from types import SimpleNamespace

import pytest
import torch
from numpydoc.validate import validate

PACKAGES = (
    "metatomic_core",
    "metatomic_core.adapters",
    "metatomic_core.authors",
    "metatomic_core.combining",
    "metatomic_core.engine",
    "metatomic_core.heat_flux",
    "metatomic_core.loading",
    "metatomic_core.o3",
    "metatomic_core.potentials",
    "metatomic_core.testing",
    "metatomic_core.testing.bench",
    "metatomic_core.testing.pytest",
    "metatomic_core.testing.structures",
    "metatomic_core.testing.subjects",
    "metatomic_core.units",
    "metatomic_core.writing",
    "metatomic_ase",
    "metatomic_ase.batched",
    "metatomic_ipi",
    "metatomic_lammps",
)
# parameters: all of them, none that is not there, in their order, with something said of each; the same of results;
# errors are looked for in the code below, since numpydoc does not know them
CHECKS = {"GL03", "GL06", "GL07", "PR01", "PR02", "PR03", "PR07", "RT01", "RT03", "SS01"}
# a docstring that is all said elsewhere: "As `AtomisticModel.evaluate`, ..."
ELSEWHERE = re.compile(r"As `[\w.]+`")


def modules():
    """Give the names of public modules: those above, and all of the kit."""
    kit = importlib.import_module("metatomic_core.adapters")
    return [*PACKAGES, *(f"{kit.__name__}.{module.name}" for module in pkgutil.iter_modules(kit.__path__))]


def public_names(module):
    """Give what ``__all__`` says; without one, what is defined there and has no underscore."""
    if hasattr(module, "__all__"):
        return module.__all__
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def public_objects():
    """Give each public function, class and method of ours, as ``path: object``."""
    found = {}
    for name in modules():
        module = importlib.import_module(name)
        for exported in public_names(module):
            value = getattr(module, exported)
            is_code = inspect.isclass(value) or inspect.isfunction(value)
            if not (is_code and value.__module__.startswith("metatomic")):
                continue
            path = f"{value.__module__}.{value.__qualname__}"
            found[path] = value
            if inspect.isclass(value):
                found.update(methods(path, value))
    return found


def methods(path, kind):
    """Give the public methods that a class defines itself, and that no library has defined for it."""
    others = [base for base in kind.__mro__ if not base.__module__.startswith("metatomic")]
    return {
        f"{path}.{name}": value
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod)))
        and not any(hasattr(base, name) for base in others if base is not torch.nn.Module)
    }


def code_of(value):
    """Give the function behind a method or property, the constructor of a class, or None."""
    if inspect.isclass(value):
        return vars(value).get("__init__")
    return value.fget if isinstance(value, property) else getattr(value, "__func__", value)


def raised(function):
    """Give the errors that a function raises itself: the names of each and of what it is a kind of."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):  # __init__ of a dataclass has no source
        return []
    errors = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    names = {ast.unparse(error.func if isinstance(error, ast.Call) else error).rpartition(".")[2] for error in errors}
    known = {**vars(builtins), **inspect.unwrap(function).__globals__}
    # a variable is an error of somebody else that is passed on
    return [[name, *kinds_of_error(known.get(name))] for name in sorted(names) if name[0].isupper()]


def kinds_of_error(error):
    """Give the names of the classes that an error is of, those of all errors excepted."""
    kinds = () if error is None else error.__mro__
    return [kind.__name__ for kind in kinds if kind not in (Exception, BaseException, object)]


def problems(path, value):
    """Give one line for each thing that the docstring of a public object lacks."""
    text = inspect.getdoc(value) or ""
    if ELSEWHERE.match(text):
        return []
    found = {code: message for code, message in validate(path)["errors"] if code in CHECKS}
    function = code_of(value)
    if inspect.isclass(value) and (function is None or "\nAttributes\n---" in text):
        # no constructor of its own, or fields, which are described as such
        found.pop("PR01", None)
    if function is not None and not inspect.isclass(value) and takes_nothing(function):
        # the first line says what it gives
        found.pop("RT01", None)
    named = text.partition("\nRaises\n---")[2]
    missing = [] if function is None else [names[0] for names in raised(function) if not any(n in named for n in names)]
    return [*found.values(), *(f"{name} is raised, and not in Raises" for name in missing)]


def takes_nothing(function):
    """Say whether a function has no parameters beside itself."""
    return not set(inspect.signature(function).parameters) - {"self", "cls"}


OBJECTS = public_objects()


@pytest.mark.parametrize("path", OBJECTS)
def test_docstring_names_parameters_results_and_errors(path):
    assert problems(path, OBJECTS[path]) == []


def undocumented(number: float) -> float:
    """Give the root."""
    if number < 0:
        raise ArithmeticError(f"expected a number above zero, got {number}")
    return number**0.5


def test_docstring_lint_finds(monkeypatch):
    monkeypatch.setitem(sys.modules, "undocumented_module", SimpleNamespace(root=undocumented))
    found = problems("undocumented_module.root", undocumented)
    assert found == [
        "Parameters {'number'} not documented",
        "No Returns section found",
        "ArithmeticError is raised, and not in Raises",
    ]
