"""What holds for the tests of commands: the settings of this process stay its own."""

import pytest

from metatomic_core.adapters import memory


@pytest.fixture(autouse=True)
def kept_memory(monkeypatch):
    """Calls of `keep_freed_memory`, which holds for all of a process: nothing of it happens in tests."""
    calls = []
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: calls.append(1) or True)
    return calls
