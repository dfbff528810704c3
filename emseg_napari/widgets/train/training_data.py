"""What a training is given: an image, labels that a person stands for, and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emseg_napari.core.labels import check_trainable, distinct
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.io.stacks import check_image, check_pair, check_range
from emseg_napari.io.volume import Volume, filled
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.validation import split


@dataclass(frozen=True)
class TrainingData:
    """Image and labels of a training, checked.

    Attributes
    ----------
    image, labels
        As of `preparation.Prepared`.
    labels_name : str
        Of their layer.
    held_out : list of int
        Slices that do not train.
    """

    image: np.ndarray | Volume
    labels: SparseStack
    labels_name: str
    held_out: list[int]


def lesson_of(
    image: Any, labels: SparseStack, names: tuple[str, str], settings: TrainingSettings
) -> TrainingData:
    """Say with the layers' names, and before the engine starts, what it would refuse; takes a while.

    Parameters
    ----------
    image, labels
        As the attributes of a `TrainingData`.
    names : (str, str)
        Of their layers.
    settings : TrainingSettings

    Raises
    ------
    UserError
        If the settings cannot train on them.
    """
    check_pair(image, labels, *names)
    first, end = check_range(settings.slices, len(labels), "Slices")
    values = {z: distinct(labels[z]) for z in labelled_slices(labels, range(first, end))}
    check_trainable(_union(values.values()), names[1])
    trained, held_out = split(labels, settings)
    check_trainable(_union(values[z] for z in trained), names[1])
    image = filled(image, settings.missing_is_empty)
    check_image(image, names[0], sorted(trained + held_out))
    return TrainingData(image, labels, names[1], held_out)


def _union(values: Any) -> np.ndarray:
    return np.array(sorted(set().union(*values)), np.uint8)
