"""Wrong input of a window, its complaint, and layers that are kept."""

from __future__ import annotations

import numpy as np
import tifffile

from helpers.window import settle, striped

IMAGE, LABELS = striped((6, 40, 50))  # smaller than a patch
INSTANCES = np.arange(6 * 40 * 50, dtype=np.uint16).reshape(6, 40, 50) // 400


def altered(array, value, where=np.s_[3, 0, 0]):
    """A copy in which a part has another value."""
    copy = array.astype(np.float32) if isinstance(value, float) else array.copy()
    copy[where] = value
    return copy


def noise(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def write(path, array):
    tifffile.imwrite(path, array, photometric="minisblack")
    return path


def state(viewer):
    """All layers with a copy of their pixels."""
    return [(layer, np.array(layer.data)) for layer in viewer.layers]


def assert_kept(viewer, before):
    """Nothing came, went or changed."""
    assert list(viewer.layers) == [layer for layer, _ in before]
    for layer, pixels in before:
        np.testing.assert_array_equal(np.asarray(layer.data), pixels)


def assert_complaint(step, *parts):
    """One sentence in red that has these parts and blames nobody's program."""
    settle(step)
    text = step.status.text()
    assert step.is_wrong, text
    assert text.endswith("."), text
    assert "Unexpected error" not in text
    for part in parts:
        assert str(part) in text


def two_cells(gap=1):
    cells = np.zeros(IMAGE.shape, np.uint8)
    cells[:, :, : 25 - gap], cells[:, :, 25:] = 1, 2
    return cells


def files_below(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
