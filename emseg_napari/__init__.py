"""Boundary masks from stacks of TEM images: label a little, train, correct, export.

>>> from emseg_napari import train, predict, evaluate, segment, convert

They work in a process of their own, so they are safe in napari's console and in
scripts with or without a ``__main__`` guard; importing this package imports no Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emseg_napari.api import convert, evaluate, predict, segment, train

__version__ = "0.2.0"
__all__ = ["__version__", "convert", "evaluate", "predict", "segment", "train"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from emseg_napari import api

        return getattr(api, name)
    raise AttributeError(f"module 'emseg_napari' has no attribute {name!r}")
