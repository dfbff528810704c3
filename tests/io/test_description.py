import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.io.description import FileDescription, stack_axes


def described(axes: str, *shape: int) -> FileDescription:
    return FileDescription("a", "TIFF", tuple(axes), shape, np.dtype(np.uint8))


@pytest.mark.parametrize(
    ("axes", "shape", "order"),
    [
        ("yx", (5, 6), (None, 0, 1)),
        ("xy", (6, 5), (None, 1, 0)),
        ("xyz", (6, 5, 4), (2, 1, 0)),
        ("czyx", (1, 4, 5, 6), (1, 2, 3)),
        ("tyx", (4, 5, 6), (0, 1, 2)),
        ("tzyx", (4, 1, 5, 6), (0, 2, 3)),
        ("yxc", (5, 6, 1), (None, 0, 1)),
        ("???", (4, 5, 6), (0, 1, 2)),
        ("????", (1, 4, 5, 6), (1, 2, 3)),
    ],
)
def test_the_axes_that_a_file_names_become_z_y_x(axes: str, shape: tuple, order: tuple) -> None:
    found = stack_axes(described(axes, *shape))
    assert found.order == order
    array = np.arange(np.prod(shape)).reshape(shape)
    z, y, x = found.size(shape)
    whole = found.part(array, (slice(0, z), slice(0, y), slice(0, x)))
    assert whole.shape == (z, y, x)
    part = found.part(array, (slice(z - 1, z), slice(1, 3), slice(2, 5)))
    assert np.array_equal(part, whole[z - 1 : z, 1:3, 2:5])


@pytest.mark.parametrize(
    ("axes", "shape", "words"),
    [
        ("yxc", (5, 6, 3), "3 channels"),
        ("tzyx", (2, 4, 5, 6), r"4 axes, t \(2\), z \(4\)"),
        ("zy", (4, 5), "has the axes z, y"),
        ("yyx", (4, 5, 6), "has the axes y, y, x"),
        ("????", (2, 4, 5, 6), "2 x 4 x 5 x 6"),
        ("???", (40, 50, 3), "looks like a colour image"),
        ("?", (5,), "has the shape 5"),
        ("zyx", (0, 5, 6), "no pixels"),
    ],
)
def test_what_is_not_one_grey_stack_is_refused_with_its_axes(axes: str, shape: tuple, words: str) -> None:
    with pytest.raises(UserError, match=words):
        stack_axes(described(axes, *shape))
