"""What looks like labels among stacks that were opened as images."""

import numpy as np
import pytest

from emseg_napari.core.label_offer import label_words


def walls(boundary, interior, shape=(64, 64)):
    """A slice with walls, three pixels wide, between square cells."""
    y, x = np.indices(shape)
    return np.where((y % 16 < 3) | (x % 16 < 3), boundary, interior).astype(np.uint8)


def cells(dtype):
    """An instance map of sixteen cells."""
    y, x = np.indices((64, 64))
    return np.where(walls(1, 0) == 1, 0, 1 + y // 16 * 4 + x // 16).astype(dtype)


def blank_but(z, plane):
    """A stack in which only one slice has labels."""
    stack = np.zeros((30, *plane.shape), plane.dtype)
    stack[z] = plane
    return stack


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        (walls(0, 255)[None], "has two values"),
        (walls(0, 1)[None], "has two values"),  # of two conventions: the user is asked
        (walls(0, 1)[None].astype(bool), "has two values"),
        (walls(1, 2)[None], "has two values"),
        (np.stack([walls(0, 255), walls(128, 255)]), "has three values"),
        (blank_but(17, walls(1, 2)), "has three values"),
        (cells(np.uint16)[None], "looks like an instance map"),
    ],
)
def test_labels_are_recognised_by_what_is_seen_in_them(stack, words):
    assert label_words(stack, stack.dtype) == words


@pytest.mark.parametrize(
    "stack",
    [
        np.random.default_rng(0).integers(60, 180, (3, 64, 64)).astype(np.uint8),
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((0, 64, 64), np.uint8),
        walls(0, 100)[None],  # nobody could say what 100 means
        walls(0, 255)[None] / np.float32(255),
        cells(np.uint8)[None],  # as many values as a probability
    ],
    ids=["image", "blank", "empty", "strange", "fractions", "probability"],
)
def test_images_are_not_taken_for_labels(stack):
    assert label_words(stack, stack.dtype) is None


def test_an_image_of_many_slices_is_not_read_to_its_end():
    read = []

    def planes():
        for z in range(1000):
            read.append(z)
            yield np.arange(4096, dtype=np.uint16).reshape(64, 64)

    assert label_words(planes(), np.uint16) is None
    assert len(read) == 3
