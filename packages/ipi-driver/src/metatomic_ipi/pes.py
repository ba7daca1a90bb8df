"""The model as a PES of i-PI itself: the file for ``i-pi-py_driver -m custom -P`` and ``<ffdirect>``.

``metatomic-ipi pes-path`` prints where it is.  Parameters are ``template``, ``model``, and the options of
`metatomic_ipi.options`; lists are separated by semicolons.  i-PI loads it as a file, not as a part of this package.
"""

import gc
import os
import socket
import sys
from typing import Any

import numpy as np
from ipi.pes.dummy import Dummy_driver
from ipi.utils.messages import verbosity, warning
from ipi.utils.softexit import softexit

from metatomic_core.adapters.text_options import options_from_text
from metatomic_ipi.evaluation import Evaluator, Result
from metatomic_ipi.options import OPTIONS
from metatomic_ipi.protocol import close_socket

__DRIVER_NAME__ = "metatomic_core"
__DRIVER_CLASS__ = "MetatomicPES"

# Arguments that i-PI adds by itself.
_OF_IPI = ("verbose", "verbosity")
_FAILED = 1


class MetatomicPES(Dummy_driver):  # type: ignore[misc]
    """PES for i-PI.

    Parameters
    ----------
    template
        File with the structure.
    model
        Model file.
    options
        See `metatomic_ipi.options`.
    """

    def __init__(self, template: str, model: str, *, verbose: bool = False, **options: Any):
        given = {name: value for name, value in options.items() if name not in _OF_IPI}
        read = options_from_text("metatomic-ipi", given, OPTIONS)
        self._evaluator = Evaluator(str(model), str(template), say=_say, **read)
        super().__init__(verbose)

    def compute(
        self, cell: np.ndarray | list[np.ndarray], pos: np.ndarray | list[np.ndarray]
    ) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        """Compute one structure, or a list of them in one call of the model."""
        single = not isinstance(cell, list)
        cells, positions = ([cell], [pos]) if single else (cell, pos)
        try:
            results = self._evaluator(cells, positions)  # type: ignore[arg-type]
        except Exception as error:
            end_cleanly(f"metatomic-ipi: {' '.join(str(error).split())}")
            raise
        return _plain(results[0]) if single else [_plain(result) for result in results]

    __call__ = compute


def _plain(result: Result) -> tuple[Any, ...]:
    return result.energy, result.forces, result.virial, result.extras


def _say(text: str) -> None:
    warning(f" @metatomic-ipi: {text}", verbosity.low)


def end_cleanly(message: str) -> None:
    """End the run, or the connection to it, so that nothing waits for a result that will never come.

    An exception alone would kill the thread of i-PI that waits for results, and i-PI would hang.
    """
    if softexit.flist:
        # inside i-PI: it writes a restart file and ends
        softexit.cleanup(status="bad", message=message)
        if softexit.hard_exit and not softexit.flist:
            print(message, file=sys.stderr, flush=True)  # noqa: T201  (the last line of the log of i-PI)
            sys.stdout.flush()
            os._exit(_FAILED)
        return
    # inside a driver of i-PI, the socket of which is known to nobody else: see `close_socket`
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket):
            close_socket(thing)
