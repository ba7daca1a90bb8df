"""Models in files of the reference against the contract: the trial models, converted, and read again."""

import dataclasses
from pathlib import Path

import pytest

from metatomic_ase.subject import Ase
from metatomic_core.testing.pytest import ContractTests
from metatomic_core.writing import convert

LACKS = {
    **Ase.lacks,
    "kernels": "a file of the reference has no program of ours",
    "outputs": "the trial model has a dipole, which the reference does not know by this name",
    "variants": "as outputs: of the same model",
    "direct predictions": "as outputs: of the same model",
}
LEFT_OUT = {
    **Ase.left_out,
    "missing_file": "there is nothing to convert",
    "gradient_by_default": "as outputs: of the same model",
    "inputs_of_atoms": "the trial model wants charges in aC, which the reference does not know",
    "inputs_that_change": "the trial model wants charges in aC, which the reference does not know",
}


class FilesOfTheReference(Ase):
    """The same in ASE, through a file of metatomic-torch."""

    name = "files of the reference"
    lacks = LACKS
    left_out = LEFT_OUT
    folder = None

    def evaluate(self, request):
        path = self.folder / f"{abs(hash(request.model))}.pt"
        if not path.exists():
            convert(request.model, path, "metatomic-torch")
        return super().evaluate(dataclasses.replace(request, model=path))


SUBJECT = FilesOfTheReference()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory):
    SUBJECT.folder = Path(tmp_path_factory.mktemp("reference"))


class TestFilesOfTheReference(ContractTests):
    subject = SUBJECT
