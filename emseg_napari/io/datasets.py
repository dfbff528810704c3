"""Datasets of a container: which one is opened where none is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import shape_text
from emseg_napari.io.description import FileDescription, plain_axes, stack_axes

CREMI_RAW, CREMI_LABELS = "volumes/raw", "volumes/labels/neuron_ids"  # https://cremi.org/data
Wanted = Literal["image", "labels", "prediction"]
_NEEDED: dict[Wanted, str] = {
    "image": "an image with the axes z, y, x is",
    "labels": "labels are",
    "prediction": "a prediction is",
}
_RAW = "raw"
_MOST_LISTED = 8


class SeveralVolumes(UserError):
    """A container has several volumes, and only the user knows which one is meant.

    Attributes
    ----------
    datasets : tuple of str
        Their paths in the container.
    """

    def __init__(self, sentence: str, datasets: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.datasets = datasets


@dataclass(frozen=True)
class Dataset:
    """An array in a container.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    axes : tuple of str
        As of a `FileDescription`; empty where none are stated.
    """

    shape: Sequence[int]
    dtype: Any
    axes: tuple[str, ...] = ()

    @property
    def is_array(self) -> bool:
        """Whether it holds plain numbers on three axes or more, or on two that are named y and x."""
        return np.dtype(self.dtype).kind in "buif" and (len(self.shape) >= 3 or {"y", "x"} <= set(self.axes))

    @property
    def is_volume(self) -> bool:
        """Whether it is one stack of grey values."""
        if not self.is_array:
            return False
        axes = self.axes or plain_axes(len(self.shape))
        try:
            stack_axes(FileDescription("", "", axes, tuple(self.shape), np.dtype(self.dtype)))
        except UserError:
            return False
        return True


def choose(datasets: Mapping[str, Dataset], name: str, *, inside: str = "", wanted: Wanted = "image") -> str:
    """Return the path of the dataset that is meant where none is given.

    Parameters
    ----------
    datasets : mapping
        All datasets of a container, or of a group in it, by their paths there.
    name : str
        What the user calls the container or group.
    inside : str
        Path of the group in the container.
    wanted : str
        "labels" are those that lie in a folder of labels, and never what is called raw. A "prediction" is
        neither of both, unless it is the only dataset.

    Raises
    ------
    SeveralVolumes
        Listing them if several could be meant.
    UserError
        If there is none.
    """
    arrays = {path: one for path, one in datasets.items() if one.is_array}
    if wanted == "labels":
        arrays = _of_labels(arrays, inside)
    if wanted == "prediction":
        arrays = _of_predictions(arrays, name)
    volumes = {path: one for path, one in arrays.items() if one.is_volume}
    usual = f"{CREMI_LABELS if wanted == 'labels' else CREMI_RAW}/"
    meant = [path for path in volumes if f"{_whole(inside, path)}/".startswith(usual)]
    if len(meant) == 1:
        return meant[0]
    candidates = volumes or arrays  # what is wrong with an only array is said where it is opened
    if len(candidates) == 1:
        return next(iter(candidates))
    if not volumes:
        found = f"has {listed(datasets)}" if datasets else "has no dataset"
        raise UserError(f"{name} {found}, but {_NEEDED[wanted]} needed; choose another file.")
    first = next(iter(volumes))
    raise SeveralVolumes(
        f"{name} has {len(volumes)} volumes, {listed(volumes)}; "
        f"append the path of the one to open, such as {name}/{first}.",
        tuple(volumes),
    )


def _of_labels(volumes: Mapping[str, Dataset], inside: str) -> dict[str, Dataset]:
    """Return those in a folder of labels; without such a folder all that may be labels."""
    whole = {path: _whole(inside, path) for path in volumes}
    named = {path: one for path, one in volumes.items() if looks_like_labels(whole[path], one.dtype)}
    return named or {path: one for path, one in volumes.items() if _RAW not in whole[path].split("/")}


def _of_predictions(arrays: Mapping[str, Dataset], name: str) -> dict[str, Dataset]:
    """Return those that may be a prediction; raise `UserError` if there are images and labels only."""
    no_images = {path: one for path, one in arrays.items() if _RAW not in path.split("/")}
    others = {path: one for path, one in no_images.items() if not looks_like_labels(path, one.dtype)}
    if others or not arrays or len(no_images) == len(arrays) == 1:
        return others or no_images
    raise UserError(
        f"{name} has {listed(arrays)}, of which none is known to be a prediction; append the path of the one "
        "that is, or choose another file."
    )


def _whole(inside: str, path: str) -> str:
    return f"{inside}/{path}".strip("/")


def unknown_dataset(datasets: Mapping[str, Dataset], dataset: str, name: str) -> UserError:
    """Return the error for a dataset that a container does not have."""
    found = f"it has {listed(datasets)}" if datasets else "it has none"
    return UserError(f"{name} has no dataset {dataset}; {found}.")


def listed(datasets: Mapping[str, Dataset]) -> str:
    """Spell datasets with their shapes for the user."""
    spelled = [f"{path} ({shape_text(one.shape)})" for path, one in datasets.items()]
    return ", ".join(spelled[:_MOST_LISTED]) + (", ..." if len(spelled) > _MOST_LISTED else "")


def looks_like_labels(dataset: str, dtype: Any) -> bool:
    """Whether a dataset lies in a folder of labels, as those of CREMI and OME-Zarr do."""
    return np.dtype(dtype).kind in "bui" and "labels" in dataset.split("/")
