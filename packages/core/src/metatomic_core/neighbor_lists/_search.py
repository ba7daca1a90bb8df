"""vesin's search for pairs, called without copies and without what its Python layer does at each call.

That layer makes new types of ctypes for each number of pairs, which takes several times as long as the search among 100
atoms, and keeps them for ever. The C library is the same, found through vesin; where vesin hides it in another way
some day, its Python layer is used.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
import vesin

try:
    from vesin import _c_api as c_api
    from vesin._c_lib import get_library
except ImportError:  # pragma: no cover  (a later version of vesin)
    c_api = get_library = None


class Found(NamedTuple):
    """Pairs that were found, in the memory of a `PairSearch`: its next search overwrites them, or moves them.

    Attributes
    ----------
    first, second
        Atoms, shape (n_pairs,), int64.
    vectors
        Shape (n_pairs, 3), float64.
    all_shifts, chosen
        Cell shifts of the second atoms, shape (n_pairs, 3), int32; or those of candidates, and which ones are pairs.
    """

    first: np.ndarray
    second: np.ndarray
    vectors: np.ndarray
    all_shifts: np.ndarray
    chosen: np.ndarray | None = None

    def shifts(self) -> np.ndarray:
        """Give the cell shifts of the second atoms, shape (n_pairs, 3), int32."""
        return self.all_shifts if self.chosen is None else self.all_shifts.take(self.chosen, axis=0)


class _Memory:
    """Memory of a search, as NumPy takes it; alive as long as an array refers to it."""

    def __init__(self, owner: object, address: int, shape: tuple[int, int], dtype: str):
        self.owner = owner
        self.__array_interface__ = {"data": (address, False), "shape": shape, "typestr": dtype, "version": 3}


class _View:
    """What vesin has written to one of its arrays, as an array."""

    def __init__(self, owner: object, structure: Any, name: str, width: int, dtype: str):
        self._owner, self._width, self._dtype = owner, width, dtype
        self._address = ctypes.c_void_p.from_buffer(structure, getattr(type(structure), name).offset)
        self._seen: int | None = None
        self._rows: np.ndarray = np.empty((0, width), dtype=dtype)

    def rows(self, n_rows: int) -> np.ndarray:
        """Give the first rows; making an array of a pointer takes longer than a part of one that there is."""
        if self._address.value != self._seen or n_rows > len(self._rows):
            self._seen = self._address.value
            memory = _Memory(self._owner, self._seen or 0, (n_rows, self._width), self._dtype)
            self._rows = np.asarray(memory)
        return self._rows[:n_rows]


class Argument:
    """The address of an array that the next call most often has again, after a look at what is there."""

    def __init__(self, shape: tuple[int | None, ...], dtype: type):
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._array: np.ndarray | None = None
        self._address = 0

    def address(self, array: np.ndarray) -> int:
        """Refuse what C code would read as something else."""
        if array is not self._array:
            fits = len(array.shape) == len(self._shape) and all(
                size in (None, given) for size, given in zip(self._shape, array.shape, strict=True)
            )
            if not fits or array.dtype != self._dtype or not array.flags.c_contiguous:
                shape = str(self._shape).replace("None", "n_atoms")
                raise ValueError(f"expected a contiguous array of {self._dtype} of the shape {shape}, got another")
            self._array, self._address = array, array.__array_interface__["data"][0]
        return self._address


class PairSearch:
    """The search for pairs of one structure with one cutoff, with candidates that are kept as long as they are good.

    Parameters
    ----------
    cutoff
        Largest distance of a pair.
    full_list
        Whether each pair is given in both directions.
    skin
        Thickness of the skin within which candidates are kept; zero for none.
    """

    def __init__(self, cutoff: float, full_list: bool, skin: float):
        # also frees the memory in the end
        self.vesin = vesin.NeighborList(cutoff=cutoff, full_list=full_list, skin=skin)
        self._direct = _is_known(self.vesin)
        if not self._direct:
            return
        library, result = self.vesin._lib, self.vesin._neighbors  # noqa: SLF001  (see above)
        # a function of our own, which takes addresses as they are
        self._function = library["vesin_neighbors"]
        self._function.restype = ctypes.c_int
        self._function.argtypes = [
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_void_p,
            c_api.VesinDevice,
            c_api.VesinOptions,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._result, self._error = result, ctypes.c_char_p()
        self._addresses = ctypes.addressof(result), ctypes.addressof(self._error)
        self._device = c_api.VesinDevice(c_api.VesinCPU, 0)
        self._options = _options(cutoff, full_list, skin)
        self._box, self._periodic = Argument((3, 3), np.float64), Argument((3,), np.bool_)
        self._views = [
            _View(self.vesin, result, name, width, dtype)
            for name, width, dtype in (("pairs", 2, "<i8"), ("vectors", 3, "<f8"), ("shifts", 3, "<i4"))
        ]

    def __call__(self, points: np.ndarray, box: np.ndarray, periodic: np.ndarray) -> Found:
        """Find the pairs.

        Parameters
        ----------
        points
            Shape (n_atoms, 3), float64, contiguous, finite.
        box
            Shape (3, 3), float64, contiguous; see `completed_cell`.
        periodic
            Shape (3,), bool, contiguous.

        Raises
        ------
        RuntimeError
            If vesin fails.
        """
        if not self._direct:
            found = self.vesin.compute(points, box, periodic, quantities="ijDS", copy=True)
            return Found(*(atoms.view(np.int64) for atoms in found[:2]), *found[2:])
        status = self._function(
            Argument((None, 3), np.float64).address(points),
            len(points),
            self._box.address(box),
            self._periodic.address(periodic),
            self._device,
            self._options,
            *self._addresses,
        )
        if status != 0:
            raise RuntimeError((self._error.value or b"vesin has failed").decode())
        n_pairs = self._result.length
        pairs, vectors, shifts = (view.rows(n_pairs) for view in self._views)
        return Found(pairs[:, 0], pairs[:, 1], vectors, shifts)


def _options(cutoff: float, full_list: bool, skin: float) -> Any:
    options = c_api.VesinOptions()
    given = {
        "cutoff": cutoff,
        "full": full_list,
        "skin": skin,
        "algorithm": c_api.VesinAutoAlgorithm,
        "return_shifts": True,
        "return_vectors": True,
    }
    for name, value in given.items():
        setattr(options, name, value)
    return options


_FIELDS = ("cutoff", "full", "skin", "algorithm", "return_shifts", "return_vectors")
_N_ARGUMENTS = 8
_RESULTS = ("pairs", "shifts", "vectors")


def _is_known(nl: Any) -> bool:
    """Tell whether this version of vesin calls its library as the code above does."""
    if c_api is None or not (hasattr(nl, "_lib") and hasattr(nl, "_neighbors")):
        return False
    names = [name for name, _ in getattr(c_api.VesinOptions, "_fields_", [])]
    results = [name for name, _ in getattr(c_api.VesinNeighborList, "_fields_", [])]
    n_arguments = len(nl._lib.vesin_neighbors.argtypes or ())  # noqa: SLF001
    return (
        set(_FIELDS) <= set(names)
        and {*_RESULTS, "length"} <= set(results)
        and n_arguments == _N_ARGUMENTS
        and ctypes.sizeof(ctypes.c_size_t) == np.dtype(np.int64).itemsize
    )
