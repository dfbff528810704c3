"""The labels of a session of format 1: ``labels.tif`` with its states beside it in ``corrections.npz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR
from emseg_napari.io import stacks

PARTS = ("labels.tif", "corrections.npz")
_PROPOSED = ((BOUNDARY, PROPOSED_BOUNDARY), (INTERIOR, PROPOSED_INTERIOR))


def read_old_labels(folder: Path) -> tuple[np.ndarray, set[int]]:
    """Read labels and confirmed slices.

    Parameters
    ----------
    folder : Path
        Of the session.

    Returns
    -------
    labels : numpy.ndarray
        uint8 (z, y, x), 0 to 4: a label that was filled in by a prediction, and that nobody touched
        since, is a proposal.
    confirmed : set of int
        The slices that the user confirmed.

    Raises
    ------
    UserError
        If a part is missing, damaged or does not fit the other.
    """
    labels = stacks.read_labels(folder / "labels.tif", "napari")
    path = folder / "corrections.npz"
    if not path.is_file():
        raise UserError(f"{path} is missing; restore it from a copy of the session.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            proposal, touched = arrays["proposal"], arrays["touched"]
            confirmed = set(arrays["confirmed"].astype(int).tolist())
    except Exception as error:  # a damaged archive raises anything at all
        raise UserError(f"{path} is damaged ({error}); restore it from a copy of the session.") from error
    if not proposal.shape == touched.shape == labels.shape or not confirmed <= set(range(len(labels))):
        raise UserError(
            f"{path} does not fit the labels beside it; restore both from one copy of the session."
        )
    proposed = (proposal == labels) & ~touched.astype(bool)
    for label, state in _PROPOSED:
        labels[proposed & (labels == label)] = state
    return np.ascontiguousarray(labels), confirmed
