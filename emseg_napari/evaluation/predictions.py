"""Predictions: what their values mean, and what their record states.

`emseg predict` writes a record; other files are recognised by their values, or the user states it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.label_survey import distinct
from emseg_napari.core.labels import (
    INTERIOR,
    ISBI_BOUNDARY,
    ISBI_INTERIOR,
    ISBI_UNLABELLED,
    UNLABELLED,
    AmbiguousLabels,
    Convention,
    UnknownLabels,
    normalise,
)
from emseg_napari.evaluation.metrics import ROUNDING
from emseg_napari.io.address import Location
from emseg_napari.io.open import display_name, read_whole
from emseg_napari.io.records import Kind, complement, kind_of, recorded_kind
from emseg_napari.io.sparse_stack import exchanged
from emseg_napari.io.stack_or_volume import LARGE_BYTES, open_prediction
from emseg_napari.io.volume import Volume

Reason = Literal["given", "recorded", "recognised"]
_LABELS = "labels (0 = boundary, 255 = interior)"
_ISBI = {ISBI_BOUNDARY, ISBI_UNLABELLED, ISBI_INTERIOR}
_PROBABILITY = "a probability (0 to 1 in a file of floats, 0 to 255 in one of uint8)"


@dataclass(frozen=True)
class Prediction:
    """A prediction, from a file, an array or a layer.

    Attributes
    ----------
    name : str
        What the user calls it; starts the sentence of an error.
    values : numpy.ndarray, Volume or SparseStack
        (z, y, x): uint8 labels (0, 1, 2), or a probability as uint8 (0 to 255) or float32 (0 to 1).
    kind : str
        "labels", "probability" (of the boundary) or "interior" (its probability).
    record : mapping
        What `emseg predict` wrote about it; empty if emseg did not write the file.
    reason : str
        Why it is taken for that kind: it is "given" by the user, "recorded", or "recognised" by its values.
    holds : callable
        Whether a slice of `values` was predicted; all were unless stated.
    runs : mapping
        Index into `values` to the folder of the run that made that slice, where it need not be the record's.
    choices : mapping
        Index into `values` to the "scale", "threshold" and "orientations" of that slice, as a record states
        them, where they are not the run's own or the usual ones.
    """

    name: str
    values: Any
    kind: Kind
    record: Mapping[str, Any]
    reason: Reason = "given"
    holds: Callable[[int], bool] = lambda z: True
    runs: Mapping[int, str] = field(default_factory=dict)
    choices: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def slices(self) -> tuple[int, int] | None:
        """Slices (half-open) of the image that it shows, if they are recorded."""
        first, end = self.record.get("slices", (0, 0))
        return (first, end) if end - first == len(self.values) else None

    @property
    def threshold(self) -> float | None:
        """Of the interior probability, if it is recorded."""
        found = self.record.get("threshold")
        return None if found is None else interior_threshold(found)

    @property
    def doubt(self) -> str | None:
        """Sentence if it holds labels whose boundary and interior look exchanged."""
        return exchanged(self.values, self.name) if self.kind == "labels" else None

    def interior(self, first: int, end: int) -> np.ndarray:
        """Return the interior probability of some slices.

        Parameters
        ----------
        first, end : int
            Half-open range of indices into `values`.

        Returns
        -------
        numpy.ndarray
            float32 (z, y, x), 0 to 1. An interior probability comes bit for bit; 8-bit
            values are divided by 255 in float32, after inversion if they are of the boundary.

        Raises
        ------
        UserError
            If a pixel there is unlabelled, or no probability.
        """
        values = self.values[first:end]
        if self.kind == "labels":
            self._refuse_unlabelled(values, first)
            return (values == INTERIOR).astype(np.float32)
        if values.dtype == np.uint8:
            return (values if self.kind == "interior" else 255 - values) / np.float32(255)
        inside = (values >= -ROUNDING) & (values <= 1 + ROUNDING)  # NaN is not
        self._refuse(~inside, first)
        interior = values if self.kind == "interior" else 1 - values
        return interior.astype(np.float32, copy=False)

    def boundary(self) -> np.ndarray:
        """Return the boundary probability of all slices.

        Returns
        -------
        numpy.ndarray
            (z, y, x): float32 from 0 to 1, or uint8 from 0 to 255 if the values are that.

        Raises
        ------
        UserError
            As `interior`.
        """
        interior = self.interior(0, len(self.values))  # also checks the values, by their place
        if self.kind == "labels":
            return 1 - interior
        return self.values if self.kind == "probability" else complement(self.values)

    def _refuse_unlabelled(self, labels: np.ndarray, first: int) -> None:
        bare = np.flatnonzero((labels == UNLABELLED).any(axis=(1, 2)))
        if len(bare):
            z = first + int(bare[0])
            raise UserError(
                f"{self.name} leaves pixels of slice {z} unlabelled; what has no label in slice {z} is "
                "neither boundary nor interior: give labels with 0 = boundary and 255 = interior, predict "
                "the slice again, or give the probability."
            )

    def _refuse(self, wrong: np.ndarray, first: int) -> None:
        if wrong.any():
            z, y, x = (int(axis[0]) for axis in np.nonzero(wrong))
            value = self.values[first + z : first + z + 1][0, y, x]
            raise UserError(
                f"{self.name}: {value:g} in slice {first + z} is not a probability; {_PROBABILITY} is needed."
            )


def interior_threshold(boundary_threshold: float) -> float:
    """Return one minus a threshold, without the noise of the subtraction: 0.45 for 0.55."""
    return round(1 - boundary_threshold, 9)


def boundary_threshold(threshold: float) -> float:
    """Return the boundary probability from which a pixel is boundary, of a threshold of the interior.

    Scores, `emseg evaluate` and Python count thresholds as the challenge does, of the interior; the window
    and its reports show this.
    """
    return interior_threshold(threshold)


def read_prediction(
    path: str | Location,
    kind: Kind | None = None,
    interior: bool = False,
    *,
    fills: bool = False,
) -> Prediction:
    """Read a prediction.

    Parameters
    ----------
    path : str, Path or Address
        As for `emseg_napari.io.stacks.read_image`.
    kind : str, optional
        What it holds. When not given, what its record states; else whole numbers are labels, but uint8
        with others than 0, 128 and 255, or 0, 1 and 2, is a probability of the boundary, as floats are.
    interior : bool
        The kind is "interior".
    fills : bool
        Whether chunks of Zarr, N5 or precomputed without a file are the fill value, and no error.

    Raises
    ------
    UserError
        If it cannot be read, is neither, or its record states another kind.
    """
    if interior and kind == "labels":
        raise UserError("Labels are no interior probability; say that it is one or the other.")
    kind = "interior" if interior else kind
    volume, record = open_prediction(path, kind, fills=fills)
    return prediction_in(volume, path, kind, record)


def prediction_in(
    volume: Volume, path: str | Location, kind: Kind | None, record: Mapping[str, Any]
) -> Prediction:
    """Find out what a volume holds, as `prediction_of`; it is read unless it is large and has a record.

    It is called by the path as the user gave it only if that has a record: else another dataset may be meant.
    """
    values = volume if volume.nbytes > LARGE_BYTES and record else read_whole(volume)
    return prediction_of(values, display_name(path) if record else volume.name, kind, record)


def prediction_of(
    values: np.ndarray | Volume, name: str, kind: Kind | None = None, record: Mapping[str, Any] | None = None
) -> Prediction:
    """Find out what an array holds, and check that it is a prediction.

    Parameters
    ----------
    values : numpy.ndarray or Volume
        (z, y, x): a probability, or labels of any convention; a volume must have a record.
    name : str
        What the user calls it; starts the sentence of an error.
    kind : str, optional
        What the user states that it holds; else what the record states; else see `read_prediction`.
    record : mapping, optional
        What is written about it, if anything.

    Raises
    ------
    UserError
        If it is neither, or its record states another kind.
    """
    record = record or {}
    recorded = recorded_kind(record)
    found = kind_of(name, record, kind) or _recognised(np.asarray(values))
    convert = _as_labels if found == "labels" else _as_probability
    reason: Reason = "given" if kind else "recorded" if recorded else "recognised"
    converted = convert(values, name, record.get("convention"))
    return Prediction(name, converted, found, record if recorded else {}, reason)


def _recognised(values: np.ndarray) -> Kind:
    if values.dtype.kind == "f":
        return "probability"
    if values.dtype == np.uint8 and not _is_isbi(values) and values.max() > INTERIOR:
        return "probability"
    return "labels"


def _is_isbi(values: np.ndarray) -> bool:
    return values.dtype.kind in "ui" and set(distinct(values)) <= _ISBI


@dataclass(frozen=True)
class _Labels:
    """Labels of a volume, converted where they are asked for."""

    volume: Volume
    name: str
    convention: Convention | None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.volume.shape

    def __len__(self) -> int:
        return len(self.volume)

    def __getitem__(self, key: Any) -> np.ndarray:
        return _as_labels(self.volume[key], self.name, self.convention)


def _as_labels(values: Any, name: str, convention: Convention | None) -> Any:
    if isinstance(values, Volume):
        return _Labels(values, name, convention)
    try:
        return normalise(values, name, convention or ("isbi" if _is_isbi(values) else None))
    except (AmbiguousLabels, UnknownLabels):
        raise UserError(f"{name} holds neither {_LABELS} nor {_PROBABILITY}; save it as one.") from None


def _as_probability(values: Any, name: str, convention: Convention | None) -> Any:
    if values.dtype == np.uint8 or isinstance(values, Volume):
        return values
    if values.dtype.kind != "f":
        raise UserError(f"{name} holds {values.dtype.newbyteorder('=')} values; {_PROBABILITY} is needed.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its place
        return values.astype(np.float32, copy=False)
