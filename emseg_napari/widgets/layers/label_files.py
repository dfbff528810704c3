"""Labels from a file that the user has chosen in the window."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Layer

from emseg_napari.core.labels import AmbiguousLabels, Convention, UnknownLabels
from emseg_napari.io.address import Location
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.io.open import describe
from emseg_napari.io.sparse_stack import SparseStack, exchanged
from emseg_napari.io.stack_or_volume import open_labels
from emseg_napari.widgets.layers.labels_layer import Ask
from emseg_napari.widgets.layers.layer_sources import refuse_image_of

AskDataset = Callable[[SeveralVolumes], str | None]


def labels_from(
    path: Location, convention: Convention | None, image: Layer | None, ask: Ask, ask_dataset: AskDataset
) -> tuple[SparseStack, str]:
    """Read labels, and ask for what their file leaves open; in a thread.

    Parameters
    ----------
    path : Path or Address
    convention : Convention, optional
        What the values mean, if it is known.
    image : napari.layers.Image, optional
        The image to which they belong.
    ask, ask_dataset : callable
        Ask for the convention, and for a dataset of a container with several; None gives up.

    Returns
    -------
    labels : SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    words : str
        What the file holds, and whether the labels look wrong; without the last full stop.

    Raises
    ------
    UserError
        As `open_labels`, or if they are the image itself.
    """
    refuse_image_of(image, path)
    try:
        labels = _known(path, convention, ask)
    except SeveralVolumes as several:
        dataset = ask_dataset(several)
        if dataset is None:
            raise
        return labels_from(path / dataset, convention, image, ask, ask_dataset)
    words = [describe(path, labels=True).sentence(), exchanged(labels, path.name)]
    return labels, ". ".join(filter(None, words)).removesuffix(".")


def _known(path: Location, convention: Convention | None, ask: Ask) -> SparseStack:
    try:
        return open_labels(path, convention)
    except (AmbiguousLabels, UnknownLabels) as error:
        answer = ask(error)
        if answer is None:
            raise
        return open_labels(path, answer)
