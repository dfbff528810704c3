"""Sentences about labels that were proposed: what was changed, and what stays as it is."""

from __future__ import annotations

from collections.abc import Iterable

from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.widgets.layers.proposal_layers import ProposalLayers


def outcome(proposals: ProposalLayers, is_chosen: bool) -> str:
    """Return what a prediction changed, and the next step; `is_chosen`: its layer is chosen under Labels."""
    name, confirmed = proposals.target.name, _confirmed(proposals)
    if not proposals.pixels:
        reasons = filter(None, (confirmed, _own(proposals)))
        return f"Nothing was changed in '{name}': {'; '.join(reasons)}."
    next_ = "correct it, then confirm slices (C)" if is_chosen else "choose it under Labels to see it"
    note = f" Note: {confirmed}." if confirmed else ""
    return f"Proposed in '{name}'; {next_}.{note}"


def _confirmed(proposals: ProposalLayers) -> str:
    slices = proposals.confirmed
    return f"confirmed slices stay as they are ({_ranges(slices)}; C unconfirms)" if slices else ""


def _own(proposals: ProposalLayers) -> str:
    slices = proposals.own
    if not slices:
        return ""
    which = f"slice{'' if len(slices) == 1 else 's'} {_ranges(slices)}"
    return f"all pixels of {which} have labels of yours; press 'New' beside Labels for an empty layer"


def _ranges(slices: Iterable[int]) -> str:
    return as_ranges(sorted(slices))
