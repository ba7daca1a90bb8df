"""i-PI driver for exported models: the name is reserved, the driver is not written yet.

What belongs here later: a client of i-PI's socket protocol, the file for i-PI's own
``-m custom`` mode, and the mapping between i-PI's arrays and the pipeline of
``metatomic_core``. In this release the commands in :py:mod:`metatomic_ipi.cli` say that
there is no driver and what to use instead. Importing this package imports neither torch
nor i-PI.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("metatomic-ipi")
