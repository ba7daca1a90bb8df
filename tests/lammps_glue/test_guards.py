"""What can not work ends with a LAMMPS error that says what to do, on any number of ranks, without hanging."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile

import pytest
import torch
from lammps_models import ENERGY, MANY, Alone, Failing, Inputs, Layers, ManyOutputs, export
from lammps_tools import FCC, boxes

from metatomic_core import ModelOutput

BOX = boxes(FCC, 4.4, (2, 2, 2), n_types=2, shake=0.1)["orthogonal"]
HEAD = "units metal\natom_style {style}\n{before}\nread_data data.lammps\nspecial_bonds lj/coul 0 0 0\n"


@pytest.fixture(scope="module")
def models(model_folder):
    folder = model_folder / "guards"
    folder.mkdir()
    export(Layers(1, True), folder / "good.pt")
    export(ManyOutputs(), folder / "many.pt", MANY)
    export(Layers(1, True), folder / "infinite.pt", reach=float("inf"))
    export(Layers(1, True), folder / "gpu.pt", devices=["cuda", "cpu"])
    export(Inputs(), folder / "inputs.pt", reach=4.0)
    total = {"energy": ModelOutput(unit="eV", sample_kind="system")}
    export(Layers(1, True), folder / "total.pt", total)
    no_energy = {"feature": ModelOutput(sample_kind="atom")}
    export(ManyOutputs(), folder / "no-energy.pt", no_energy)
    variants = {
        "energy/a": ModelOutput(unit="eV", sample_kind="atom", description="first"),
        "energy/b": ModelOutput(unit="eV", sample_kind="atom", description="second"),
    }
    export(Layers(1, True), folder / "variants.pt", variants)
    (folder / "text.pt").write_text("no model")
    torch.jit.script(torch.nn.Linear(1, 1)).save(folder / "module.pt")
    version = f'"format_version": {format_version(folder / "good.pt")}'
    with_header(folder / "good.pt", folder / "newer.pt", version, '"format_version": 99')
    with_header(folder / "good.pt", folder / "older.pt", version, '"format_version": 1')
    extension = (
        '"extensions": [{"name": "libother.so", "sha256": "00", "distribution": "other-torch", "version": "1.2", '
    )
    with_header(folder / "good.pt", folder / "extension.pt", '"extensions": [', extension + '"dependencies": []}')
    damage(folder / "good.pt", folder / "damaged.pt")
    return folder


def damage(source, target):
    """Copy a model file with another byte in the middle of its code."""
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        item = max((item for item in archive.infolist() if item.filename.endswith(".py")), key=lambda i: i.file_size)
    content[item.header_offset + item.compress_size // 2] ^= 0xFF
    target.write_bytes(content)


def format_version(path):
    with zipfile.ZipFile(path) as archive:
        (header,) = [name for name in archive.namelist() if name.endswith("metatomic-core.json")]
        return json.loads(archive.read(header))["format_version"]


def with_header(source, target, old, new):
    """Copy a model file with another header."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for item in before.infolist():
            data = before.read(item)
            if item.filename.endswith("metatomic-core.json"):
                assert old.encode() in data
                data = data.replace(old.encode(), new.encode())
            after.writestr(item, data)


# name: pair_style arguments, pair_coeff arguments, words of the message
REFUSED = {
    "no file": ("no-such.pt", "* * O Si", "which does not exist"),
    "no archive": ("text.pt", "* * O Si", "not a TorchScript archive"),
    "no model": ("module.pt", "* * O Si", "wrap the module in `AtomisticModel`"),
    "newer format": ("newer.pt", "* * O Si", "of version 99; run `pip install --upgrade"),
    "older format": ("older.pt", "* * O Si", "of version 1; export the model again"),
    "variant of nothing": ("variants.pt variant a variant/charge b", "* * O Si", "got 'charge'"),
    "missing extension": ("extension.pt", "* * O Si", "expected the extension 'libother.so'"),
    "no energy": ("no-energy.pt", "* * O Si", "expected a model with an energy"),
    "no variant": ("variants.pt", "* * O Si", "has no default, got none; choose from 'a' (first)"),
    "other variant": ("variants.pt variant c", "* * O Si", "got 'c'; it has 'a' (first), 'b' (second)"),
    "keyword": ("good.pt devise cpu", "* * O Si", "got 'devise' (did you mean 'device')"),
    "keyword value": ("good.pt check_consistency yes", "* * O Si", "expected one of on, off after `check_consistency`"),
    "no value": ("good.pt scale", "* * O Si", "expected a value after `scale`"),
    "no number": ("good.pt scale big", "* * O Si", "expected a number after `scale`"),
    "threshold": ("good.pt uncertainty_threshold -1", "* * O Si", "expected `uncertainty_threshold` to be positive"),
    "device": ("good.pt device gpu", "* * O Si", "expected a device that the model supports, cpu, got 'gpu'"),
    "device with an index": ("good.pt device cpu:7", "* * O Si", "which has one cpu, got 'cpu:7'"),
    "absent device": ("gpu.pt device cuda", "* * O Si", "expected a device of this machine and of the model, cpu"),
    "directory": ("good.pt extensions nowhere", "* * O Si", "expected `extensions` to be a directory, got 'nowhere'"),
    "direct forces": ("good.pt non_conservative on", "* * O Si", "expected a model with non-conservative forces"),
    "output": ("many.pt output charme", "* * O Si", "got 'charme' (did you mean 'charge')"),
    "few types": ("good.pt", "* * O", "expected `pair_coeff * * TYPE ...` with 2 element symbols"),
    "unknown type": ("good.pt", "* * O Cu", "symbols or integers of O (8), Si (14), or NULL, got 'Cu'"),
    "no symbol": ("good.pt", "* * O Sj", "symbols or integers of O (8), Si (14), or NULL, got 'Sj'"),
    "number": ("good.pt", "* * 8 29", "symbols or integers of O (8), Si (14), or NULL, got '29'"),
    "no types": ("good.pt", "* * NULL NULL", "expected at least one type for the model"),
    "null without hybrid": ("good.pt", "* * O NULL", "got NULL; use `pair_style hybrid`"),
    "damaged": ("damaged.pt", "* * O Si", "guards/damaged.pt', which does not load, maybe damaged:"),
    "one pair": ("good.pt", "1 2 O Si", "Pair_coeff must start with * *"),
}


def refused(lammps, text, ranks, words):
    """Check that LAMMPS stops on all ranks, soon, with a message."""
    run = lammps(text, ranks, ok=False)
    assert run.status != 0
    assert words in run.error
    assert "Traceback" not in run.output
    # LAMMPS tells the place in the source, of which the folder is that of who compiled it
    assert re.search(r"[^/(]*/[^()]*pair_metatomic[a-z_]*\.cpp:", run.output) is None
    return run


def input_text(models, style, coeff="* * O Si", before="", after="run 0", atom_style="atomic"):
    return HEAD.format(style=atom_style, before=before) + (
        f"pair_style metatomic {models}/{style}\npair_coeff {coeff}\n{after}\n"
    )


@pytest.fixture
def data(tmp_path):
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", REFUSED)
def test_wrong_input_is_refused(name, models, lammps):
    style, coeff, words = REFUSED[name]
    if name == "absent device" and torch.cuda.is_available():
        words = "GPUs"
        style = "gpu.pt device cuda:99"
    refused(lammps, input_text(models, style, coeff), 1, words)


# name: pair_style arguments, commands before the data, commands after pair_coeff, words of the message
SETUPS = {
    "newton": ("good.pt", "newton off", "run 0", "expected `newton on`"),
    "no ids": ("good.pt", "atom_modify id no", "run 0", "expected atom IDs"),
    "exclude type": ("good.pt", "", "neigh_modify exclude type 1 2\nrun 0", "got `neigh_modify exclude`"),
    "exclude group": (
        "good.pt",
        "",
        "group low id 1:9\nneigh_modify exclude group low low\nrun 0",
        "got `neigh_modify exclude`",
    ),
    "comm group": (
        "good.pt",
        "",
        "group one type 1\natom_modify first one\ncomm_modify group one\nrun 0",
        "got `comm_modify group`",
    ),
    "include": (
        "good.pt",
        "atom_modify first low",
        "group low id 1:9\nneigh_modify include low\nrun 0",
        "got `neigh_modify include`",
    ),
    "no charges": ("inputs.pt", "", "run 0", "use `atom_style charge`"),
    "per-atom energy": ("total.pt", "", "compute e all pe/atom\nrun 0", "expected a model with energies of atoms"),
    "unknown output": ("many.pt", "", "fix 1 all pair 1 metatomic chargs 0", "(did you mean 'charge')"),
    "output of systems": (
        "many.pt",
        "",
        "fix 1 all pair 1 metatomic non_conservative_stress 0",
        "which the model gives for systems",
    ),
    "per-atom virial": (
        "many.pt non_conservative forces",
        "",
        "compute s all stress/atom NULL\ncompute t all reduce sum c_s[1]\nthermo_style custom step c_t\nrun 0",
        "expected conservative forces for per-atom virials",
    ),
}


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", SETUPS)
def test_setting_that_can_not_work_is_refused(name, models, lammps):
    """On two ranks, with one message."""
    style, before, after, words = SETUPS[name]
    if name in ("no ids", "include"):
        # without a data file, which has IDs
        text = f"""units metal
{before if name == "no ids" else ""}
lattice fcc 4.4
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box
mass * 20.0
group low region box
{"atom_modify first low" if name == "include" else ""}
pair_style metatomic {models}/{style}
pair_coeff * * O Si
{"neigh_modify include low" if name == "include" else ""}
run 0
"""
    else:
        if name == "per-atom energy":
            after = "compute e all pe/atom\ncompute t all reduce sum c_e\nthermo_style custom step c_t\nrun 0"
        text = input_text(models, style, before=before, after=after)
    assert refused(lammps, text, 2, words).output.count("ERROR") == 1


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("infinite.pt", "expected a model of finite interaction range on several ranks"),
        ("many.pt non_conservative stress", "expected one rank for non-conservative stress"),
        ("no-such.pt", "which does not exist"),
    ],
)
def test_wrong_input_is_refused_on_several_ranks(style, words, models, lammps):
    run = refused(lammps, input_text(models, style), 3, words)
    assert run.output.count("ERROR") == 1


@pytest.fixture
def with_library(models, tmp_path):
    """A function that makes an empty library, and a model that needs it and another one that is nowhere."""
    (tmp_path / "empty.c").write_text("int empty_library;\n")
    library = tmp_path / "libother.so"
    subprocess.run(["cc", "-shared", "-o", str(library), str(tmp_path / "empty.c")], check=True)
    digest = hashlib.sha256(library.read_bytes()).hexdigest()

    def make(registers="", sha256=digest):
        extension = (
            f'"extensions": [{{"name": "libother.so", "sha256": "{sha256}", "distribution": null, "version": null, '
            f'"registers": [{registers}], '
            '"dependencies": [{"name": "libabsent.so", "sha256": "00", "distribution": null, "version": null}]}'
        )
        with_header(models / "good.pt", tmp_path / "model.pt", '"extensions": [', extension)
        return f"units metal\nread_data data.lammps\npair_style metatomic model.pt extensions {tmp_path}\n"

    return make


@pytest.mark.usefixtures("data")
def test_libraries_are_those_that_the_model_was_saved_with(with_library, lammps):
    """By hash; a library that these depend on may be absent, as those for GPUs, if nothing is missing in the end."""
    # a full hash, over several blocks, that has to agree
    assert lammps(with_library() + "pair_coeff * * O Si\nrun 0\n").status == 0
    other = refused(lammps, with_library(sha256="0" * 64), 2, "to be the library that the model was saved with")
    assert "sha256 000000000000..., got " in other.error
    # registered already, by what every model needs
    lammps(with_library('"metatensor.Labels"', sha256="0" * 64) + "pair_coeff * * O Si\nrun 0\n")
    missing = refused(lammps, with_library('"other::operator"'), 1, "to register 'other::operator'")
    assert "before that: expected the extension 'libabsent.so'" in missing.error


@pytest.mark.usefixtures("data")
def test_outputs_are_listed_once(models, lammps):
    """Not in the two spellings that the model knows them by."""
    run = refused(lammps, input_text(models, "many.pt output nothing"), 1, "expected an output of the model, one of ")
    listed = run.error.partition("one of ")[2].partition(", got")[0].split(", ")
    assert "non_conservative_force" in listed
    assert "non_conservative_forces" not in listed


def test_a_model_without_lists_runs_without_a_skin(model_folder, lammps):
    """Bins of atoms get the room of an atom, not next to none, of which LAMMPS would need too many."""
    model = export(Alone(), model_folder / "alone.pt", reach=0.0)
    text = f"""units metal
lattice fcc 4.4
region box block 0 20 0 20 0 20
create_box 2 box
create_atoms 1 single 1 1 1
create_atoms 2 single 5 5 5
mass * 20.0
neighbor 0.0 bin
pair_style metatomic {model}
pair_coeff * * O Si
run 0
"""
    for ranks in (1, 2):
        assert lammps(text, ranks).thermo()["E_pair"][0] == pytest.approx(2.5)


def test_lj_units_are_refused_with_the_reason(models, lammps):
    refused(lammps, f"units lj\npair_style metatomic {models}/good.pt\n", 1, "what one sigma or epsilon is")


def molecule(models, bonds="special_bonds lj/coul 0 0 0", types="O Si"):
    return f"""units metal
atom_style bond
region box block 0 20 0 20 0 20
create_box 2 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4
create_atoms 1 single 10 10 10
create_atoms 2 single 11.5 10 10
create_atoms 1 single 12 11.4 10
mass * 16.0
bond_style zero
bond_coeff * 1.5
{bonds}
pair_style metatomic {models}/good.pt
pair_coeff * * {types}
create_bonds single/bond 1 1 2
create_bonds single/bond 1 2 3
thermo_style custom step pe
thermo_modify format float %20.15g
run 0
"""


def test_bonded_pairs_that_would_be_dropped_are_refused(models, lammps):
    refused(lammps, molecule(models), 1, "use `special_bonds lj/coul 1 1 1`")
    refused(lammps, molecule(models), 2, "use `special_bonds lj/coul 1 1 1`")
    full = lammps(molecule(models, "special_bonds lj/coul 1 1 1")).thermo()["PotEng"][0]
    # pairs with a weight stay in the list, marked, and count fully
    assert lammps(molecule(models, "special_bonds lj/coul 1e-9 0.3 1")).thermo()["PotEng"][0] == pytest.approx(full)


def test_excluded_molecules_are_refused(models, lammps):
    text = f"""units metal
atom_style bond
region box block 0 9 0 9 0 9
create_box 2 box
create_atoms 1 random 6 4242 box overlap 2.0 maxtry 100
mass * 16.0
set group all mol 1
pair_style metatomic {models}/good.pt
pair_coeff * * O Si
neigh_modify exclude molecule/intra all
run 0
"""
    refused(lammps, text, 1, "`neigh_modify exclude` of atoms of the model")


TEMPLATE = """three atoms

3 atoms
2 bonds

Coords

1 0 0 0
2 1.5 0 0
3 2.0 1.4 0

Types

1 1
2 2
3 1

Bonds

1 1 1 2
2 1 2 3

Special Bond Counts

1 1 1 0
2 2 0 0
3 1 1 0

Special Bonds

1 2 3
2 1 3
3 2 1
"""


def test_bonded_pairs_of_templates_are_refused_too(models, lammps, tmp_path):
    """In `atom_style template` the bonds are in the molecule, not in the atoms."""
    (tmp_path / "three.txt").write_text(TEMPLATE)
    text = f"""units metal
region box block 0 20 0 20 0 20
molecule three three.txt
atom_style template three
atom_modify map array
create_box 2 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4
mass * 16.0
bond_style zero
bond_coeff * 1.5
create_atoms 0 single 10 10 10 mol three 1234 rotate 0 0 0 1
pair_style metatomic {models}/good.pt
pair_coeff * * O Si
run 0
"""
    refused(lammps, text, 1, "use `special_bonds lj/coul 1 1 1`")


@pytest.mark.parametrize("how", ["raise", "nan", "gradient"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_failure_on_one_rank_stops_all(how, ranks, model_folder, lammps):
    """The atoms come close in one corner of the box, while the others have nothing to complain about."""
    model = model_folder / f"failing-{how}.pt"
    if not os.path.exists(model):
        export(Failing(how, 1.0), model, ENERGY, reach=4.0)
    text = f"""units metal
region box block 0 30 0 30 0 30
create_box 2 box
create_atoms 2 single 5 5 5
create_atoms 2 single 25 25 25
create_atoms 1 single 2 27 27
create_atoms 2 single 4 27 27
mass * 16.0
pair_style metatomic {model}
pair_coeff * * O Si
group one id 3
velocity one set 40.0 0 0
fix 1 all nve
timestep 0.001
run 200
"""
    run = refused(lammps, text, ranks, "")
    if how == "raise":
        assert "expected atoms further apart, got close ones" in run.error
    elif how == "gradient":
        # of whichever atom of the pair comes first
        assert re.search(r"finite forces from the model, got nan or infinity for atom [34] \(\w+\) at step", run.error)
    else:
        # on the rank of a neighbor it is the force on the ghost
        assert re.search(r"finite (energies|forces) from the model, got nan or infinity for atom 3 \(O\) at", run.error)
    assert run.output.count("ERROR") == 1


def test_another_lammps_is_refused(plugin, lammps, tmp_path, models):
    """As if the plugin were built for a LAMMPS of another date."""
    import struct

    style = "metatomic_pair_style.so"
    code = (plugin.parent / style).read_bytes()
    version = struct.pack("<i", 20250722)
    assert code.count(version) >= 1
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(plugin, other)
    (other / style).write_bytes(code.replace(version, struct.pack("<i", 20240829)))
    text = f"units metal\nregion b block 0 1 0 1 0 1\ncreate_box 1 b\npair_style metatomic {models}/good.pt\n"
    run = lammps(text, ok=False, LAMMPS_PLUGIN_PATH=str(other))
    # the texts of numbers are compiled in elsewhere
    assert "for which pair style metatomic was built, got 20250722; run `metatomic-lammps build`" in run.error
