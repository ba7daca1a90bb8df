"""Whether all numbers of an array are finite."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for the annotation only: adapters show their help without NumPy
    import numpy as np


def all_finite(values: "np.ndarray") -> bool:
    """Tell whether no value is infinite or nan.

    Parameters
    ----------
    values
        Floating point numbers, of any shape.

    Returns
    -------
    bool
        Whether all are finite.
    """
    import numpy as np

    # not the dot product with itself, which is quicker: that of older versions of NumPy reads beyond arrays that are
    # not aligned, as those made of messages are not
    return bool(np.isfinite(values).all())
