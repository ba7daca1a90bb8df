"""Files are put where files are, and never in the place of a device or a pipe."""

import os
import stat

import pytest
from command_line import fail

from metatomic_core.adapters import replaced_when_done
from metatomic_core.potentials import lennard_jones


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    # as root, /dev/null would be a file from then on
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert [other.name for other in tmp_path.iterdir()] == ["pipe"]


def test_replaced_when_done_leaves_pipes(pipe):
    with (
        pytest.raises(ValueError, match=r"expected `file` to be a file, got .*pipe', which is a directory"),
        replaced_when_done(pipe),
    ):
        raise RuntimeError("expected no work before the refusal")


def test_models_are_not_saved_to_pipes(pipe):
    with pytest.raises(ValueError, match="expected `file` to be a file"):
        lennard_jones().save(str(pipe))


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_commands_do_not_write_to_pipes(pipe, force):
    assert f"expected `-o` to be a file, got '{pipe}'" in fail("export", "lj", "-o", pipe, *force)
