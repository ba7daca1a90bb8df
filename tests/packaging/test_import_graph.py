"""The plan of the house: wings import only downwards, no circles, and nothing private across folders or packages."""

import ast
import graphlib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.name for path in ROOT.glob("packages/*/src/metatomic_*"))
# folders and modules of core, from the ground up: each may import what stands before it
WINGS = (
    "foundation",
    "units",
    "data",
    "authors",
    "neighbor_lists",
    "pipeline",
    "files",
    "tracing",
    "model",
    "loading",
    "writing",
    "kernels",
    "engine",
    "adapters",
    "potentials",
    "combining",
    "o3",
    "heat_flux",
    "dftd3",
    "foreign",
    "gromacs",
    "testing",
    "diagnosis",
    "cli",
)


# of core, besides what it exports itself, all that adapters, benchmarks and tests of adapters may import
PUBLIC = (
    "adapters",
    "authors",
    "cli",
    "combining",
    "dftd3",
    "engine",
    "heat_flux",
    "o3",
    "potentials",
    "testing",
    "units",
)
# folder: what else it may import
OUTSIDE = {
    "packages/ase-calc/src": (),
    # checks look into models: other pairs, another precision, code compiled for the occasion
    "packages/check/src": ("data", "kernels", "model", "neighbor_lists"),
    "packages/importers/src": (),
    "packages/ipi-driver/src": (),
    "packages/lammps-glue/src": (),
    "benchmarks": (),
    "examples": (),
    "tests/ase_calc": (),
    "tests/ipi_driver": (),
    # the plugin has the rules of core for the choice of outputs in C++, and is compared with them
    "tests/lammps_glue": ("data",),
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def arrows(graph: grimp.ImportGraph):
    """Give importing and imported module of each import, those inside of functions and for types alone included."""
    return [(module, name) for module in graph.modules for name in graph.find_modules_directly_imported_by(module)]


def test_there_is_no_circle(graph):
    # the packages' own modules give public names on first use, and so have imports for types of all of them
    modules = {module for module in graph.modules if module not in PACKAGES}
    tree = {module: graph.find_modules_directly_imported_by(module) & modules for module in modules}
    list(graphlib.TopologicalSorter(tree).static_order())


def test_wings_import_only_downwards(graph):
    def floor(module: str) -> int:
        return WINGS.index(module.split(".")[1])

    inside = [(a, b) for a, b in arrows(graph) if a.startswith("metatomic_core.") and a != "metatomic_core.__main__"]
    assert len(inside) > 100
    upwards = [(a, b) for a, b in inside if b == "metatomic_core" or floor(b) > floor(a)]
    assert upwards == []


def test_private_names_stay_in_their_folder(graph):
    def is_private(module: str) -> bool:
        return module.rpartition(".")[2].startswith("_")

    outside = [
        (a, b) for a, b in arrows(graph) if is_private(b) and not (a + ".").startswith(b.rpartition(".")[0] + ".")
    ]
    assert outside == []


def test_core_imports_no_adapter(graph):
    assert [
        (a, b) for a, b in arrows(graph) if a.startswith("metatomic_core") and not b.startswith("metatomic_core")
    ] == []


def imported_names(path: Path):
    """Give the modules that a file imports, with the name for ``from package import name``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", OUTSIDE)
def test_adapters_import_only_what_is_public(folder):
    wings = {path.stem for path in (ROOT / "packages/core/src/metatomic_core").iterdir()}
    public = (*PUBLIC, *OUTSIDE[folder])
    assert set(public) <= wings
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in imported_names(path):
            package, _, inside = name.partition(".")
            wing = inside.partition(".")[0]
            private = any(part.startswith("_") for part in inside.split("."))
            if package == "metatomic_core" and (private or (wing in wings and wing not in public)):
                found.append((path.relative_to(ROOT).as_posix(), name))
    assert found == []
