"""Dialog with augmented patches of the user's own data and their labels, as the network sees them."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.io.sparse_stack import SparseStack, stacked
from emseg_napari.io.volume import Volume
from emseg_napari.models.earlier_run import opened_start
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.patches import PatchSampler
from emseg_napari.training.splits import but_tile, hold_out_tile, most_labelled, split, spread_over
from emseg_napari.widgets.layers.label_colours import label_colours

_GRID = 3
_GAP_PX = 4
_SHOWN_PX = 690
# A few slices, and of large ones a part: nine patches need no more, and it should take no second.
_SLICES = 4
_SIDE_PX = 2048


class AugmentedSamples(QDialog):
    """A grid of nine patches."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Augmented samples")
        self.grid = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.with_labels = QCheckBox("Labels (orange: boundary, blue: interior, clear: does not count)")
        self.with_labels.setChecked(True)
        self.with_labels.toggled.connect(self._show)
        self.others = QPushButton("Other samples")
        self.others.clicked.connect(self._next)
        below = QHBoxLayout()
        below.addWidget(self.with_labels, 1)
        below.addWidget(self.others)
        layout = QVBoxLayout(self)
        layout.addWidget(self.grid)
        layout.addLayout(below)

    def show_sampler(self, sampler: PatchSampler) -> None:
        """Show the first nine patches of a sampler."""
        self._sampler, self._number = sampler, -1
        self._next()
        self.show()
        self.raise_()

    def _next(self) -> None:
        self._number += 1
        self._image, self._labels = patches(self._sampler, self._number)
        self._show()

    def _show(self) -> None:
        pixels = picture(self._image, self._labels if self.with_labels.isChecked() else None)
        height, width, _ = pixels.shape
        shown = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        self.grid.setPixmap(QPixmap.fromImage(shown).scaled(_SHOWN_PX, _SHOWN_PX, keep, smooth))


def sampler_of(
    image: np.ndarray | Volume, labels: np.ndarray | SparseStack, settings: TrainingSettings
) -> PatchSampler:
    """Return a sampler whose batches are nine patches such as a training would see.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x).
    labels : numpy.ndarray or SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior; both classes in slices that train.
    settings : TrainingSettings
    """
    trained, held_out = split(labels, settings)
    some = spread_over(trained, _SLICES)
    image, labels = stacked(image, some), labels[some]
    tile = hold_out_tile(labels, list(range(len(some)))) if settings.hold_out and not held_out else None
    labels = but_tile(labels, tile) if tile else labels
    # `reference` sees whole slices.
    part = most_labelled(labels, _SIDE_PX) if settings.network == "compact" else None
    nine = settings.model_copy(update={"batch_size": _GRID**2})
    start = opened_start(settings)
    normalisation = start.record.normalisation if start else Normalisation()
    return PatchSampler(image, labels, nine, normalisation, part)


def patches(sampler: PatchSampler, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch as image, float32 (n, y, x), and labels, uint8 (n, y, x), 0, 1, 2."""
    image, target = sampler.batch(number)
    known = np.where(target[..., 0] > 0, BOUNDARY, INTERIOR)
    return image[..., 0], np.where(target[..., 1] > 0, known, UNLABELLED).astype(np.uint8)


def picture(image: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Lay nine patches (n, y, x) out in a grid, uint8 (y, x, RGB), labels as a coloured veil."""
    low, high = np.percentile(image, (0.5, 99.5))
    grey = 255 * np.clip((image - low) / max(1e-6, high - low), 0, 1)
    coloured = np.repeat(grey[..., None], 3, axis=-1)
    for label, colour in label_colours().color_dict.items():
        if labels is not None and label:
            where, veil = labels == label, 0.6 * colour[3]
            coloured[where] = (1 - veil) * coloured[where] + veil * 255 * np.asarray(colour[:3])
    margin = [(0, 0), (0, _GAP_PX), (0, _GAP_PX), (0, 0)]
    tiles = np.pad(coloured, margin).reshape(_GRID, _GRID, *np.add(image.shape[1:], _GAP_PX), 3)
    grid = tiles.transpose(0, 2, 1, 3, 4).reshape(_GRID * tiles.shape[2], -1, 3)
    return np.ascontiguousarray(grid[:-_GAP_PX, :-_GAP_PX].round().astype(np.uint8))
