"""The C++ example against the contract: a program that has libtorch, a model file, and nothing of Python."""

import tempfile
from pathlib import Path

import pytest
from cpp_program import compiled, libraries, printed, run, write_structure

from metatomic_core.testing import Answer, Subject
from metatomic_core.testing.pytest import ContractTests

_NOT_PRINTED = "the example prints energy, forces and virial"
_ONE = "the example evaluates one structure and ends"
_FIXED = "the example has no options"


LACKS = {
    **dict.fromkeys(("atomic energies", "atomic virials", "outputs"), _NOT_PRINTED),
    **dict.fromkeys(("batch", "continued", "changing cell"), _ONE),
    **dict.fromkeys(("selected atoms", "variants", "direct predictions", "kernels", "devices"), _FIXED),
    "inputs": "its files have species, positions and cells",
}
LEFT_OUT = {"positions_that_are_not_numbers": "its text files have numbers only, and are refused as unreadable"}


class CppExample(Subject):
    name = "C++ example"
    lacks = LACKS
    left_out = LEFT_OUT
    program = None

    def evaluate(self, request):
        answers = []
        with tempfile.TemporaryDirectory() as folder:
            for structure in request.structures:
                file = write_structure(Path(folder) / "structure.txt", structure)
                done = run(self.program, request.model, file, *libraries())
                if done.returncode != 0:
                    raise RuntimeError(done.stderr)
                found = printed(done.stdout)
                energy, forces = float(found["energy"][0, 0]), found["forces"].reshape(-1, 3)
                answers.append(Answer(energy=energy, forces=forces, virial=found["virial"]))
        return answers


SUBJECT = CppExample()


@pytest.fixture(scope="module", autouse=True)
def _program(tmp_path_factory):
    SUBJECT.program = compiled(tmp_path_factory.mktemp("cpp"))


class TestCppExample(ContractTests):
    subject = SUBJECT
