"""Boundary probability of a volume that holds it, the interior's, or labels.

Cells are found in the boundary probability, so all other kinds are converted where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, UNLABELLED
from emseg_napari.io.address import Location
from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.chosen_blocks import layers_of
from emseg_napari.io.open import read_whole
from emseg_napari.io.records import (
    Kind,
    complement,
    first_slice,
    kind_of,
    record_of_volume,
    recorded_kind,
)
from emseg_napari.io.resume_check import PARTIAL
from emseg_napari.io.slabs import Slabs, layer_of
from emseg_napari.io.stack_or_volume import open_prediction
from emseg_napari.io.volume import Volume
from emseg_napari.segmentation.stack import check_probability


@dataclass(frozen=True)
class Boundary:
    """A volume to be divided into cells.

    Attributes
    ----------
    volume : Volume
    kind : str
        What it holds. "probability": of the boundary; "interior": of the interior, either as float from
        0 to 1 or as uint8 from 0 to 255; "labels": 0 boundary and 255 interior.
    waiting : frozenset of int
        Slices that are going to be predicted anew, see `waiting_in`; `part` refuses them.

    Raises
    ------
    UserError
        If its values cannot be that.
    """

    volume: Volume
    kind: Kind = "probability"
    waiting: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.kind == "labels" and self.volume.dtype.kind not in "bui":
            raise UserError(
                f"{self.volume.name} holds {self.volume.dtype} values, which are not labels; "
                "say that it is a probability."
            )
        if self.kind != "labels":
            check_probability(np.zeros((1, 1, 1), self.volume.dtype), self.volume.name)

    @property
    def dtype(self) -> np.dtype:
        """Of the boundary probability: uint8 or a float."""
        return np.dtype(np.uint8) if self.kind == "labels" else self.volume.dtype

    def part(self, z: int, part: SliceWindow) -> np.ndarray:
        """Read a part of a slice.

        Returns
        -------
        numpy.ndarray
            Boundary probability (y, x), uint8 from 0 to 255 or float from 0 to 1.

        Raises
        ------
        UserError
            If it cannot be read, or a value is not a probability or no label.
        """
        if z in self.waiting:
            raise UserError(
                f"slice {z} of {self.volume.name} was predicted while a part of its image could not be read, "
                "and by the grey levels of the rest; repair the image and predict it again first."
            )
        return self._converted(self._slabs.read(z, part), z)

    def layers(self) -> list[list[int]]:
        """Return the slices in groups that lie in the same chunks, and so are read together."""
        return layers_of((layer_of(self.volume, z).start, z) for z in range(len(self.volume)))

    def __getstate__(self) -> dict[str, Any]:
        # What was read stays in its process.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _slabs(self) -> Slabs:
        return Slabs(self.volume)

    def whole(self) -> np.ndarray:
        """Read all of it into memory.

        Returns
        -------
        numpy.ndarray
            Boundary probability (z, y, x), uint8 from 0 to 255 or float from 0 to 1.

        Raises
        ------
        UserError
            As `part`, or if there is not memory enough.
        """
        return self._converted(read_whole(self.volume), 0)

    def _converted(self, values: np.ndarray, first: int) -> np.ndarray:
        """Return the boundary probability that values from slice `first` on stand for."""
        if self.kind == "labels":
            self._check_labels(values, first)
            return np.where(values == 0, np.uint8(255), np.uint8(0))
        check_probability(values, self.volume.name, first)
        return values if self.kind == "probability" else complement(values)

    def _check_labels(self, values: np.ndarray, first: int) -> None:
        wrong = (values != 0) & (values != 255)
        if wrong.any():
            z = first + (int(wrong.any(axis=(1, 2)).argmax()) if wrong.ndim == 3 else 0)
            raise UserError(
                f"{self.volume.name} holds {values[wrong][0]} in slice {z}; labels of 0 (boundary) and 255 "
                "(interior) are needed, or say that it is a probability."
            )


def open_boundary(
    path: str | Location, kind: Kind | None = None, *, fills: bool = False
) -> tuple[Boundary, dict[str, Any]]:
    """Open what is to be divided into cells.

    Parameters
    ----------
    path : str, Path or Address
        As for `emseg_napari.io.stack_or_volume.open_prediction`.
    kind : str, optional
        What it holds; when not given, what its record states, else floats are a probability of the
        boundary.
    fills : bool
        Whether chunks of Zarr, N5 or precomputed without a file are the fill value, and no error.

    Returns
    -------
    boundary : Boundary
    record : dict
        What `emseg predict` recorded; empty if emseg did not write the volume.

    Raises
    ------
    UserError
        If it cannot be opened, cannot be that, or nothing states what it is.
    """
    volume, record = open_prediction(path, kind, fills=fills)
    return boundary_in(volume, kind, record)


def boundary_in(volume: Volume, kind: Kind | None, record: dict[str, Any]) -> tuple[Boundary, dict[str, Any]]:
    """Find out what an open volume holds, as `open_boundary` does."""
    found = kind_of(volume.name, record, kind) or ("probability" if volume.dtype.kind == "f" else None)
    if found is None:
        raise UserError(
            f"{volume.name} does not say what its {volume.dtype} values mean; say that they are labels, or a "
            "probability.",
            ("input_kind",),
        )
    return Boundary(volume, found), record if recorded_kind(record) else {}


def boundary_of(volume: Volume, record: Mapping[str, Any] | None = None) -> Boundary:
    """Take a volume for what its record states, one without for the probability of the boundary.

    Parameters
    ----------
    volume : Volume
    record : mapping, optional
        Of a volume in memory; else it is read from the volume's file.
    """
    record = record_of_volume(volume) if record is None else record
    return Boundary(volume, recorded_kind(record) or "probability")


def with_labels(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return a boundary probability that is certain where there are labels.

    Parameters
    ----------
    probability : numpy.ndarray
        Float from 0 to 1, or uint8 from 0 to 255.
    labels : numpy.ndarray
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.

    Returns
    -------
    numpy.ndarray
        A copy of the same type.
    """
    certain = probability.dtype.type(255 if probability.dtype == np.uint8 else 1)
    return np.where(labels == UNLABELLED, probability, certain * (labels == BOUNDARY))


def waiting_in(volume: Volume) -> frozenset[int]:
    """Return the slices of a prediction that will be predicted anew once their image can be read.

    Their tiles must not become cells meanwhile: those of one slice would come from two predictions.
    """
    record = record_of_volume(volume)
    first = first_slice(record)
    return frozenset(int(z) - first for z in record.get(PARTIAL, {}))
