"""Arrays (z, y, x) that lie in memory in every odd way, with the values of a plain one."""

import numpy as np
import pytest


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


ODD = {
    "transposed": lambda a: a.transpose(2, 1, 0).copy().transpose(2, 1, 0),
    "slices transposed": lambda a: a.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    "fortran": np.asfortranarray,
    "reversed": lambda a: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "part of a larger one": lambda a: np.repeat(np.pad(a, 1), 2, axis=2)[1:-1, 1:-1, 2:-2:2],
    "read-only": _read_only,
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder("S")),
}
odd_arrays = pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
