"""Compiled code against TorchScript of the same file, in LAMMPS: the same numbers, or a sentence that says why not.

The packages are made once for all tests here, by what ``metatomic compile`` calls.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from lammps_models import CUTOFF, Layers, export
from lammps_tools import FCC, FORMAT, LAMMPS_FOLDER, boxes

from metatomic_core import ModelOutput
from metatomic_core.combining import combine
from metatomic_core.potentials import lennard_jones
from metatomic_lammps.running import environment

SHAPES = boxes(FCC, 4.4, (2, 2, 3), n_types=2)
VIRIAL = " ".join(f"c_virial[{k}]" for k in range(1, 7))
OUTPUTS = {
    "energy": ModelOutput(unit="kcal/mol", sample_kind="atom"),
    "energy_uncertainty": ModelOutput(unit="kcal/mol", sample_kind="atom"),
    "feature": ModelOutput(sample_kind="atom"),
}
# that of the model with messages gives uncertainties, which are watched in each step unless they are switched off
KEYWORDS = {"pairs": "", "messages": "uncertainty_threshold off"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A half list in other units than those of LAMMPS; and messages over full lists, which need pairs of ghosts."""
    folder = tmp_path_factory.mktemp("compiled")
    lennard_jones(
        ["O", "Si"],
        {"O": 0.3, "Si": 0.34},
        {"O": 0.2, "Si": 0.4},
        0.6,
        mixing="geometric",
        length_unit="nm",
        energy_unit="kcal/mol",
    ).save(folder / "pairs.pt", exported=True)
    export(Layers(2, True), folder / "messages.pt", OUTPUTS, reach=2.0 * CUTOFF, exported=True)
    for name in KEYWORDS:
        compile_for_lammps(folder, folder / f"{name}.pt")
    return folder


def compile_for_lammps(folder, path):
    """Make packages in the cache of the folder, for every processor that torch has vectors for."""
    command = [sys.executable, "-m", "metatomic_core", "compile", str(path), "--flavor", "lammps"]
    subprocess.run(
        [*command, "--march", "x86-64-v3"],
        env={**os.environ, "METATOMIC_CACHE": str(folder / "cache")},
        capture_output=True,
        check=True,
    )


@pytest.fixture
def run(lammps, folder):
    def call(text, ranks=1, cache=None, **options):
        return lammps(text, ranks, METATOMIC_CACHE=str(cache or folder / "cache"), **options)

    return call


def style(folder, name, kernel, keywords=""):
    return f"""pair_style metatomic {folder}/{name}.pt kernel {kernel} {KEYWORDS[name]} {keywords}
pair_coeff * * Si O
"""


def both_ways(run, folder, name, text, ranks=1):
    """Run a text with {style} in both ways; give energies, the rest of the last table, and a dump, of each."""
    found = []
    for kernel in ("script", "compiled"):
        done = run(text.format(style=style(folder, name, kernel)), ranks)
        assert f"Kernel of pair style metatomic: {kernel}" in done.output
        assert done.output.count("Kernel of") == 1
        table = done.thermo()
        found.append((table, done.dump("atoms")))
    return found


def same(found, tolerance=1e-12):
    (script, script_atoms), (compiled, compiled_atoms) = found
    for name, values in script.items():
        scale = max(1.0, np.abs(values).max())
        np.testing.assert_allclose(compiled[name], values, rtol=tolerance, atol=tolerance * scale, err_msg=name)
    scale = np.abs(script_atoms).max(axis=0) + 1e-300
    np.testing.assert_allclose(compiled_atoms / scale, script_atoms / scale, rtol=0, atol=10 * tolerance)


TEXT = """units {units}
boundary {boundary}
{before}
{structure}
{{style}}
neighbor 1.0 bin
compute virial all pressure NULL virial
compute energies all pe/atom
compute stress all stress/atom NULL pair
compute sides all centroid/stress/atom NULL pair
thermo_style custom step pe {virial}
{format}
dump atoms all custom 1 atoms id fx fy fz c_energies c_stress[*] c_sides[*]
dump_modify atoms sort id format float %22.16g
{after}
"""


def text_of(structure="read_data data.lammps", boundary="p p p", before="", after="run 0", units="metal"):
    return TEXT.format(
        structure=structure, boundary=boundary, before=before, after=after, virial=VIRIAL, format=FORMAT, units=units
    )


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("shape", ["triclinic", "slab", "small"])
@pytest.mark.parametrize("name", KEYWORDS)
def test_the_same_numbers(name, shape, ranks, folder, run, tmp_path):
    """Energies, forces and virials, in total and of atoms; half lists, full ones, and with pairs of ghosts."""
    box = SHAPES[shape]
    box.write(tmp_path / "data.lammps", [28.0, 16.0])
    found = both_ways(run, folder, name, text_of(boundary=box.boundary), ranks)
    assert np.abs(found[0][1][:, 1:4]).max() > 1e-3
    same(found)


def atoms(*positions):
    """Give the commands for a box of 30 with a few atoms."""
    lines = [f"create_atoms {1 + k % 2} single {x} {y} {z}" for k, (x, y, z) in enumerate(positions)]
    return "\n".join(["region box block 0 30 0 30 0 30", "create_box 2 box", *lines, "mass * 20.0"])


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("name", KEYWORDS)
@pytest.mark.parametrize("positions", [[], [(5, 5, 5)], [(5, 5, 5), (5, 5, 20)], [(5, 5, 5), (5, 5, 8)]])
def test_few_atoms(positions, name, ranks, folder, run):
    """None at all, one, no pairs, one pair; ranks with nothing, and with ghosts alone."""
    text = text_of(atoms(*positions))
    if not positions:
        text = text.replace("compute energies", "#").replace("dump", "#dump")
        for kernel in ("script", "compiled"):
            assert run(text.format(style=style(folder, name, kernel)), ranks).thermo()["PotEng"][0] == 0.0
        return
    same(both_ways(run, folder, name, text, ranks))


@pytest.mark.parametrize("name", KEYWORDS)
def test_dynamics_with_a_moving_box(name, folder, run, tmp_path):
    """Over several buildings of lists, on two ranks, with the pressure in each step, in real units."""
    SHAPES["triclinic"].write(tmp_path / "data.lammps", [28.0, 16.0])
    after = """velocity all create 300 77123 loop all
fix npt all npt temp 300 300 100 tri 0 0 1000
thermo 20
run 60
run 20"""
    found = both_ways(run, folder, name, text_of(after=after, units="real"), 2)
    # rounding grows in dynamics
    same(found, 1e-8)


def test_types_of_another_style_and_a_scale(folder, run, tmp_path):
    """In `hybrid/overlay`, where atoms of the second type are not of the model."""
    box = boxes(FCC, 4.4, (2, 2, 2), n_types=2, shake=0.1)["orthogonal"]
    box.write(tmp_path / "data.lammps", [28.0, 16.0])
    results = []
    for kernel in ("script", "compiled"):
        pairs = f"""pair_style hybrid/overlay metatomic {folder}/pairs.pt kernel {kernel} scale 0.7 lj/cut 4.0
pair_coeff * * metatomic Si NULL
pair_coeff * 2 lj/cut 0.01 3.0
"""
        done = run(text_of().format(style=pairs).replace("compute sides", "#").replace(" c_sides[*]", ""), 2)
        results.append((done.thermo(), done.dump("atoms")))
    same(results)


def test_auto_takes_what_there_is(folder, run, tmp_path):
    """Compiled code where there is some, else TorchScript; the log says which, and the profile does."""
    SHAPES["small"].write(tmp_path / "data.lammps", [28.0, 16.0])
    text = text_of(after="run 2").format(style=style(folder, "pairs", "auto"))
    compiled = run(text, METATOMIC_LAMMPS_PROFILE="1").output
    assert "Kernel of pair style metatomic: compiled (x86-64-v3)\n" in compiled
    assert re.search(r"metatomic profile: compiled \S+ s", compiled)
    assert "profile: evaluate" not in compiled
    script = run(text, cache=tmp_path / "empty", METATOMIC_LAMMPS_PROFILE="1").output
    assert "Kernel of pair style metatomic: script; expected a compiled package of the model, got none in" in script
    assert "profile: compiled" not in script


def test_combined_models(folder, run, tmp_path):
    """A committee of two models in units of their own, on two ranks, in a triclinic box."""
    other = lennard_jones(["O", "Si"], {"O": 3.1, "Si": 3.2}, {"O": 0.01, "Si": 0.02}, 4.5)
    other.save(tmp_path / "other.pt", exported=True)
    combine([other, folder / "pairs.pt"], "committee").save(tmp_path / "committee.pt", exported=True)
    compile_for_lammps(folder, tmp_path / "committee.pt")
    SHAPES["triclinic"].write(tmp_path / "data.lammps", [28.0, 16.0])
    found = []
    for kernel in ("script", "compiled"):
        style = f"""pair_style metatomic committee.pt kernel {kernel} uncertainty_threshold off
pair_coeff * * Si O
"""
        done = run(text_of().format(style=style), 2)
        assert f"Kernel of pair style metatomic: {kernel}" in done.output
        found.append((done.thermo(), done.dump("atoms")))
    assert np.abs(found[0][1][:, 1:4]).max() > 1e-3
    same(found)


# keywords, commands after pair_coeff, what the sentence names
BEYOND = {
    "uncertainty": ("uncertainty_threshold 0.1", "", "uncertainties in each step, which `uncertainty_threshold off`"),
    "consistency": ("check_consistency on", "", "checks of consistency"),
    "output of atoms": ("", "fix 1 all pair 1 metatomic feature 0", "the output 'feature'"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_compiled_code_can_not_do(name, folder, run, tmp_path):
    """Is left to TorchScript, with a line in the log; or refused where compiled code was asked for by name."""
    keywords, commands, words = BEYOND[name]
    SHAPES["small"].write(tmp_path / "data.lammps", [28.0, 16.0])
    text = text_of(after=f"{commands}\nrun 0\n{'unfix 1' if commands else ''}\nrun 0")
    done = run(text.format(style=style(folder, "messages", "auto", keywords)))
    line = re.search("Kernel of .*: script; (.*)", done.output).group(1)
    assert line.startswith("expected energies, forces and virials from compiled code, got ")
    assert words in line
    reference = run(text.format(style=style(folder, "messages", "script", keywords))).thermo()
    np.testing.assert_array_equal(done.thermo()["PotEng"], reference["PotEng"])
    refused = run(text.format(style=style(folder, "messages", "compiled", keywords)), 2, ok=False)
    assert words in refused.error
    assert refused.output.count("ERROR") == 1


# --- guards: each with a copy of the cache in which something is wrong ---------------------------


def changed(**values):
    def change(path):
        about = json.loads(path.read_text())
        path.write_text(json.dumps({**about, **values}))

    return change


def renamed(key):
    """Give the first tensor a name that the plugin does not know."""

    def change(path):
        about = json.loads(path.read_text())
        about[key][0]["name"] = "something"
        path.write_text(json.dumps(about))

    return change


def without_library(path):
    for library in path.parent.rglob("*.so"):
        library.rename(library.with_suffix(".txt"))


def half_a_library(path):
    for library in path.parent.rglob("*.so"):
        library.write_bytes(library.read_bytes()[:4000])


def another_file(path):
    for library in path.parent.rglob("*.so"):
        library.write_bytes(b"x" * library.stat().st_size)


GUARDS = {
    "none": (lambda path: path.unlink(), "expected a compiled package of the model, got none in"),
    "program": (changed(program="0" * 64), "expected a compiled package for the program"),
    "torch": (changed(torch="2.12.1+cpu"), "expected a compiled package for the torch 2.13.0, got one for 2.12.1"),
    "device": (changed(device="cuda"), "expected a compiled package for the device cpu, got one for cuda"),
    "dtype": (changed(dtype="float32"), "expected a compiled package for the dtype float64, got one for float32"),
    "seam": (changed(seam=99), "expected a compiled package for the seam 1, got one for 99"),
    "processor": (
        changed(cpu_flags=["avx2", "avx1024"], march="x86-64-v9"),
        "that this processor can run, got one for x86-64-v9, which needs avx1024; run `metatomic compile`",
    ),
    "machine": (changed(march="native-vax", cpu_flags=[]), "that this processor can run, got one for native-vax"),
    "text": (lambda path: path.write_text("{"), "expected a whole compiled package, got a damaged one"),
    "no library": (without_library, "expected a shared library in"),
    "half a library": (half_a_library, "expected a compiled package of "),
    "another file": (another_file, "expected compiled code that loads, got an error"),
    "inputs": (renamed("inputs"), "with inputs that LAMMPS gives, got one with 'something'"),
    "outputs": (renamed("outputs"), "whose forces come from pairs, got one with 'something'"),
}


def damage(source, target):
    """Copy a model file with another byte in the middle of its TorchScript."""
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        scripts = [item for item in archive.infolist() if item.filename.endswith(".py")]
        item = max(scripts, key=lambda item: item.file_size)
    content[item.header_offset + item.compress_size // 2] ^= 0xFF
    target.write_bytes(content)


@pytest.mark.parametrize("name", GUARDS)
def test_a_package_that_does_not_fit_is_not_loaded(name, folder, run, tmp_path):
    """On two ranks with one message where it was asked for; TorchScript runs otherwise."""
    change, words = GUARDS[name]
    shutil.copytree(folder / "cache", tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("about.json"):
        change(path)
    SHAPES["small"].write(tmp_path / "data.lammps", [28.0, 16.0])
    refused = run(text_of().format(style=style(folder, "pairs", "compiled")), 2, tmp_path / "cache", ok=False)
    assert words in refused.error
    assert refused.output.count("ERROR") == 1
    done = run(text_of().format(style=style(folder, "pairs", "auto")), 1, tmp_path / "cache")
    assert words in done.output
    assert "Kernel of pair style metatomic: script" in done.output


def test_all_ranks_run_the_same(plugin, folder, tmp_path):
    """Where one rank finds nothing, as on a node of its own, all run TorchScript, or all stop."""
    SHAPES["small"].write(tmp_path / "data.lammps", [28.0, 16.0])
    for kernel, status in (("auto", 0), ("compiled", 1)):
        (tmp_path / "in").write_text(text_of().format(style=style(folder, "pairs", kernel)))
        lmp = [str(LAMMPS_FOLDER / "lmp"), "-in", "in", "-log", "none"]
        command = [
            str(Path(sys.executable).parent / "mpiexec"),
            "-n",
            "1",
            "-env",
            "METATOMIC_CACHE",
            str(folder / "cache"),
            *lmp,
            ":",
        ]
        command += ["-n", "1", "-env", "METATOMIC_CACHE", str(tmp_path / "empty"), *lmp]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(plugin), capture_output=True, text=True, check=False, timeout=100
        )
        assert (done.returncode != 0) == bool(status)
        assert "expected a compiled package of the model, got none in" in done.stdout
        assert ("script; expected" in done.stdout) == (kernel == "auto")


def test_forces_that_are_not_finite_stop_all_ranks(folder, run):
    """Two atoms at one place: the message names one."""
    text = text_of(atoms((5, 5, 5), (5, 5, 5), (20, 5, 5)))
    for ranks in (1, 2):
        refused = run(text.format(style=style(folder, "pairs", "compiled")), ranks, ok=False)
        assert re.search(r"expected finite forces from the model, got nan or infinity for atom [12] ", refused.error)
        assert refused.output.count("ERROR") == 1


def test_positions_that_are_not_finite(folder, run):
    """Where LAMMPS does not look, since it builds no lists."""
    after = "neigh_modify delay 100 every 100\nvelocity all set 1e308 0 0\ntimestep 100\nfix 1 all nve\nrun 1"
    text = text_of(atoms((5, 5, 5), (5, 5, 8), (20, 5, 5)), after=after).replace("compute virial", "#")
    text = text.replace(VIRIAL, "")
    for ranks in (1, 2):
        refused = run(text.format(style=style(folder, "pairs", "compiled")), ranks, ok=False)
        assert re.search(r"expected finite positions, got nan or infinity for atom [123] at step 1", refused.error)
        assert refused.output.count("ERROR") == 1


def test_torchscript_is_not_loaded(folder, run, tmp_path):
    """A file whose scripted code is damaged runs as compiled code; the exported program is the same."""
    damage(folder / "pairs.pt", tmp_path / "pairs.pt")
    text = text_of(atoms((5, 5, 5), (5, 5, 8)))
    done = run(text.format(style=style(tmp_path, "pairs", "compiled")))
    reference = run(text.format(style=style(folder, "pairs", "script")))
    np.testing.assert_allclose(done.thermo()["PotEng"], reference.thermo()["PotEng"], rtol=1e-12)
    refused = run(text.format(style=style(tmp_path, "pairs", "script")), ok=False)
    assert "which does not load, maybe damaged" in refused.error


def test_a_word_that_is_none(folder, run, tmp_path):
    SHAPES["small"].write(tmp_path / "data.lammps", [28.0, 16.0])
    refused = run(text_of().format(style=style(folder, "pairs", "compile")), ok=False)
    assert "expected one of auto, script, compiled after `kernel`" in refused.error
    assert "(did you mean 'compiled')" in refused.error


def check_an_older_processor(plugin, folder, tmp_path):
    """Runs what was compiled for it, and refuses the rest before it is loaded, where it would stop with SIGILL."""
    shutil.copytree(folder / "cache", tmp_path / "newer")
    for path in (tmp_path / "newer").rglob("about.json"):
        changed(cpu_flags=["avx512f"], march="x86-64-v4")(path)
    text = text_of(atoms((5, 5, 5), (5, 5, 8))).format(style=style(folder, "pairs", "compiled"))
    (tmp_path / "in").write_text(text)
    lmp = ["qemu-x86_64", "-cpu", "Haswell", str(LAMMPS_FOLDER / "lmp"), "-in", "in", "-log", "none"]
    for cache, words in (
        (folder / "cache", "Kernel of pair style metatomic: compiled (x86-64-v3)"),
        (tmp_path / "newer", "got one for x86-64-v4, which needs avx512f; run `metatomic compile`"),
    ):
        done = subprocess.run(
            lmp,
            cwd=tmp_path,
            env=environment(plugin, METATOMIC_CACHE=str(cache)),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert words in done.stdout
        assert (done.returncode == 0) == (cache == folder / "cache")


if shutil.which("qemu-x86_64"):  # README says that continuous integration has none
    test_an_older_processor = check_an_older_processor
