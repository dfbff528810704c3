"""Predictions read back from files: what their values mean, and what their maker says of them.

`emseg predict` describes its files; of others the values tell, or the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import (
    INTERIOR,
    UNLABELLED,
    AmbiguousLabels,
    Convention,
    UnknownLabels,
    distinct,
    normalise,
)
from emseg_napari.evaluation.metrics import ROUNDING
from emseg_napari.io.decode import read
from emseg_napari.io.open import called, is_container, open_volume, read_whole
from emseg_napari.io.stack_or_volume import LARGE_BYTES
from emseg_napari.io.volume import Volume
from emseg_napari.segmentation.boundary import complement, read_record

Kind = Literal["labels", "probability", "interior"]
Reason = Literal["given", "said", "seen"]
KINDS: dict[Kind, str] = {
    "labels": "labels",
    "probability": "boundary probability",
    "interior": "interior probability",
}
_LABELS = "labels (0 = boundary, 255 = interior)"
_PROBABILITY = "a probability (0 to 1 in a file of floats, 0 to 255 in one of uint8)"


@dataclass(frozen=True)
class Prediction:
    """A prediction as it lies in a file.

    Attributes
    ----------
    name : str
        Of the file; starts the sentence of an error.
    values : numpy.ndarray, Volume or SparseStack
        (z, y, x): uint8 labels (0, 1, 2), or a probability as uint8 (0 to 255) or float32 (0 to 1).
    kind : str
        "labels", "probability" (of the boundary) or "interior" (its probability).
    record : mapping
        What `emseg predict` wrote about it; empty for files of other origin.
    reason : str
        Why it is taken for that kind: the user has "given" it, the file "said" it, or its values were "seen".
    """

    name: str
    values: Any
    kind: Kind
    record: Mapping[str, Any]
    reason: Reason = "given"

    @property
    def slices(self) -> tuple[int, int] | None:
        """Slices (half-open) of the image that it shows, if it says so."""
        first, end = self.record.get("slices", (0, 0))
        return (first, end) if end - first == len(self.values) else None

    @property
    def threshold(self) -> float | None:
        """Of the interior probability, if it names one."""
        found = self.record.get("threshold")
        return None if found is None else interior_threshold(found)

    def interior(self, first: int, end: int) -> np.ndarray:
        """Return the interior probability of some slices.

        Parameters
        ----------
        first, end : int
            Half-open range of indices into `values`.

        Returns
        -------
        numpy.ndarray
            float32 (z, y, x), 0 to 1. What the file says of the interior comes bit for bit; 8-bit
            values are divided by 255 in float32, after inversion if they are of the boundary.

        Raises
        ------
        UserError
            If a pixel there is unlabelled, or no probability.
        """
        values = self.values[first:end]
        if self.kind == "labels":
            self._refuse(values == UNLABELLED, first, "is no boundary and no interior", _LABELS)
            return (values == INTERIOR).astype(np.float32)
        if values.dtype == np.uint8:
            return (values if self.kind == "interior" else 255 - values) / np.float32(255)
        inside = (values >= -ROUNDING) & (values <= 1 + ROUNDING)  # NaN is not
        self._refuse(~inside, first, "is no probability", _PROBABILITY)
        return values if self.kind == "interior" else 1 - values

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

    def _refuse(self, wrong: np.ndarray, first: int, what: str, needed: str) -> None:
        if wrong.any():
            z, y, x = (int(axis[0]) for axis in np.nonzero(wrong))
            value = self.values[first + z : first + z + 1][0, y, x]
            raise UserError(f"{self.name}: {value:g} in slice {first + z} {what}; {needed} is needed.")


def interior_threshold(boundary_threshold: float) -> float:
    """Return one minus a threshold, without the noise of the subtraction: 0.45 for 0.55."""
    return round(1 - boundary_threshold, 9)


def read_prediction(
    path: str | Path,
    kind: Literal["labels", "probability"] | None = None,
    interior: bool = False,
    *,
    fills: bool = False,
) -> Prediction:
    """Read a prediction.

    Parameters
    ----------
    path : str or Path
        As for `emseg_napari.io.stacks.read_image`.
    kind : str, optional
        "labels" or "probability". When not given, what the file says of itself; else whole numbers
        are labels, but uint8 with others than 0 and 255, or 0, 1 and 2, is a probability.
    interior : bool
        It is a probability, and the interior's; otherwise a probability is the boundary's.
    fills : bool
        Whether chunks of Zarr or N5 without a file are the fill value, and no error.

    Raises
    ------
    UserError
        If it cannot be read, is neither, or says itself that it is something else.
    """
    if interior and kind == "labels":
        raise UserError("Labels are no interior probability; say that it is one or the other.")
    path = Path(path)
    return prediction_of(
        _values(path, fills), called(path), "interior" if interior else kind, read_record(path)
    )


def _values(path: Path, fills: bool) -> Any:
    """Return an array, or the volume if it is large and ours: of others all values are looked at."""
    if not is_container(path):
        return read(path)
    volume = open_volume(path, fills=fills)
    return volume if volume.nbytes > LARGE_BYTES and read_record(path) else read_whole(volume)


def prediction_of(
    values: np.ndarray | Volume, name: str, kind: Kind | None = None, record: Mapping[str, Any] | None = None
) -> Prediction:
    """Find out what an array holds, and check that it is a prediction.

    Parameters
    ----------
    values : numpy.ndarray or Volume
        (z, y, x): a probability, or labels of any convention; of a volume ours, as its record says.
    name : str
        What the user calls it; starts the sentence of an error.
    kind : str, optional
        What the user says that it holds; else what the record says; else see `read_prediction`.
    record : mapping, optional
        What is written about it, if anything.

    Raises
    ------
    UserError
        If it is neither, or its record says that it is something else.
    """
    record = record or {}
    said: Kind | None = record["kind"] if record.get("kind") in KINDS else None
    found = kind or said or _recognised(np.asarray(values))
    if said not in (None, found) and (said, found) != ("labels", "interior"):  # the same picture
        raise UserError(
            f"{name} says of itself that it holds {KINDS[said]}, not {KINDS[found]}; read it as such."
        )
    convert = _as_labels if found == "labels" else _as_probability
    reason: Reason = "given" if kind else "said" if said else "seen"
    return Prediction(
        name, convert(values, name, record.get("convention")), found, record if said else {}, reason
    )


def _recognised(values: np.ndarray) -> Kind:
    if values.dtype.kind == "f":
        return "probability"
    if values.dtype == np.uint8 and not _is_isbi(values) and values.max() > INTERIOR:
        return "probability"
    return "labels"


def _is_isbi(values: np.ndarray) -> bool:
    return values.dtype.kind in "ui" and set(distinct(values)) <= {0, 255}


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
        raise UserError(f"{name} holds {values.dtype} values; {_PROBABILITY} is needed.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its place
        return values.astype(np.float32, copy=False)
