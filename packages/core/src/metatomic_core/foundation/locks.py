"""One lock for each model: TorchScript and neighbor lists run without the lock of the interpreter, and keep state."""

import threading
import weakref

import torch

_LOCKS: "weakref.WeakKeyDictionary[torch.nn.Module, threading.RLock]" = weakref.WeakKeyDictionary()
_MAKING = threading.Lock()


def lock_of(model: torch.nn.Module) -> "threading.RLock":
    """Give the lock of a model, the same for all engines that share the model.

    It is kept here and not in the model or its engine, so that these can be copied and pickled.  A thread may take it
    again while it has it.

    Parameters
    ----------
    model
        The model.
    """
    with _MAKING:
        lock = _LOCKS.get(model)
        if lock is None:
            lock = _LOCKS[model] = threading.RLock()
        return lock
