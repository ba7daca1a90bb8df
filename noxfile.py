"""All checks of the repository: ``nox -l`` lists them, plain ``nox`` runs what CI runs.

Packages are discovered in ``packages/*``: a new one is linted, tested alone and together with the
others, and built, without a change here.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "together", "reference", "walkthrough", "docs", "build"]

ROOT = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints.txt"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
SOURCES = ["packages", "tests", "docs", "noxfile.py"]

TEST_TOOLS = ["pytest", "pytest-xdist", "hypothesis"]
# what the tests of one package need beyond the package: a TorchScript extension to load, the
# tools that compile the C++ example (the compiler itself comes from the machine), and the
# library of the models that are converted
EXTRA_TEST_TOOLS = {
    "core": ["vesin-torch", "cmake", "ninja"],
    "lammps-glue": ["metatomic-torch"],
}
# packages of this repository that the tests of another one compare it with
EXTRA_TEST_PACKAGES = {"lammps-glue": ["ase-calc"], "ipi-driver": ["ase-calc"]}
# commands before the tests: the plugin is compiled once, not by each of the processes of pytest
BEFORE_TESTS = {"lammps-glue": ["metatomic-lammps", "build"]}
# tests use one core each, so two run at a time; modules stay together, where their tests share models and runs
PYTEST_ARGUMENTS = ["-n", "2", "--dist", "loadscope"]

# the calculator of the reference implementation: its distribution has the name of ours, and so
# no line in the constraints
REFERENCE_CALCULATOR = "metatomic-ase==0.1.4"

# folders of tests that need more than the packages: they have sessions of their own, and tests/gpu is run by hand
ELSEWHERE = {"tests/docs", "tests/gpu", "tests/reference"}

# the pages themselves, once built, are looked at by the session `docs`
PAGES_AND_SCRIPTS = ["tests/docs", "--ignore", "tests/docs/test_built.py"]

# tests of single packages that run once more where all packages are installed
TOGETHER = ["tests/ase_calc/test_calculator.py", "tests/core/test_model_defects.py"]


def install(session: nox.Session, *requirements: str) -> None:
    """Install from the index, in the tested versions."""
    session.install("-c", str(CONSTRAINTS), *requirements)


def install_packages(session: nox.Session, folders: list[str], *requirements: str) -> None:
    """Install packages of this repository and what they need.

    torch goes first, so that an index that lacks it shows at once. The packages go in one call:
    each then finds the others here rather than on an index.
    """
    install(session, "torch")
    install(session, *(f"./packages/{folder}" for folder in folders), *requirements)


def run_pytest(session: nox.Session, *paths: str) -> None:
    """Run pytest in two processes of one thread, the way the reference numbers were made."""
    session.run("pytest", *PYTEST_ARGUMENTS, *paths, *session.posargs, env={"OMP_NUM_THREADS": "1"})


def tests_of(folder: str) -> list[str]:
    """Give the tests of one package: its own folder and its part of the contract suite."""
    own = Path("tests", folder.replace("-", "_"))
    contract = Path("tests", "contract", f"test_{folder.split('-')[0]}.py")
    return [str(path) for path in (own, contract) if (ROOT / path).exists()]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and spelling."""
    install(session, "ruff", "codespell")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", *SOURCES, *map(str, ROOT.glob("*.md")))


@nox.session
def types(session: nox.Session) -> None:
    """Check the type hints of all packages."""
    install_packages(session, PACKAGES, "mypy")
    for folder in PACKAGES:
        session.run("mypy", f"packages/{folder}/src")


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def tests(session: nox.Session, package: str) -> None:
    """Test one package, installed with core alone."""
    paths = tests_of(package)
    if not paths:
        session.error(f"expected tests of {package} in tests/{package.replace('-', '_')}, got none")
    extra = EXTRA_TEST_TOOLS.get(package, [])
    install_packages(session, sorted({"core", package, *EXTRA_TEST_PACKAGES.get(package, [])}), *TEST_TOOLS, *extra)
    if package in BEFORE_TESTS:
        session.run(*BEFORE_TESTS[package])
    run_pytest(session, *paths)


@nox.session
def together(session: nox.Session) -> None:
    """Check that all packages live in one environment: the tests that the packages' own sessions do not run."""
    install_packages(session, PACKAGES, *TEST_TOOLS)
    session.run("python", "-m", "pip", "check")
    own = {f"tests/{folder.replace('-', '_')}" for folder in PACKAGES}
    shared = sorted(path.parent.as_posix() for path in ROOT.glob("tests/*/test_*.py"))
    folders = {Path(path).relative_to(ROOT).as_posix() for path in shared} - own - ELSEWHERE
    run_pytest(session, *sorted(folders), *TOGETHER)


@nox.session
def reference(session: nox.Session) -> None:
    """Compare with the reference implementation: models of both, in the calculators of both."""
    install_packages(session, PACKAGES, *TEST_TOOLS, "vesin-torch")
    # last, as whoever has our packages would do it: it requires a `metatomic-ase`, and ours serves
    install(session, "metatomic-torch")
    session.run("python", "-m", "pip", "check")
    other = Path(session.create_tmp()) / "reference-ase"
    shutil.rmtree(other, ignore_errors=True)
    # its own calculator lives in a folder that is first on the path of processes which use it
    session.install("--no-deps", "--target", str(other), REFERENCE_CALCULATOR)
    env = {"OMP_NUM_THREADS": "1", "METATOMIC_REFERENCE_ASE": str(other.absolute())}
    session.run("pytest", "tests/reference", *session.posargs, env=env)


@nox.session
def walkthrough(session: nox.Session) -> None:
    """Follow README and documentation line by line, and run benchmarks and examples at their smallest size."""
    install_packages(session, PACKAGES, *TEST_TOOLS, "docutils", "markdown-it-py", "cmake", "ninja")
    install(session, "metatomic-torch")
    session.run("metatomic-lammps", "build")  # once, before two processes want it
    # pages and scripts are independent: each goes to the process that is free
    session.run(
        "pytest", "-n", "2", "--dist", "load", *PAGES_AND_SCRIPTS, *session.posargs, env={"OMP_NUM_THREADS": "1"}
    )


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Run the silicon demonstration; results go to demo-output/."""
    install_packages(session, ["core", "ase-calc"], "matplotlib")
    session.run("python", "examples/demo.py", "--output", "demo-output", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, with warnings as errors, and check what is in the pages."""
    install_packages(session, PACKAGES, "sphinx", "furo", "pytest")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-E", "docs", "docs/_build/html")
    session.run("pytest", "tests/docs/test_built.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel of every package in dist/<package>/ and check what is inside."""
    install(session, "build", "hatchling")
    for folder in PACKAGES:
        source, out = ROOT / "packages" / folder, ROOT / "dist" / folder
        shutil.rmtree(out, ignore_errors=True)
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(out), str(source))
        check_distributions(session, source, out)


def check_distributions(session: nox.Session, source: Path, out: Path) -> None:
    """Fail unless wheel and sdist hold every source file and the licence, and no stray ones."""
    files = {
        path.relative_to(source / "src").as_posix()
        for path in source.glob("src/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    code = {name for name in in_wheel if ".dist-info/" not in name}
    problems = {
        f"{wheel.name} lacks": files - code,
        f"{wheel.name} should not hold": code - files,
        f"{sdist.name} lacks": {f"src/{name}" for name in files} - in_sdist,
        f"{sdist.name} lacks the file": {"LICENSE", "README.md", "pyproject.toml"} - in_sdist,
    }
    if not any(name.endswith("licenses/LICENSE") for name in in_wheel):
        session.error(f"{wheel.name} lacks its licence")
    for text, names in problems.items():
        if names:
            session.error(f"{text} {', '.join(sorted(names))}")
