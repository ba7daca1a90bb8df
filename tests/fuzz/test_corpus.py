"""What was found in readers, by fuzzing and by people, stays mended."""

import pytest
from fuzz import corpus
from fuzz.harness import judge
from fuzz.review import REVIEW
from fuzz.targets import TARGETS

FOUND = list(corpus.entries())


@pytest.mark.parametrize(("target", "path"), FOUND, ids=[f"{target}-{path.stem}" for target, path in FOUND])
def test_finding_of_fuzzing_is_mended(target, path):
    judge(TARGETS[target], corpus.read(path))


@pytest.mark.parametrize("row", REVIEW, ids=[f"{row.number} {row.wrong}" for row in REVIEW])
def test_finding_of_the_review_is_mended(row):
    assert judge(TARGETS[row.target], row.value()) == row.outcome
