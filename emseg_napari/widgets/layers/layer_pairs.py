"""Which labels belong to which image, among several stacks in one window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari.layers import Image, Labels

from emseg_napari.widgets.layers.labels_layer import is_managed
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits
from emseg_napari.widgets.layers.layer_sources import have_one_file


def images_of(labels: Labels, images: Iterable[Image]) -> list[Image]:
    """Return the images that have the size of labels, the one over which these were made first."""
    found = [one for one in images if fits(one, tuple(labels.data.shape))]
    return sorted(found, key=lambda one: one.unique_id != info_of(labels).made_over)


def labels_of_image(image: Image | None, layers: Iterable[Labels], images: Sequence[Image]) -> Labels | None:
    """Return the labels that are chosen beside an image while the user chooses none.

    Those that were made over it come first, then what the plugin manages, then others that are no cells;
    never those of another image. Labels that have the size of no image belong to any.
    """
    found = [layer for layer in layers if image is None or _may_belong(layer, image, images)]
    boundaries = [layer for layer in found if is_managed(layer) or not info_of(layer).is_cells]
    return min(
        boundaries, key=lambda layer: (not _is_over(layer, image), not is_managed(layer)), default=None
    )


def may_go_together(
    image: Image, labels: Labels | None, layers: Iterable[Labels], images: Iterable[Image]
) -> bool:
    """Say whether an image and labels stay chosen beside each other.

    Labels that were made over another image do where this one has none of its own, and where that one is a
    channel of the same file, or is not among `images`.
    """
    if labels is None or not fits(labels, tuple(image.data.shape)):
        return False
    of_another = info_of(labels).made_over not in (None, image.unique_id)
    is_taken = any(_is_own(one, image) for one in layers)
    return not of_another or not (is_taken or _is_of_another(labels, image, images))


def made_elsewhere(labels: Labels | None, image: Image, images: Iterable[Image]) -> str:
    """Return in a sentence, to stand behind words, that labels were made over another image that is there."""
    others = [] if labels is None else [one for one in images if one != image and _is_over(labels, one)]
    return "".join(f". '{labels.name}' were made over '{other.name}'." for other in others if labels)


def _is_own(labels: Labels, image: Image) -> bool:
    return _is_over(labels, image) and info_of(labels).proposal_of is None


def _may_belong(labels: Labels, image: Image, images: Sequence[Image]) -> bool:
    of_size = images_of(labels, images)
    if not of_size or _is_over(labels, image):
        return True
    return image in of_size and not _is_of_another(labels, image, of_size)


def _is_of_another(labels: Labels, image: Image, images: Iterable[Image]) -> bool:
    """Whether labels were made over an image of another file: it may show another place."""
    others = (one for one in images if one != image and _is_over(labels, one))
    return any(not have_one_file(one, image) for one in others)


def _is_over(labels: Labels, image: Image | None) -> bool:
    return image is not None and info_of(labels).made_over == image.unique_id
