"""What a file says of where it comes from."""

import hashlib
import json

import pytest
from command_line import succeed

from metatomic_core import AtomisticModel, load_atomistic_model
from metatomic_importers import import_model
from metatomic_importers.requirements import installed_version, licence_text


@pytest.fixture(scope="module")
def file(toy, checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("provenance") / "toy.pt"
    import_model("toy", checkpoint, path)
    return path


def test_metadata_have_packages_licences_and_the_checkpoint(file, checkpoint):
    model = load_atomistic_model(file)
    assert isinstance(model, AtomisticModel)
    metadata = model.metadata()
    assert metadata.name == "toy"
    assert metadata.references == {"model": ["doi:10.1103/PhysRev.34.57"]}
    extra = dict(metadata.extra)
    compared = extra.pop("compared")
    assert compared.startswith("with the calculator of the package, on 7 structures (bulk, triclinic, slab, molecule, ")
    assert all(unit in compared for unit in (" eV/atom", " eV/A,", " eV/A^3"))
    assert extra == {
        "imported from": f"toy.ckpt, with ase {installed_version('ase')}",
        "sha256 of checkpoint": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "licence of weights": "MIT, by the toy makers",
        "licence of code": licence_text("ase"),
    }


def test_inspect_shows_them(file, checkpoint):
    text = " ".join(succeed("inspect", file).stdout.split())
    assert "imported from" in text
    assert "MIT, by the toy makers" in text
    # the hash may be folded
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:20] in text
    data = json.loads(succeed("inspect", file, "--json").stdout)
    assert "GNU Lesser General Public License" in json.dumps(data)


def test_part_and_own_entries_of_the_family(changed, checkpoint, tmp_path):
    from metatomic_core import ModelMetadata

    given = ModelMetadata("net", "two words", ["A. Body"], extra={"trained on": "nothing", "empty": ""})
    changed({"metadata": given, "unable": {"atom": "it is alone"}}, part="head")
    model = import_model("toy", checkpoint, tmp_path / "toy.pt", part="main").model
    metadata = model.metadata()
    assert (metadata.name, metadata.description, metadata.authors) == ("net", "two words", ["A. Body"])
    assert metadata.extra["trained on"] == "nothing"
    assert metadata.extra["head"] == "main"
    assert "empty" not in metadata.extra
    assert "on 6 structures" in metadata.extra["compared"]
    assert metadata.extra["compared"].endswith("; not atom: it is alone")
