"""The short way around kernels: the same results as the long way, whatever changes in place between two calls.

The kernel here is the model itself, called with what a kernel gets, so that everything that it gets must be right.
"""

import dataclasses
import types

import numpy as np
import pytest
import torch
from models import FieldAndVolume, NoLists, TwoLists, WithInputs, structures, wrap

from metatomic_core import load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.files.programs import TensorRecord
from metatomic_core.pipeline.batch import Batch
from metatomic_core.tracing.runner import Runnable

STRUCTURES = structures()
RESULTS = ("energy", "atomic_energies", "forces", "virial")
PERIODIC = [name for name, one in STRUCTURES.items() if one.pbc.any()]


class OfModel:
    """A kernel whose programs call a model in Python, with all that they are given."""

    name = "compiled"

    def __init__(self, model, joins=True, gives_virial=True):
        self.model, self.calls = model, 0
        self.n_lists = len(model.requested_neighbor_lists())
        self.record = types.SimpleNamespace(joins=joins)
        dtype = model.capabilities().dtype
        rows = {"types": "int32", "positions": dtype, "cell": dtype, "pbc": "bool", "structure": "int64"}
        rows["structures"] = "float64"
        for k in range(self.n_lists):
            rows.update({f"first_{k}": "int64", f"second_{k}": "int64", f"shifts_{k}": "int32", f"vectors_{k}": dtype})
        names = ["atomic_energies", "forces"]
        names += ["virial"] if gives_virial else [f"dvectors_{k}" for k in range(self.n_lists)]
        self.runnable = Runnable(
            self.run, [TensorRecord(name, dtype, ()) for name, dtype in rows.items()],
            [TensorRecord(name, "float64", ()) for name in names],
        )  # fmt: skip

    def lacks(self, question, *, selects):
        others = set(question.request) - {*RESULTS, "stress"}
        return "something" if selects or others or question.outputs else ""

    def program(self, question, *, selects):
        return self.runnable, self.record

    def run(self, tensors):
        self.calls += 1
        given = {}
        for row, values in zip(self.runnable.inputs, tensors, strict=True):
            assert values.is_contiguous(), row.name
            assert str(values.dtype) == f"torch.{row.dtype}", row.name
            given[row.name] = values
        with torch.inference_mode(False), torch.enable_grad():
            found = self._found({name: values.clone() for name, values in given.items()})
        return [found[row.name].detach().clone() for row in self.runnable.outputs]

    def _found(self, given):
        n_structures = len(given["structures"])
        n_atoms = torch.bincount(given["structure"], minlength=n_structures)
        starts = torch.cumsum(n_atoms, 0) - n_atoms
        pairs, n_pairs, vectors, atoms = [], [], [], [torch.zeros(2, 0, dtype=torch.int64)]
        for k in range(self.n_lists):
            both = torch.stack([given[f"first_{k}"], given[f"second_{k}"]])
            of_pair = given["structure"][both[0]]
            assert torch.equal(of_pair, given["structure"][both[1]])
            pairs.append(torch.cat([(both - starts[of_pair]).to(torch.int32).t(), given[f"shifts_{k}"]], dim=1))
            n_pairs.append(torch.bincount(of_pair, minlength=n_structures).tolist())
            vectors.append(given[f"vectors_{k}"].requires_grad_())
            atoms.append(both)
        positions = given["positions"].requires_grad_()
        cells = given["cell"].expand(n_structures, 3, 3).clone().requires_grad_()
        sizes = n_atoms.tolist()
        batch = Batch(
            given["types"], positions, cells, list(torch.split(positions, sizes)), list(torch.unbind(cells)),
            given["pbc"].expand(n_structures, 3), sizes, pairs, n_pairs, vectors, torch.cat(atoms, dim=1), None,
            cells.detach(), {},
        )  # fmt: skip
        energies = self.model.outputs_of(batch, {"energy": "atom"}, check_consistency=False)["energy"].block().values
        leaves = [positions, cells, *vectors]
        gradients = torch.autograd.grad(energies.sum(), leaves, allow_unused=True, materialize_grads=True)
        dpositions, dcells, dvectors = gradients[0], gradients[1], gradients[2:]
        forces, virial = -dpositions.double(), torch.zeros(n_structures, 3, 3, dtype=torch.float64)
        for i in range(n_structures):
            of_structure = given["structure"] == i
            virial[i] -= (positions[of_structure].t() @ dpositions[of_structure] + cells[i].t() @ dcells[i]).double()
        for both, vector, dvector in zip(atoms[1:], vectors, dvectors, strict=True):
            forces.index_add_(0, both[0], dvector.double()).index_add_(0, both[1], -dvector.double())
            for i in range(n_structures):
                of_structure = given["structure"][both[0]] == i
                virial[i] -= (vector[of_structure].t() @ dvector[of_structure]).double()
        found = {"atomic_energies": energies.squeeze(1).double(), "forces": forces, "virial": virial}
        return {**found, **{f"dvectors_{k}": values for k, values in enumerate(dvectors)}}


def engines(module=None, joins=True, gives_virial=True, **options):
    """Give an engine with a kernel, and one without, in units that are not those of the model."""
    given = {"length_unit": "bohr", "energy_unit": "hartree", "device": "cpu", **options}
    dtype = given.pop("dtype", "float64")
    model = wrap(TwoLists() if module is None else module, dtype=dtype)
    quick, long = Engine(model, **given), Engine(model, **given)
    quick._kernel = OfModel(model, joins, gives_virial)
    return quick, long


def copies(given):
    return [
        dataclasses.replace(one, **{name: getattr(one, name).copy() for name in ("types", "positions", "cell", "pbc")})
        for one in given
    ]


def check(quick, long, given, results=RESULTS, calls=1, tolerance=1e-12):
    before = quick._kernel.calls
    got, expected = quick.evaluate(given, results), long.evaluate(copies(given), results)
    assert quick._kernel.calls == before + calls
    for name in results:
        one, other = getattr(got, name), getattr(expected, name)
        assert one.shape == other.shape
        assert one.dtype == np.float64
        scale = max(1e-3, np.nanmax(np.abs(other), initial=0.0))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale, err_msg=name)
    return got


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("module", [TwoLists, NoLists])
def test_one_structure(module, name):
    results = (*RESULTS, "stress") if name in PERIODIC and np.linalg.det(STRUCTURES[name].cell) != 0 else RESULTS
    check(*engines(module()), [STRUCTURES[name]], results)


@pytest.mark.parametrize("gives_virial", [True, False])
def test_several_structures(gives_virial):
    given = [STRUCTURES[name] for name in STRUCTURES]
    nothing = Structure(np.zeros(0, int), np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, bool))
    got = check(*engines(gives_virial=gives_virial), [*given, nothing, *given[::-1], nothing], (*RESULTS, "stress"))
    assert np.isnan(got.stress[len(given)]).all()
    assert got.energy[len(given)] == 0.0


def test_lists_of_one_atom_and_of_none():
    one = Structure(np.array([6]), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool))
    none = Structure(np.zeros(0, int), np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, bool))
    check(*engines(), [one])
    check(*engines(), [none])


@pytest.mark.parametrize("gives_virial", [True, False])
def test_single_precision(gives_virial):
    check(*engines(dtype="float32", gives_virial=gives_virial), [STRUCTURES["triclinic"]], tolerance=1e-5)


def changes():
    """Give a structure that changes in place, one thing at a time."""
    structure = copies([STRUCTURES["triclinic"]])[0]
    yield "nothing yet", structure
    yield "nothing", structure
    structure.positions[1] += 0.1
    yield "positions", structure
    structure.types[:] = structure.types[::-1].copy()
    yield "types", structure
    structure.cell *= 1.01
    yield "cell", structure
    structure.pbc[2] = False
    yield "periodicity", structure
    structure.cell[2] *= 2.0
    yield "an open vector, which only the volume knows", structure
    structure.pbc[2] = True
    structure.cell[2] *= 0.5
    yield "back", structure
    structure.types = structure.types[:-1]
    structure.positions = structure.positions[:-1]
    yield "number of atoms", structure
    structure.types = structure.types.astype(np.uint8)
    yield "type of types", structure
    structure.positions = np.asfortranarray(structure.positions)
    yield "layout", structure
    structure.positions.flags.writeable = False
    yield "not to be written to", structure


def test_changes_in_place():
    quick, long = engines()
    for what, structure in changes():
        try:
            check(quick, long, [structure], (*RESULTS, "stress"))
        except AssertionError as error:
            raise AssertionError(f"after a change of {what}") from error


def test_changes_in_place_of_one_of_several():
    quick, long = engines()
    fixed = STRUCTURES["triclinic"]
    for _, structure in changes():
        check(quick, long, [fixed, structure, fixed], (*RESULTS, "stress"))
        check(quick, long, [structure, fixed], RESULTS)


def test_results_are_not_overwritten():
    quick, long = engines()
    structure = copies([STRUCTURES["triclinic"]])[0]
    first = check(quick, long, [structure])
    kept = {name: getattr(first, name).copy() for name in RESULTS}
    structure.positions += np.random.default_rng(0).normal(size=structure.positions.shape) * 0.1
    second = check(quick, long, [structure])
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(first, name), kept[name])
    assert not np.array_equal(first.forces, second.forces)


def test_units_of_two_engines_of_one_model():
    model = wrap(TwoLists())
    in_bohr = Engine(model, length_unit="bohr", energy_unit="hartree", device="cpu")
    in_nm = Engine(model, length_unit="nm", energy_unit="kJ/mol", device="cpu")
    for engine in (in_bohr, in_nm):
        engine._kernel = OfModel(model)
        long = Engine(model, length_unit=engine.length_unit, energy_unit=engine.energy_unit)
        check(engine, long, [STRUCTURES["triclinic"]])


@pytest.mark.parametrize("what", ["positions", "cell"])
def test_what_is_not_finite_is_refused(what):
    quick, long = engines()
    structure = copies([STRUCTURES["triclinic"]])[0]
    check(quick, long, [structure])
    getattr(structure, what)[0, 0] = np.nan
    with pytest.raises(ValueError, match="expected finite positions and cell, got nan or infinity in structure 0"):
        quick.evaluate([structure], RESULTS)
    assert quick._kernel.calls == 1


def test_unknown_types_are_refused():
    quick, long = engines()
    structure = copies([STRUCTURES["triclinic"]])[0]
    check(quick, long, [structure])
    structure.types[1] = 90
    with pytest.raises(ValueError, match=r"expected atomic types that this model knows, .* got type 90 for atom 1 of"):
        quick.evaluate([structure], RESULTS)
    assert quick._kernel.calls == 1
    structure.types[1] = 6
    check(quick, long, [structure])


def test_shapes_are_checked():
    quick, _ = engines()
    one = STRUCTURES["triclinic"]
    for name, wrong in (("positions", one.positions[:-1]), ("cell", one.cell[:2]), ("pbc", one.pbc[:2])):
        with pytest.raises(ValueError, match=f"expected `{name}` of structure 0 to have the shape"):
            quick.evaluate([dataclasses.replace(one, **{name: wrong})], RESULTS)
    with pytest.raises(TypeError, match="expected `types` of structure 0 to be integers"):
        quick.evaluate([dataclasses.replace(one, types=one.types.astype(float))], RESULTS)
    with pytest.raises(ValueError, match="expected `types` of structure 0 to fit in 32-bit integers"):
        quick.evaluate([dataclasses.replace(one, types=one.types + 2**32)], RESULTS)
    assert quick._kernel.calls == 0


@pytest.mark.parametrize("atom", [-1, 6, 10**6])
def test_pairs_of_atoms_that_do_not_exist_are_refused(atom, monkeypatch):
    quick, _ = engines()
    find = quick._neighbors.joined

    def broken(*arguments):
        found = find(*arguments)
        found.second[1][-1] = atom
        return found

    monkeypatch.setattr(quick._neighbors, "joined", broken)
    structure = STRUCTURES["triclinic"]
    assert len(structure.types) == 6
    with pytest.raises(ValueError, match="expected atoms between 0 and 5 in pairs, got others"):
        quick.evaluate([structure], RESULTS)
    assert quick._kernel.calls == 0


def test_stress_without_volume_is_refused():
    quick, long = engines()
    structure = STRUCTURES[next(name for name in STRUCTURES if name not in PERIODIC)]
    for engine in (quick, long):
        with pytest.raises(ValueError, match="expected a periodic structure with three cell vectors for 'stress'"):
            engine.evaluate([structure], ["stress"])


def test_what_kernels_do_not_give_takes_the_long_way():
    quick, long = engines()
    one = STRUCTURES["triclinic"]
    check(quick, long, [one], ("energy", "atomic_virials"), calls=0)
    alone, _ = engines(joins=False)
    alone._kernel.derive = lambda *_: pytest.fail("the long way")
    with pytest.raises(pytest.fail.Exception, match="the long way"):
        alone.evaluate([one, one], RESULTS)
    selected = np.array([[0, 1]])
    got, expected = (engine.evaluate([one], RESULTS, selected_atoms=selected) for engine in (quick, long))
    np.testing.assert_array_equal(got.forces, expected.forces)
    assert quick._kernel.calls == 0
    with pytest.raises(ValueError, match="expected at least one system, got an empty list"):
        quick.evaluate([], RESULTS)
    inputs, _ = engines(WithInputs())
    with pytest.raises(ValueError, match="expected the input"):
        inputs.evaluate([one], RESULTS)
    assert inputs._kernel.calls == 0


def test_models_that_see_the_cell():
    check(*engines(FieldAndVolume()), [STRUCTURES["triclinic"]], ("energy", "forces", "virial"))


@pytest.mark.parametrize(
    ("module", "dtype"),
    [(TwoLists, "float64"), (TwoLists, "float32"), (NoLists, "float64"), (FieldAndVolume, "float64")],
)
def test_programs_of_files(module, dtype, tmp_path):
    """Programs in files, run by torch, against the scripted model: also where they see positions and cell."""
    wrap(module(), dtype=dtype).save(str(tmp_path / "model.pt"), exported=True)
    model = load_atomistic_model(tmp_path / "model.pt")
    units = {"length_unit": "bohr", "energy_unit": "hartree", "device": "cpu"}
    eager, script = (Engine(model, kernel=kernel, **units) for kernel in ("eager", "script"))
    calls = []
    evaluate = eager._quick.evaluate
    eager._quick.evaluate = lambda *arguments: calls.append(1) or evaluate(*arguments)
    periodic = [STRUCTURES["triclinic"], STRUCTURES["small cell"]]
    # what a structure without a cell has of a volume is zero, and has no derivative
    for given in ([periodic[0]], [periodic[1]], periodic):
        results = (*RESULTS, "stress")
        got, expected = eager.evaluate(given, results), script.evaluate(given, results)
        for name in results:
            one, other = getattr(got, name), getattr(expected, name)
            scale = max(1e-3, np.abs(other).max())
            np.testing.assert_allclose(one, other, rtol=0, atol=scale * (1e-12 if dtype == "float64" else 2e-5))
    assert not eager.fallback
    # models that see the cell take structures one at a time
    assert len(calls) == (2 if module is FieldAndVolume else 3)
