"""All checks of the repository: ``nox -l`` lists them, plain ``nox`` runs what CI runs.

Packages are discovered in ``packages/*``: a new one is linted, tested alone and together with the
others, and built, without a change here.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.version import Version

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints.txt"
# folder: what its pyproject.toml says
PROJECTS = {path.parent.name: nox.project.load_toml(path) for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}
PACKAGES = list(PROJECTS)
FOLDERS = {contents["project"]["name"]: folder for folder, contents in PROJECTS.items()}
# as far as the packages go: what is listed was run, see the classifiers of the packages
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]

TEST_TOOLS = ["pytest", "pytest-xdist", "hypothesis"]
# commands before the tests: the plugin is compiled once, not by each of the processes of pytest
BEFORE_TESTS = {"lammps-glue": ["metatomic-lammps", "build"]}
# tests use one core each, so two run at a time; modules stay together, where their tests share models and runs
PYTEST_ARGUMENTS = ["-n", "2", "--dist", "loadscope"]

# the calculator of the reference implementation: its distribution has the name of ours, and so
# no line in the constraints
REFERENCE_CALCULATOR = "metatomic-ase==0.1.4"

# one suite for all adapters: each takes its own part, in its own session
CONTRACT = "tests/contract"
# folders of tests that need more than the packages: they have sessions of their own, and tests/gpu is run by hand
ELSEWHERE = {
    "tests/benchmarks",
    "tests/docs",
    "tests/families",
    "tests/gpu",
    "tests/imported",
    "tests/nequip",
    "tests/outside",
    "tests/reference",
}

# environments of families of models, which exclude each other: what of metatomic-importers' extras is in each
FAMILIES = {
    "sevennet": ["sevennet"],
    "chgnet": ["chgnet"],
    "mace": ["mace"],
    "nequip": ["nequip", "allegro"],
    "torchani": ["torchani"],
}
# those with trained weights in their package: in continuous integration, without the tests that take minutes
FAMILIES_IN_CI = ["sevennet", "chgnet"]
# where they leave model files for the environment that has none of them
IMPORTED = ROOT / ".nox" / ".cache" / "imported"

# the pages themselves, once built, are looked at by the session `docs`
PAGES_AND_SCRIPTS = ["tests/docs", "--ignore", "tests/docs/test_built.py"]

# some tests of each package, for other versions of what the packages need, and what they use of it
QUICK_TESTS = {
    "tests/core/test_engine.py": "the way of a structure through torch, metatensor-torch and NumPy",
    "tests/core/test_io.py": "files that metatensor-torch writes and reads",
    "tests/core/test_neighbor_lists.py": "vesin",
    "tests/core/test_cli_group.py": "click and rich",
    "tests/ase_calc/test_calculator.py": "ASE",
    "tests/ipi_driver/test_commands.py::test_input_of_each_case_runs": "i-PI reads our inputs, our client serves it",
    "tests/lammps_glue/test_units.py::test_argon_is_the_same_in_all_units": "LAMMPS runs the compiled plugin",
}
# in CI the only torch is the one of the constraints: others, a CUDA build of gigabytes each, are tried by hand
NOT_AT_MINIMUM = {"torch"}
# needed by ASE, whose own ranges say which ones go with the oldest NumPy
FREE_AT_MINIMUM = {"scipy", "matplotlib"}

# tests of single packages that run once more where all packages are installed
TOGETHER = ["tests/ase_calc/test_calculator.py", "tests/core/test_model_defects.py"]


def install(session: nox.Session, *requirements: str) -> None:
    """Install from the index, in the tested versions."""
    session.install("-c", str(CONSTRAINTS), *requirements)


def share_torch(session: nox.Session) -> None:
    """Install torch once for all environments of one Python, in ``.nox/.cache/``, and let this one see it.

    It is most of what an environment takes, on disk and in time: a dozen of copies filled a disk.
    What an environment installs itself goes before what is shared.
    """
    ask = "import sys, sysconfig; print(sysconfig.get_path('purelib'), '%d.%d' % sys.version_info[:2], sep='\\n')"
    packages, python = session.run("python", "-c", ask, silent=True).split()
    (version,) = re.findall(r"^torch==(\S+)", CONSTRAINTS.read_text("utf-8"), re.MULTILINE)
    shared = (session.cache_dir / f"torch-{version}-python{python}").absolute()
    if not shared.exists():
        unfinished = shared.with_name(f"{shared.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        session.install("-c", str(CONSTRAINTS), "--target", str(unfinished), "torch")
        unfinished.rename(shared)
    Path(packages, "shared-torch.pth").write_text(f"{shared}\n", "utf-8")


def install_packages(session: nox.Session, folders: list[str], *requirements: str) -> None:
    """Install packages of this repository and what they need.

    torch goes first, so that an index that lacks it shows at once. The packages go in one call:
    each then finds the others here rather than on an index.
    """
    share_torch(session)
    install(session, *(f"./packages/{folder}" for folder in folders), *requirements)


def install_family(session: nox.Session, family: str) -> None:
    """Install importers with the packages of a family, in the tested versions."""
    extras = ",".join(FAMILIES[family])
    versions = ["-c", str(CONSTRAINTS), "-c", str(ROOT / "constraints" / f"{family}.txt")]
    session.install(*versions, f"./packages/importers[{extras}]")


def run_pytest(session: nox.Session, *paths: str, **environment: str) -> None:
    """Run pytest in two processes of one thread, the way the reference numbers were made."""
    session.run("pytest", *PYTEST_ARGUMENTS, *paths, *session.posargs, env={"OMP_NUM_THREADS": "1", **environment})


def tests_of(folder: str) -> list[str]:
    """Give the tests of one package: its own folder and its part of the contract suite."""
    own = Path("tests", folder.replace("-", "_"))
    contract = Path(CONTRACT, f"test_{folder.partition('-')[0]}.py")
    return [str(path) for path in (own, contract) if (ROOT / path).exists()]


def declared_minimums() -> dict[str, str]:
    """Give the oldest version that the packages declare of each thing they need, as ``name: requirement``."""
    dependencies = [text for contents in PROJECTS.values() for text in contents["project"]["dependencies"]]
    found: dict[str, tuple[Version, str]] = {}
    for needed in map(Requirement, dependencies):
        if needed.name in {*FOLDERS, *NOT_AT_MINIMUM}:
            continue
        (version,) = (Version(part.version) for part in needed.specifier if part.operator == ">=")
        extras = f"[{','.join(sorted(needed.extras))}]" if needed.extras else ""
        row = (version, f"{needed.name}{extras}=={version}")
        found[needed.name] = max(found.get(needed.name, row), row)
    return {name: text for name, (_, text) in sorted(found.items())}


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and spelling: the hooks of .pre-commit-config.yaml, on all files."""
    install(session, "pre-commit", "ruff", "codespell", "clang-format")
    arguments = session.posargs or ["--all-files", "--show-diff-on-failure"]
    session.run("pre-commit", "run", *arguments, env={"SKIP": "types"})


@nox.session
def types(session: nox.Session) -> None:
    """Check the type hints of all packages."""
    # one module of core is for users of pytest
    install_packages(session, PACKAGES, "mypy", "pytest")
    for folder in PACKAGES:
        session.run("mypy", f"packages/{folder}/src")


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def tests(session: nox.Session, package: str) -> None:
    """Test one package, installed with core alone."""
    paths = tests_of(package)
    if not paths:
        session.error(f"expected tests of {package} in tests/{package.replace('-', '_')}, got none")
    contents = PROJECTS[package]
    extra = nox.project.dependency_groups(contents, "test") if "dependency-groups" in contents else ()
    folders = {"core", package, *(FOLDERS[name] for name in extra if name in FOLDERS)}
    install_packages(session, sorted(folders), *TEST_TOOLS, *(name for name in extra if name not in FOLDERS))
    if package in BEFORE_TESTS:
        session.run(*BEFORE_TESTS[package])
    run_pytest(session, *paths)


@nox.session
def together(session: nox.Session) -> None:
    """Check that all packages live in one environment: the tests that the packages' own sessions do not run."""
    # dispersion as an engine has it, and the program that it is compared with
    install_packages(session, PACKAGES, *TEST_TOOLS, "grimp", "numpydoc", "tad-dftd3", "dftd3")
    session.run("python", "-m", "pip", "check")
    own = {f"tests/{folder.replace('-', '_')}" for folder in PACKAGES}
    shared = sorted(path.parent.as_posix() for path in ROOT.glob("tests/*/test_*.py"))
    folders = {Path(path).relative_to(ROOT).as_posix() for path in shared} - own - ELSEWHERE
    # what adapters take of the contract is in their own sessions
    taken = {path for folder in PACKAGES for path in tests_of(folder)}
    others = {path.relative_to(ROOT).as_posix() for path in (ROOT / CONTRACT).glob("test_*.py")} - taken
    run_pytest(session, *sorted(folders - {CONTRACT}), *sorted(others), *TOGETHER)


@nox.session
def minimums(session: nox.Session) -> None:
    """Run some tests with the oldest versions that the packages declare, torch excepted."""
    oldest = declared_minimums()
    lines = CONSTRAINTS.read_text("utf-8").splitlines()
    free = set(oldest) | FREE_AT_MINIMUM
    others = Path(session.create_tmp()) / "constraints.txt"
    others.write_text("\n".join(line for line in lines if line.partition("==")[0] not in free), "utf-8")
    share_torch(session)
    session.install("-c", str(others), *oldest.values(), *TEST_TOOLS)
    session.install("--no-deps", *(f"./packages/{folder}" for folder in PACKAGES))
    session.run("python", "-m", "pip", "check")
    session.run("metatomic-lammps", "build")
    run_pytest(session, *QUICK_TESTS)


@nox.session(python=PYTHONS, default=False)
def pythons(session: nox.Session) -> None:
    """Run some tests with one version of Python; where torch has no small build, it takes 5 GB each."""
    install_packages(session, PACKAGES, *TEST_TOOLS)
    session.run("metatomic-lammps", "build")
    run_pytest(session, *QUICK_TESTS)


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
    run_pytest(session, "tests/reference", METATOMIC_REFERENCE_ASE=str(other.absolute()))


@nox.session
def nequip(session: nox.Session) -> None:
    """Run what nequip compiles: it makes small networks, compiles them, and says what their results are."""
    # its requirements stay out of the environments of all other sessions
    install_packages(session, ["core", "ase-calc"], *TEST_TOOLS, "nequip")
    session.run("pytest", "tests/nequip", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
@nox.parametrize("family", FAMILIES_IN_CI, ids=FAMILIES_IN_CI)
def importers_quick(session: nox.Session, family: str) -> None:
    """Import models of one family, without the tests that take a minute each."""
    test_family(session, family, "-m", "not long")


@nox.session(default=False)
@nox.parametrize("family", list(FAMILIES), ids=list(FAMILIES))
def importers(session: nox.Session, family: str) -> None:
    """Import models of one family, in all tests: some minutes each."""
    test_family(session, family)


def test_family(session: nox.Session, family: str, *arguments: str) -> None:
    """Compare imported models with the calculators of their package; what is written is kept for `imported`."""
    install_packages(session, ["core", "ase-calc"], *TEST_TOOLS)
    install_family(session, family)
    shutil.rmtree(IMPORTED / family, ignore_errors=True)
    # the tests of a family are one module, some of them long: each goes to the process that is free
    tests = ["--dist", "worksteal", f"tests/families/test_{family}.py", *arguments]
    run_pytest(session, *tests, METATOMIC_IMPORTED=str(IMPORTED / family))


@nox.session(default=False)
@nox.parametrize("family", list(FAMILIES), ids=list(FAMILIES))
def models(session: nox.Session, family: str) -> None:
    """Measure what the table of docs/models.rst says: models of ordinary size, on a quiet machine."""
    install_packages(session, ["core", "ase-calc"], *TEST_TOOLS)
    install_family(session, family)
    for name in FAMILIES[family]:
        session.run("python", "-W", "ignore", "benchmarks/models/measure.py", name, env={"OMP_NUM_THREADS": "1"})
    session.run("python", "benchmarks/models/measure.py", "--table")


@nox.session
def imported(session: nox.Session) -> None:
    """Run the files that the sessions `importers` wrote, where none of the packages is that they come from."""
    install_packages(session, ["core", "ase-calc", "ipi-driver", "lammps-glue"], *TEST_TOOLS)
    session.run("metatomic-lammps", "build")
    run_pytest(session, "tests/imported", METATOMIC_IMPORTED=str(IMPORTED))


@nox.session
def outside(session: nox.Session) -> None:
    """Let a package of somebody else take the contract, with wheels of ours and nothing of this repository."""
    install_packages(session, ["core"], *TEST_TOOLS, "hatchling", "build")
    wheels = Path(session.create_tmp()).absolute() / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", "--wheel", "--outdir", str(wheels), "packages/core")
    run_pytest(session, "tests/outside", METATOMIC_WHEELS=str(wheels))


@nox.session
def walkthrough(session: nox.Session) -> None:
    """Follow README and documentation line by line, and run the examples at their smallest size."""
    install_packages(session, PACKAGES, *TEST_TOOLS, "docutils", "markdown-it-py", "cmake", "ninja", "hatchling")
    # what pages need beside the packages: files of the reference, phonons and their symmetry, tables of dispersion
    install(session, "metatomic-torch", "phonopy", "seekpath", "spglib", "tad-dftd3")
    # what pages take along: a universal potential that comes in a package, and a family of a package of its own
    install_family(session, "sevennet")
    session.install("--no-deps", "--no-build-isolation", "./docs/examples/toy_family", "./docs/examples/toy_engine")
    session.run("metatomic-lammps", "build")  # once, before two processes want it
    # pages and scripts are independent: each goes to the process that is free
    run_pytest(session, "--dist", "load", *PAGES_AND_SCRIPTS)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Run each benchmark once, at its smallest size: whether it runs, not how fast."""
    install_packages(session, PACKAGES, *TEST_TOOLS)
    session.run("metatomic-lammps", "build")
    # two at a time, as nobody looks at their times here
    run_pytest(session, "--dist", "load", "tests/benchmarks")


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Run the silicon demonstration; results go to demo-output/."""
    install_packages(session, ["core", "ase-calc"], "matplotlib")
    session.run("python", "examples/demo.py", "--output", "demo-output", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, which runs the tutorials, with warnings as errors, and check what is in the pages."""
    install_packages(session, PACKAGES, "sphinx", "furo", "sphinx-gallery", "pytest")
    # what tutorials use beside the packages
    install(session, "metatensor-learn", "chemiscope", "metatomic-torch")
    install_family(session, "sevennet")
    session.run("metatomic-lammps", "build")  # before a tutorial does, and prints it
    build = ["sphinx-build", "-W", "--keep-going", "-q", "-E", "docs", "docs/_build/html"]
    session.run(*build, env={"OMP_NUM_THREADS": "1"})
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
