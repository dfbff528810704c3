"""Where a correction gains most: weak boundaries of a slice, ranked by expected gain.

place      what is to be looked at, and the order of places and slices
search     the places of one slice
pieces     a slice in pieces, and the steps from piece to piece
boundaries gaps that are open and membranes that stand
joins      which pieces are connected, and what a cut between them separates
evidence   how likely a decision is wrong
"""

from emseg_napari.annotation.suggest.place import Place, estimated_error, next_slice_to_label, ranked
from emseg_napari.annotation.suggest.search import places_of_slice

__all__ = ["Place", "estimated_error", "next_slice_to_label", "places_of_slice", "ranked"]
