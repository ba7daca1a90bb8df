"""docs/architecture.rst is true: its wings are those of the house, and its functions are called in the order given."""

import ast
import importlib
import inspect
import re
import sys

import pytest
import torch

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from ase.build import bulk
from doc_pages import ROOT, code_blocks, table_rows

from metatomic_ase import MetatomicCalculator
from metatomic_core import load_atomistic_model
from metatomic_core.potentials import lennard_jones
from metatomic_importers import import_model

PAGE = "docs/architecture.rst"
# what its tables are about, in their order
WAYS = ["evaluate", "load", "save", "import"]
NAME = re.compile(r"\bmetatomic_[a-z]+(?:\.\w+)+")


def wings():
    """Give the wings from the ground up, as the test of imports has them."""
    tree = ast.parse((ROOT / "tests/packaging/test_import_graph.py").read_text("utf-8"))
    (values,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WINGS"
    )
    return ast.literal_eval(values)


def named(name):
    """Give what a dotted name stands for."""
    parts = name.split(".")
    value = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        if not hasattr(value, part):
            importlib.import_module(".".join(parts[:i]))
        value = getattr(value, part)
    return value


def ways():
    """Give the functions of each table, in its order."""
    found, rows = [], table_rows(PAGE)
    for row in rows:
        if row == ["function", "what it does"]:
            found.append([])
        elif found:
            found[-1].append(row[0])
    return found


def calls(function):
    """Run a function; give the code of all that it calls, in the order of the first calls."""
    seen = {}

    def note(frame, event, _):
        if event == "call":
            seen.setdefault(frame.f_code, len(seen))

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return seen


def test_picture_has_all_wings_from_the_ground_up():
    (picture,) = code_blocks(PAGE)
    inside = [re.match(r" +\|  (.*?)\|", line) for line in picture.text.splitlines()]
    levels = [found[1].split() for found in inside if found and found[1].strip()]
    assert tuple(wing for level in reversed(levels) for wing in level) == wings()


def test_table_has_all_wings_from_the_top_down():
    rows = table_rows(PAGE)
    start = rows.index(["wing", "what belongs there"]) + 1
    assert tuple(row[0] for row in rows[start : start + len(wings())]) == wings()[::-1]


def test_all_that_is_named_exists():
    names = sorted(set(NAME.findall((ROOT / PAGE).read_text("utf-8"))))
    assert len(names) >= 30
    for name in names:
        named(name)


@pytest.mark.parametrize("way", WAYS)
def test_functions_are_called_in_the_order_of_the_table(way, tmp_path):
    model, path = lennard_jones(["Ar"], 3.405, 0.01032), tmp_path / "model.pt"
    atoms = bulk("Ar", "fcc", a=5.26)
    atoms.calc = MetatomicCalculator(model, device="cpu")
    model.save(path)

    checkpoint = tmp_path / "morse.ckpt"
    parameters = {"epsilon": 0.8, "r0": 2.4, "rho0": 5.0}
    torch.save({"format": "toy-morse", "species": [14], "parameters": parameters}, checkpoint)

    tables = dict(zip(WAYS, ways(), strict=True))
    run = {
        "evaluate": atoms.get_forces,
        "load": lambda: load_atomistic_model(path),
        "save": lambda: model.save(path, exported=True),
        "import": lambda: import_model("toy", checkpoint, tmp_path / "morse.pt"),
    }[way]
    seen = calls(run)
    functions = [inspect.unwrap(named(name)).__code__ for name in tables[way]]
    assert [function for function in functions if function not in seen] == []
    assert sorted(functions, key=seen.__getitem__) == functions
