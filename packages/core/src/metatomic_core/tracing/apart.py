"""A process of its own for what changes the whole process while it runs, and may take it down.

A copy of this one (``fork``), so that models need not be importable, nor be pickled. Where there is no ``fork`` the
work is done here, one thread at a time.
"""

import os
import pickle
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

_Result = TypeVar("_Result")
_LOCK = threading.Lock()


class ApartError(RuntimeError):
    """The process ended without a result."""


def apart(function: Callable[[], _Result]) -> _Result:
    """Run a function in a copy of this process, and give what it returns.

    Parameters
    ----------
    function
        What to run; its result, and what it raises, can be pickled.

    Raises
    ------
    ApartError
        If the process died.
    Exception
        What the function raises.
    """
    with _LOCK:
        if not hasattr(os, "fork"):
            return function()
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder, "answer")
            with warnings.catch_warnings():
                # of threads that the copy will not have: it uses none of theirs
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                _work(function, answer)
            _, status = os.waitpid(child, 0)
            if not answer.exists():
                raise ApartError(f"expected a result of a process, got none; it ended with status {status}")
            result, error = pickle.loads(answer.read_bytes())  # noqa: S301  (written by a copy of this process)
    if error is not None:
        raise error
    return result


def _work(function: Callable[[], object], answer: Path) -> None:
    """Be the copy: never return, and run nothing that was registered for the end of the other one."""
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        # threads of OpenMP are not copied
        torch.set_num_threads(1)
        result: object = None
        error: BaseException | None = None
        try:
            result = function()
        except BaseException as raised:  # noqa: BLE001  (whatever a model raises is given to the other process)
            error = _picklable(raised)
        part = answer.with_suffix(".part")
        part.write_bytes(pickle.dumps((result, error)))
        part.rename(answer)
    finally:
        os._exit(0)


def _picklable(error: BaseException) -> BaseException:
    """Give an error, with the text of its traceback, that another process can read."""
    text = "".join(traceback.format_exception(error))
    try:
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  (of ours)
    except Exception:  # noqa: BLE001  (whatever pickling says)
        again = RuntimeError(f"{type(error).__name__}: {error}")
    again.add_note(text) if hasattr(again, "add_note") else None
    return again
