"""Compiled packages: made, kept, found, refused; and nothing reaches their code unchecked."""

import dataclasses
import json
import shutil

import click.testing
import numpy as np
import pytest
import torch
from models import TwoLists, structures, wrap

from metatomic_core import ModelOutput, load_atomistic_model
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.cli import metatomic
from metatomic_core.engine import Engine, Structure
from metatomic_core.foundation.user_cache import user_cache
from metatomic_core.kernels import KERNELS, building, cache, compiling, machine
from metatomic_core.kernels.running import compiled
from metatomic_core.tracing import runner

RESULTS = ["energy", "atomic_energies", "forces", "virial"]
OUTPUTS = {
    "energy": ModelOutput(unit="eV", sample_kind="atom"),
    "energy_ensemble": ModelOutput(unit="eV", sample_kind="atom"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a model, compiled into a cache in it for all of its outputs, by the command."""
    found = tmp_path_factory.mktemp("kernels")
    wrap(TwoLists(), OUTPUTS).save(str(found / "model.pt"), exported=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METATOMIC_CACHE", str(found / "cache"))
        arguments = ["compile", str(found / "model.pt"), "--flavor", "forces", "--flavor", "everything", "--json"]
        result = click.testing.CliRunner().invoke(metatomic, arguments)
    assert result.exit_code == 0, result.output
    (found / "output.json").write_text(result.stdout)
    (found / "progress.txt").write_text(result.stderr)
    return found


@pytest.fixture(autouse=True)
def own_cache(folder, monkeypatch):
    monkeypatch.setenv("METATOMIC_CACHE", str(folder / "cache"))


@pytest.fixture
def other_cache(folder, tmp_path, monkeypatch):
    """Give a copy of the cache, to be changed."""
    shutil.copytree(folder / "cache", tmp_path / "cache")
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def engine(folder, kernel, **options):
    model = folder / "model.pt"
    return Engine(model, length_unit="angstrom", energy_unit="eV", device="cpu", kernel=kernel, **options)


def run(*arguments):
    return click.testing.CliRunner().invoke(metatomic, ["compile", *map(str, arguments)])


def test_command_tells_what_it_made(folder):
    made = json.loads((folder / "output.json").read_text())
    assert [(row["flavor"], row["was_there"]) for row in made] == [
        ("forces", False),
        ("everything", False),
        ("forces", False),
        ("everything", False),
    ]
    progress = (folder / "progress.txt").read_text().splitlines()
    assert progress[0] == "compiling 1 of 4: forces"
    assert progress[3] == "compiling 4 of 4: everything of selected atoms"
    for row in made:
        # energies, forces and virials were compared, of atoms too, and what differs is rounding
        assert {"energy", "forces", "virial", "atomic_energies"} <= set(row["checked"])
        assert max(row["checked"].values()) < 1e-12
        assert row["seconds"] > 0
        assert row["bytes"] > 100_000
    again = run(folder / "model.pt", "--flavor", "forces")
    end = f"for cpu {machine.best_march()}: in the cache already"
    assert again.stdout.splitlines() == [f"forces {end}", f"forces of selected atoms {end}"]
    assert again.stderr == ""
    listed = run("--list")
    assert listed.stdout.count("model.pt") == 4
    assert str(folder / "cache" / "kernels") in listed.stdout
    assert len(json.loads(run("--list", "--json").stdout)) == 4


def test_inspect_says_which_ways_there_are(folder, tmp_path):
    wrap(TwoLists()).save(str(tmp_path / "plain.pt"), exported=False)
    shown = [
        click.testing.CliRunner().invoke(metatomic, ["inspect", str(path)]).stdout
        for path in (folder / "model.pt", tmp_path / "plain.pt")
    ]
    assert "runs as             script, eager, compiled\n" in shown[0]
    assert "not exported" not in shown[0]
    assert "runs as             script\n" in shown[1]
    assert "not exported        expected a file saved with `exported=True`" in shown[1]


def test_cache_is_cleared(other_cache):
    assert run("--clear").stdout.startswith("removed 4 compiled packages from")
    assert run("--list").stdout.startswith("no compiled packages in")
    assert json.loads(run("--list", "--json").stdout) == []
    assert not (other_cache / "kernels").exists()


def test_two_processes_may_store_the_same(folder, other_cache, monkeypatch, tmp_path):
    there, about = next(iter(cache.packages()))
    shutil.copytree(there, tmp_path / "made")
    rename = type(there).rename

    def late(part, target):
        # the other one was here first
        shutil.copytree(part, target)
        rename(part, target)

    monkeypatch.setattr(type(there), "rename", late)
    assert cache.store(about, tmp_path / "made") == there
    assert len(list(cache.packages())) == 4
    assert [path.name for path in there.parent.iterdir() if path.name.startswith("part")] == []


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path))
    assert user_cache("kernels") == tmp_path / "kernels"
    monkeypatch.delenv("METATOMIC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache("kernels") == tmp_path / "xdg" / "metatomic" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache("kernels") == tmp_path / "home" / ".cache" / "metatomic" / "kernels"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a FILE, or one of --list and --clear"),
        (["a.pt", "--list"], "expected a FILE, or one of --list and --clear"),
        (["missing.pt"], "expected a model file, got 'missing.pt', which does not exist"),
        (["MODEL", "--dtype", "float32"], "expected --dtype float64, which is that of the model, got float32"),
        (["MODEL", "--flavor", "force"], "expected --flavor to be one of forces, everything, lammps, values"),
        (["MODEL", "--device", "cuda"], "expected a device that is here, got 'cuda'"),
        (["MODEL", "--march", "i386"], "'i386' is not one of"),
    ],
)
def test_bad_arguments(folder, arguments, message):
    result = run(*[str(folder / "model.pt") if word == "MODEL" else word for word in arguments])
    assert result.exit_code != 0
    assert message in " ".join(result.stderr.split())


def test_file_without_programs_says_why(tmp_path):
    wrap(TwoLists()).save(str(tmp_path / "plain.pt"), exported=False)
    result = run(tmp_path / "plain.pt")
    assert result.exit_code == 1
    assert "which has none: expected a file saved with `exported=True`" in " ".join(result.stderr.split())


def test_a_compiler_is_needed(folder, other_cache, monkeypatch):
    monkeypatch.setattr(building.shutil, "which", lambda _: None)
    result = run(folder / "model.pt", "--again")
    assert result.exit_code == 1
    assert "expected a C++ compiler" in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", structures())
def test_compiled_code_gives_what_the_model_gives(folder, name):
    script, fast = engine(folder, "script"), engine(folder, "compiled")
    structure = structures()[name]
    outputs = {"energy_ensemble": "system"}
    for options in ({}, {"outputs": outputs}, {"selected_atoms": np.array([[0, 0]])}):
        expected, found = (each.evaluate([structure], RESULTS, **options) for each in (script, fast))
        scale = max(1.0, np.abs(expected.energy).max())
        for result in RESULTS:
            np.testing.assert_allclose(
                getattr(found, result), getattr(expected, result), rtol=0, atol=1e-12 * scale, err_msg=result
            )
        for output, values in expected.outputs.items():
            np.testing.assert_allclose(found.outputs[output], values, rtol=0, atol=1e-12 * scale)
    assert fast.kernel == "compiled"
    assert fast.seconds["compiled"] > 0


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """Give a folder as `folder`, with a model in float32."""
    found = tmp_path_factory.mktemp("single")
    wrap(TwoLists(), dtype="float32").save(str(found / "model.pt"), exported=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METATOMIC_CACHE", str(found / "cache"))
        made = compiling.compile_model(str(found / "model.pt"), flavors=["forces"])
    assert {outcome.about.dtype for outcome in made} == {"float32"}
    return found


@pytest.mark.parametrize("n_atoms", [0, 1, 2, 3, 1000, 30_000])
@pytest.mark.parametrize(("model", "tolerance"), [("folder", 1e-12), ("single", 1e-5)])
def test_any_number_of_atoms_and_pairs_that_changes_at_each_step(model, tolerance, n_atoms, request, monkeypatch):
    where = request.getfixturevalue(model)
    monkeypatch.setenv("METATOMIC_CACHE", str(where / "cache"))
    rng = np.random.default_rng(n_atoms)
    script, fast = engine(where, "script"), engine(where, "compiled")
    edge = max(n_atoms, 1) ** (1 / 3) * 3.0
    types = rng.choice([1, 6, 8, 14], size=n_atoms)
    positions = rng.uniform(0, edge, size=(n_atoms, 3))
    for stretch in (4.0, 1.0, 0.8):
        structure = Structure(types, positions * stretch, edge * stretch * np.eye(3), np.array([True, False, True]))
        expected, found = (each.evaluate([structure], RESULTS) for each in (script, fast))
        for result in RESULTS:
            a, b = getattr(expected, result), getattr(found, result)
            scale = max(np.abs(a).max(initial=0.0), np.abs(expected.atomic_energies).max(initial=0.0))
            np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * scale, err_msg=result)


def test_batches_are_joined_to_one_graph(folder):
    script, fast = engine(folder, "script"), engine(folder, "compiled")
    batch = [*structures().values(), structures()["triclinic"]]
    expected, found = (each.evaluate(batch, RESULTS) for each in (script, fast))
    for result in RESULTS:
        np.testing.assert_allclose(getattr(found, result), getattr(expected, result), rtol=0, atol=1e-11)
    assert all(record.joins for record in fast.model.header.programs)


def test_auto_takes_what_fits_and_the_model_for_what_it_lacks(folder, caplog):
    each = engine(folder, "auto")
    assert each.kernel == "compiled"
    with caplog.at_level("INFO", logger="metatomic_core.engine.engine"):
        each.evaluate([structures()["molecule"]], ["energy", "hessian"])
        each.evaluate([structures()["molecule"]], ["energy", "hessian"])
    assert each.fallback == "'hessian'"
    assert caplog.messages == ["the model itself runs where the kernel 'compiled' lacks 'hessian'"]
    assert each.seconds["script"] > 0
    each.evaluate([structures()["molecule"]], ["energy"])
    assert each.fallback == ""


def test_asked_for_by_name_it_does_not_fall_back(folder):
    each = engine(folder, "compiled")
    with pytest.raises(ValueError, match="expected results that the kernel 'compiled' has, got a call for 'hessian'"):
        each.evaluate([structures()["molecule"]], ["energy", "hessian"])


def test_without_a_package_auto_is_the_model(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path))
    assert engine(folder, "auto").kernel == "script"
    with pytest.raises(ValueError, match="got none; run `metatomic compile` with its file"):
        engine(folder, "compiled")
    with pytest.raises(ValueError, match=r"expected `kernel` to be .*, got 'compile'; did you mean 'compiled'"):
        engine(folder, "compile")
    with pytest.raises(TypeError, match="expected `kernel` to be a string, got bool"):
        engine(folder, True)
    with pytest.raises(ValueError, match="expected a model from a file for `kernel` 'compiled', got one in Python"):
        Engine(wrap(TwoLists()), length_unit="angstrom", energy_unit="eV", kernel="compiled")


MISFITS = {
    "torch": ("2.12.0", "expected a package for torch .*, got one for 2.12.0"),
    "dtype": ("float32", "expected a package for the dtype float64, got one for float32"),
    "device": ("cuda", "expected a package for the device cpu, got one for cuda"),
    "seam": (0, "expected a package for seam 1, got one for 0"),
    "kernels": ("0" * 8, "expected a package for kernels of .*, got one for 00000000"),
    "program": ("0" * 64, "expected a package for the program of this model file .*, got one for 0000"),
    "march": ("x86-64-v9", "expected a package that this processor can run, got one for x86-64-v9"),
}


@pytest.mark.parametrize("key", MISFITS)
def test_package_for_something_else_is_refused(folder, other_cache, key):
    value, message = MISFITS[key]
    for path in other_cache.glob("kernels/*/*/about.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert engine(folder, "auto").kernel == "script"
    with pytest.raises(ValueError, match=message):
        engine(folder, "compiled")


def test_processor_without_the_instructions(folder, monkeypatch):
    # as on a machine of 2012; code with them would end the process
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    with pytest.raises(ValueError, match=r"got one for x86-64-v[34], which needs AVX"):
        engine(folder, "compiled")
    monkeypatch.undo()
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx", "avx2"}))
    assert "bmi1" in machine.lacks_for("x86-64-v3")
    with pytest.raises(ValueError, match="expected `march` to be 'native' or one of"):
        machine.checked_march("pentium")


def test_file_that_changed_is_another_model(folder, tmp_path):
    wrap(TwoLists(1.1), OUTPUTS).save(str(tmp_path / "model.pt"), exported=True)
    with pytest.raises(ValueError, match="expected a compiled package of this model, got none"):
        engine(tmp_path, "compiled")


def test_damaged_packages(folder, other_cache):
    for path in other_cache.glob("kernels/*/*/package/**/*.so"):
        path.write_bytes(b"not a library")
    with pytest.raises(RuntimeError, match=r"expected a package that torch can load, got .*; run `metatomic compile"):
        engine(folder, "compiled").evaluate([structures()["molecule"]], ["energy", "forces"])
    for path in other_cache.glob("kernels/*/*/about.json"):
        path.write_text("{")
    assert engine(folder, "auto").kernel == "script"


def test_results_that_differ_are_not_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path))
    there = next(iter((folder / "cache").glob("kernels/*/forces-*")))

    def built(task, program, model, made_for, to):
        shutil.copytree(there, to, dirs_exist_ok=True)
        about = cache.About.from_dict(json.loads((there / "about.json").read_text()))
        return dataclasses.replace(about, flavor=task.flavor)

    def wrong(path, about):
        right = compiled(path, about)
        return right._replace(run=lambda tensors: [values * (1 + 1e-6) for values in right.run(tensors)])

    monkeypatch.setattr(compiling, "build", built)
    monkeypatch.setattr(compiling, "compiled", wrong)
    with pytest.raises(RuntimeError, match=r"got '.*' that differs by .*e-07 of the largest number; nothing was kept"):
        compiling.compile_model(str(folder / "model.pt"), flavors=["forces"])
    assert list(cache.packages()) == []


class Recorded:
    """A package that notes what reaches it."""

    def __init__(self, runnable):
        self.runnable, self.seen = runnable, []

    def run(self, tensors):
        self.seen.append(list(tensors))
        return self.runnable.run(tensors)


@pytest.fixture
def recorded(folder, monkeypatch):
    """Give an engine, and what reaches its compiled code."""
    from metatomic_core.kernels import choice

    seen = []

    def loaded(path, about):
        right = compiled(path, about)
        one = Recorded(right)
        seen.append((one, about))
        return right._replace(run=one.run)

    monkeypatch.setattr(choice, "compiled", loaded)
    return engine(folder, "compiled"), seen


AWKWARD = {
    "positions of 32 bits": lambda s: dataclasses.replace(s, positions=s.positions.astype(np.float32)),
    "positions by columns": lambda s: dataclasses.replace(s, positions=np.asfortranarray(s.positions)),
    "every second row": lambda s: dataclasses.replace(s, positions=np.repeat(s.positions, 2, axis=0)[::2]),
    "types of 64 bits": lambda s: dataclasses.replace(s, types=s.types.astype(np.int64)),
    "types of 8 bits, reversed twice": lambda s: dataclasses.replace(s, types=s.types.astype(np.int8)[::-1][::-1]),
    "positions that are not aligned": lambda s: dataclasses.replace(
        s, positions=np.frombuffer(b"1234" + s.positions.tobytes(), offset=4).reshape(-1, 3)
    ),
    "cell by columns": lambda s: dataclasses.replace(s, cell=np.asfortranarray(s.cell)),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_arrays_of_any_kind_reach_compiled_code_as_it_takes_them(recorded, name):
    each, seen = recorded
    structure = structures()["triclinic"]
    expected = each.evaluate([structure], RESULTS)
    found = each.evaluate([AWKWARD[name](structure)], RESULTS)
    rtol = 1e-4 if "32 bits" in name else 1e-13
    np.testing.assert_allclose(found.forces, expected.forces, rtol=rtol, atol=rtol)
    ((one, about),) = seen
    sizes = {}
    for tensors in one.seen:
        for row, values in zip(about.inputs, tensors, strict=True):
            assert str(values.dtype) == f"torch.{row.dtype}"
            assert values.is_contiguous()
            assert values.dim() == len(row.shape)
            for size, known in zip(values.shape, row.shape, strict=True):
                assert sizes.setdefault(known, size) == size if isinstance(known, str) else size == known


REFUSED = {
    "unknown type": (lambda s: dataclasses.replace(s, types=s.types * 0 + 99), "99"),
    "positions that are not finite": (
        lambda s: dataclasses.replace(s, positions=np.where(np.arange(3) == 1, np.nan, s.positions)),
        "expected finite positions",
    ),
    "fewer positions than types": (lambda s: dataclasses.replace(s, positions=s.positions[:-1]), "positions"),
    "a cell that is none": (lambda s: dataclasses.replace(s, cell=s.cell[:2]), "cell"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_structures_that_are_none_do_not_reach_compiled_code(recorded, name):
    each, seen = recorded
    change, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        each.evaluate([change(structures()["triclinic"])], RESULTS)
    assert all(one.seen == [] for one, _ in seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda pairs, vectors: (pairs.index_fill(1, torch.tensor([0]), 10**6), vectors),
            "expected atoms between 0 and 5",
        ),
        (
            lambda pairs, vectors: (pairs.index_fill(1, torch.tensor([1]), -1), vectors),
            "expected atoms between 0 and 5",
        ),
        (lambda pairs, vectors: (pairs[:, :2], vectors), r"shape \(n_pairs, 5\)"),
        (lambda pairs, vectors: (pairs, vectors[:-1]), "expected `vectors` of the shape"),
        (lambda pairs, vectors: (pairs.double(), vectors), "expected pairs of integers"),
    ],
    ids=["atom that does not exist", "atom -1", "pairs without shifts", "fewer vectors", "pairs of floats"],
)
def test_pairs_that_are_none_do_not_reach_compiled_code(recorded, monkeypatch, change, message):
    each, seen = recorded
    compute = each._neighbors.compute

    def wrong(*arguments):
        pairs, vectors = compute(*arguments)
        changed = [change(p, v) for p, v in zip(pairs[0], vectors[0], strict=True)]
        return [[p for p, _ in changed]], [[v for _, v in changed]]

    monkeypatch.setattr(each._neighbors, "compute", wrong)
    with pytest.raises(ValueError, match=message):
        # an output, as the short way has pairs and guards of its own: test_quick.py
        each.evaluate([structures()["triclinic"]], RESULTS, outputs={"energy_ensemble": "system"})
    assert all(one.seen == [] for one, _ in seen)


@pytest.mark.parametrize(
    ("selected", "message"), [([[0, 6]], "atom"), ([[0, -1]], "atom"), ([[1, 0]], "system"), ([[0, 1], [0, 1]], "once")]
)
def test_selected_atoms_that_are_none_do_not_reach_compiled_code(recorded, selected, message):
    each, seen = recorded
    with pytest.raises(ValueError, match=message):
        each.evaluate([structures()["triclinic"]], RESULTS, selected_atoms=np.array(selected))
    assert all(one.seen == [] for one, _ in seen)


def test_a_question_without_an_answer_is_not_answered(folder):
    record = load_atomistic_model(folder / "model.pt").header.programs[0]
    from metatomic_core.pipeline.results import needs_of, result_table

    def lacking(request, outputs):
        return runner.lacks(record, runner.Question(needs_of(request, result_table()), request, outputs))

    assert lacking({"energy": "energy", "forces": "energy"}, {"energy_ensemble": "system"}) == ""
    assert lacking({"energy": "energy"}, {"energy/other": "atom"}) == "the output 'energy/other'"
    assert lacking({"energy": "energy/other"}, {}) == "derivatives of 'energy/other'"


def test_the_words_are_those_of_the_option():
    # whose table imports no torch
    assert ENGINE_OPTIONS["kernel"].choices == tuple(KERNELS)
