"""Sentences about labels that were proposed: what was changed, and what stays as it is."""

from __future__ import annotations

from emseg_napari.io.axes import slice_spans, slices_text
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
    return (
        f"confirmed slices stay as they are ({slice_spans(sorted(slices))}; C unconfirms)" if slices else ""
    )


def _own(proposals: ProposalLayers) -> str:
    if not proposals.own:
        return ""
    which = slices_text(sorted(proposals.own))
    return f"all pixels of {which} have labels of yours; press 'New' beside Labels for an empty layer"
