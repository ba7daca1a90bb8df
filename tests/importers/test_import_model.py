"""The arguments of `import_model`, and what it gives."""

from pathlib import Path

import pytest
import torch

from metatomic_core import AtomisticModel, load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_importers import import_model
from metatomic_importers.structures import trial_structures


def test_file_is_what_is_reported(toy, checkpoint, tmp_path):
    report = import_model("toy", checkpoint, str(tmp_path / "toy.pt"))
    assert report.file == tmp_path / "toy.pt"
    assert isinstance(report.model, AtomisticModel)
    capabilities = load_atomistic_model(report.file).capabilities()
    assert list(capabilities.atomic_types) == [18, 14, 6]
    assert capabilities.dtype == "float64"
    assert [row.structure for row in report.rows] == list(trial_structures([18, 14, 6]))
    assert all(set(row.differences) >= {"energy", "forces"} for row in report.rows)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_species_are_those_asked_for(dtype, toy, checkpoint, tmp_path):
    report = import_model("toy", checkpoint, tmp_path / "toy.pt", dtype=dtype, species=["C", "Ar"])
    capabilities = report.model.capabilities()
    assert list(capabilities.atomic_types) == [18, 6]
    assert capabilities.dtype == dtype
    engine = Engine(tmp_path / "toy.pt", length_unit="angstrom", energy_unit="eV")
    atoms = trial_structures([14])["molecule"]
    with pytest.raises(ValueError, match=r"14|Si"):
        engine.evaluate([Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)], ["energy"])


def test_existing_file_is_replaced_if_asked(toy, checkpoint, tmp_path):
    (tmp_path / "toy.pt").write_text("old")
    with pytest.raises(ValueError, match=r"expected a new file for `output`, got '.*toy.pt', which exists"):
        import_model("toy", checkpoint, tmp_path / "toy.pt")
    assert (tmp_path / "toy.pt").read_text() == "old"
    import_model("toy", checkpoint, tmp_path / "toy.pt", force=True)
    load_atomistic_model(tmp_path / "toy.pt")


def test_shipped_checkpoints_have_names(changed, checkpoint, tmp_path):
    changed(shipped=lambda: {"toy-0": checkpoint})
    report = import_model("toy", "toy-0", tmp_path / "toy.pt")
    assert report.model.metadata().extra["imported from"].startswith("toy-0, with ase ")


def test_exported_programs_are_written_if_asked(toy, checkpoint, tmp_path):
    import_model("toy", checkpoint, tmp_path / "toy.pt", species=["Ar"], exported=True)
    assert load_atomistic_model(tmp_path / "toy.pt").header.programs


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"family": 3}, TypeError, "expected `family` to be a string, got int"),
        ({"family": "toys"}, ValueError, "expected `family` to be one of .*, got 'toys'; did you mean 'toy'"),
        ({"checkpoint": 3}, TypeError, "expected `checkpoint` to be a string or a path, got int"),
        ({"checkpoint": b"toy"}, TypeError, "expected `checkpoint` to be a string or a path, got bytes"),
        ({"checkpoint": "no.ckpt"}, ValueError, "expected a checkpoint file of toy, got 'no.ckpt', which is not there"),
        ({"output": None}, TypeError, "expected `output` to be a string or a path, got NoneType"),
        ({"output": "{tmp}"}, ValueError, "expected `output` to be a file name, got the directory"),
        ({"output": "{tmp}/no/toy.pt"}, ValueError, "expected the directory of `output` to exist, got '.*/no'"),
        ({"dtype": "float16"}, ValueError, "expected `dtype` to be one of 'float64', 'float32', got 'float16'; did"),
        ({"dtype": torch.float32}, ValueError, "expected `dtype` to be one of .*, got 'torch.float32'; did you mean"),
        ({"part": 1}, TypeError, "expected `part` to be a string or None, got int"),
        ({"part": "main"}, ValueError, "expected no head, modal or task for toy, whose models have none, got 'main'"),
        ({"species": "Si"}, TypeError, "expected `species` to be a list of chemical symbols, got 'Si'"),
        ({"species": 14}, TypeError, "expected `species` to be a list of chemical symbols, got 14"),
        ({"species": [14]}, TypeError, "expected `species` to be a list of chemical symbols, got int"),
        ({"species": ["H"]}, ValueError, "expected `species` among Ar Si C, got H"),
        ({"species": ["Q"]}, ValueError, "expected chemical symbols like Si as `species`, got 'Q'"),
    ],
)
def test_wrong_arguments(change, error, message, toy, checkpoint, tmp_path):
    arguments = {"family": "toy", "checkpoint": checkpoint, "output": tmp_path / "toy.pt", **change}
    if isinstance(arguments["output"], str):
        arguments["output"] = arguments["output"].format(tmp=tmp_path)
    with pytest.raises(error, match=message) as caught:
        import_model(**arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_dtype_that_the_family_has_not(changed, checkpoint, tmp_path):
    changed(dtypes=("float32",))
    with pytest.raises(ValueError, match="expected `dtype` to be one of 'float32', got 'float64'"):
        import_model("toy", checkpoint, tmp_path / "toy.pt", dtype="float64")


def test_what_is_wrong_is_said_before_the_checkpoint_is_read(changed, checkpoint, tmp_path):
    def read(request):
        raise AssertionError("read")

    changed(read=read)
    for wrong in ({"dtype": "float16"}, {"part": "main"}, {"output": Path("/no/such/toy.pt")}, {"checkpoint": "no"}):
        with pytest.raises(ValueError, match="expected"):
            import_model(**{"family": "toy", "checkpoint": checkpoint, "output": tmp_path / "toy.pt", **wrong})
