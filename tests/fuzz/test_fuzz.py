"""Every reader of what others wrote, with a fixed number of damaged inputs; ``long.py`` tries more of them by hand."""

import pytest
from fuzz.search import try_examples
from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_reader_accepts_or_refuses_in_one_line(name):
    counts = try_examples(TARGETS[name], TARGETS[name].examples)
    assert set(TARGETS[name].outcomes) <= set(counts)
