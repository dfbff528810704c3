"""Predictions read back from files: what their values mean, and what their maker says of them.

`emseg predict` describes its files; of others the values tell, or the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emseg_napari.decoding import read
from emseg_napari.jobs import UserError
from emseg_napari.labels import (
    INTERIOR,
    UNLABELLED,
    AmbiguousLabels,
    Convention,
    UnknownLabels,
    distinct,
    normalise,
)
from emseg_napari.scoring.metrics import ROUNDING
from emseg_napari.stacks import read_description

Kind = Literal["labels", "probability", "interior"]
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
    values : numpy.ndarray
        (z, y, x): uint8 labels (0, 1, 2), or a probability as uint8 (0 to 255) or float32 (0 to 1).
    kind : str
        "labels", "probability" (of the boundary) or "interior" (its probability).
    record : mapping
        What `emseg predict` wrote about it; empty for files of other origin.
    """

    name: str
    values: np.ndarray
    kind: Kind
    record: Mapping[str, Any]

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

    def _refuse(self, wrong: np.ndarray, first: int, what: str, needed: str) -> None:
        if wrong.any():
            z, y, x = (int(axis[0]) for axis in np.nonzero(wrong))
            value = self.values[first + z, y, x]
            raise UserError(f"{self.name}: {value:g} in slice {first + z} {what}; {needed} is needed.")


def interior_threshold(boundary_threshold: float) -> float:
    """Return one minus a threshold, without the noise of the subtraction: 0.45 for 0.55."""
    return round(1 - boundary_threshold, 9)


def read_prediction(
    path: str | Path, kind: Literal["labels", "probability"] | None = None, interior: bool = False
) -> Prediction:
    """Read a prediction.

    Parameters
    ----------
    path : str or Path
        As for `emseg_napari.stacks.read_image`.
    kind : str, optional
        "labels" or "probability". When not given, what the file says of itself; else whole numbers
        are labels, but uint8 with others than 0 and 255, or 0, 1 and 2, is a probability.
    interior : bool
        It is a probability, and the interior's; otherwise a probability is the boundary's.

    Raises
    ------
    UserError
        If it cannot be read, is neither, or says itself that it is something else.
    """
    if interior and kind == "labels":
        raise UserError("Labels are no interior probability; say that it is one or the other.")
    path = Path(path)
    values, record = read(path), read_description(path)
    said: Kind | None = record["kind"] if record.get("kind") in KINDS else None
    found = "interior" if interior else kind or said or _recognised(values)
    if said not in (None, found) and (said, found) != ("labels", "interior"):  # the same picture
        raise UserError(
            f"{path.name} says of itself that it holds {KINDS[said]}, not {KINDS[found]}; read it as such."
        )
    convert = _as_labels if found == "labels" else _as_probability
    values = convert(values, path.name, record.get("convention"))
    return Prediction(path.name, values, found, record if said else {})


def _recognised(values: np.ndarray) -> Kind:
    if values.dtype.kind == "f":
        return "probability"
    if values.dtype == np.uint8 and not _is_isbi(values) and values.max() > INTERIOR:
        return "probability"
    return "labels"


def _is_isbi(values: np.ndarray) -> bool:
    return values.dtype.kind in "ui" and set(distinct(values)) <= {0, 255}


def _as_labels(values: np.ndarray, name: str, convention: Convention | None) -> np.ndarray:
    try:
        return normalise(values, name, convention or ("isbi" if _is_isbi(values) else None))
    except (AmbiguousLabels, UnknownLabels):
        raise UserError(f"{name} holds neither {_LABELS} nor {_PROBABILITY}; save it as one.") from None


def _as_probability(values: np.ndarray, name: str, convention: Convention | None) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise UserError(f"{name} holds {values.dtype} values; {_PROBABILITY} is needed.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its place
        return values.astype(np.float32, copy=False)
