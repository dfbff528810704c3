"""U-Nets: `reference`, the published one, and `compact`, the default.

Both map a normalised image patch, float32 (batch, y, x, 1), to a boundary probability of
the same shape, 0 to 1. The U-Net is that of Ronneberger et al. 2015,
doi:10.1007/978-3-319-24574-4_28; weights start as in He et al. 2015,
doi:10.1109/ICCV.2015.123.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from emseg_napari.settings import NetworkName

COMPACT_WIDTH = 16
COMPACT_LEVELS = 3


def build(network: NetworkName, mixed_precision: bool = False) -> keras.Model:
    """Build a network with fresh weights.

    Parameters
    ----------
    network : str
        "compact" or "reference".
    mixed_precision : bool
        Compute in bfloat16 with float32 weights and output.
    """
    policy = "mixed_bfloat16" if mixed_precision else "float32"
    return {"compact": _compact, "reference": _reference}[network](policy)


def _convolve(x: Any, filters: int, kernel_px: int, count: int, policy: str) -> Any:
    for _ in range(count):
        x = layers.Conv2D(
            filters,
            kernel_px,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            dtype=policy,
        )(x)
    return x


def _enlarge(x: Any, filters: int, skip: Any, policy: str) -> Any:
    """Double the size and concatenate with the encoder's features of that size."""
    x = layers.Conv2DTranspose(
        filters, 2, strides=2, activation="relu", kernel_initializer="he_normal", dtype=policy
    )(x)
    return layers.Concatenate(dtype=policy)([skip, x])


def _reference(policy: str) -> keras.Model:
    """The published network, layer for layer: 26,070,593 parameters."""
    image = layers.Input((None, None, 1), name="image")
    x, skips = image, []
    for filters in (64, 128, 256, 512):
        x = _convolve(x, filters, 3, 2, policy)
        if filters == 512:
            x = layers.Dropout(0.5, dtype=policy)(x)
        skips.append(x)
        x = layers.MaxPooling2D(2, dtype=policy)(x)
    x = layers.Dropout(0.5, dtype=policy)(_convolve(x, 1024, 3, 2, policy))
    decoder = zip((512, 256, 256, 128), (512, 256, 128, 64), (2, 2, 2, 3), strict=True)
    for enlarged, filters, count in decoder:
        x = _convolve(_enlarge(x, enlarged, skips.pop(), policy), filters, 2, count, policy)
    x = layers.Conv2D(1, 1, dtype=policy)(x)
    return keras.Model(image, layers.Activation("sigmoid", dtype="float32", name="boundary")(x))


def _compact(policy: str) -> keras.Model:
    """A small U-Net whose first and last convolutions halve and double the resolution.

    The 4x4 convolution of stride 2 and the 2x2 transposed one are space-to-depth and
    depth-to-space with their neighbouring convolution in a single standard layer: at half
    the resolution a step costs a quarter and the same kernels see twice as far.
    """
    image = layers.Input((None, None, 1), name="image")
    x = layers.Conv2D(
        COMPACT_WIDTH,
        4,
        strides=2,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        dtype=policy,
    )(image)
    skips = []
    for level in range(COMPACT_LEVELS):
        x = _convolve(x, COMPACT_WIDTH * 2**level, 3, 2, policy)
        skips.append(x)
        x = layers.MaxPooling2D(2, dtype=policy)(x)
    x = _convolve(x, COMPACT_WIDTH * 2**COMPACT_LEVELS, 3, 2, policy)
    for level in reversed(range(COMPACT_LEVELS)):
        filters = COMPACT_WIDTH * 2**level
        x = _convolve(_enlarge(x, filters, skips.pop(), policy), filters, 3, 2, policy)
    x = layers.Conv2DTranspose(1, 2, strides=2, dtype=policy)(x)
    return keras.Model(image, layers.Activation("sigmoid", dtype="float32", name="boundary")(x))
