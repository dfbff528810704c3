"""Suggestions: where a correction gains most, as weak boundaries of a slice ranked by expected gain.

place              a place to look at, and the order of places and slices
search             the places of one slice
search_stack       the places of a whole stack
pieces             pieces of a slice, and the steps from piece to piece
boundaries         gaps that are open and membranes that are drawn
joins              which pieces are connected, and what a cut between them separates
error_probability  how likely the labels are wrong at a boundary
"""

from emseg_napari.annotation.suggest.place import Place, estimated_error, next_slice_to_label, ranked
from emseg_napari.annotation.suggest.search import places_of_slice

__all__ = ["Place", "estimated_error", "next_slice_to_label", "places_of_slice", "ranked"]
