"""The structures that a model is checked on if the user names none."""

import logging
from collections.abc import Sequence

from metatomic_core.engine import Engine, Structure
from metatomic_core.testing.trial_structures import trial_structures

from .structures import calibrated_structures

_LOG = logging.getLogger(__name__)


def default_structures(types: Sequence[int], engine: Engine | None = None) -> dict[str, Structure]:
    """Give the structures that a model is checked on if the user names none.

    Parameters
    ----------
    types
        Atomic numbers that the model knows.
    engine
        The model in angstrom: lengths are made to fit to it; without it they come from covalent radii.
    """
    if engine is None:
        return trial_structures(types)
    for periodic_only in (False, True):
        try:
            return calibrated_structures(engine, trial_structures(types, periodic_only))
        except Exception as error:  # noqa: BLE001  (some models want a cell; whatever else is wrong, checks shall say)
            _LOG.debug("structures that are calibrated, periodic only: %s: %s", periodic_only, error)
    return trial_structures(types)
