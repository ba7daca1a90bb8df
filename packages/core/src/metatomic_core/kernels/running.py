"""Compiled packages, loaded and ready to be called."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch._C._aoti import AOTIModelPackageLoader

from metatomic_core.foundation.quoting import in_one_line
from metatomic_core.tracing.runner import Runnable

from .cache import About

# Whether without locks, how many copies of the weights, and the number of the device.
_LOAD = (False, 1, -1)


def compiled(folder: Path, about: About) -> Runnable:
    """Load a package of the cache, which was found to fit: its code is run by the processor as it is.

    Parameters
    ----------
    folder, about
        As `cache.fitting` gives them.

    Raises
    ------
    RuntimeError
        If torch can not load it.
    """
    path = folder / about.package
    try:
        loader = AOTIModelPackageLoader(str(path), "model", *_LOAD)
    except RuntimeError as error:
        reason = in_one_line(error)
        raise RuntimeError(
            f"expected a package that torch can load, got '{folder}': {reason}; run `metatomic compile --clear` and "
            "compile the model again"
        ) from error

    def run(tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return loader.run(list(tensors))

    return Runnable(run, about.inputs, about.outputs)
