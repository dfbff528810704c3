"""Training patches: where they are cut and what the loss sees of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from skimage.transform import resize

from emseg_napari.augmentation import augment
from emseg_napari.jobs import UserError
from emseg_napari.labels import BOUNDARY, UNLABELLED
from emseg_napari.normalisation import Normalisation
from emseg_napari.settings import TrainingSettings

REFERENCE_PX = 256
_GRID_PX = 16


def network_scale(settings: TrainingSettings, shape: tuple[int, int]) -> tuple[float, float]:
    """Return by what factor (y, x) slices of `shape` are resampled for the network.

    `reference` sees slices of 256 x 256 whatever their size was; `compact` works at
    native resolution.
    """
    if settings.network == "reference":
        return REFERENCE_PX / shape[0], REFERENCE_PX / shape[1]
    return 1.0, 1.0


def resample(slice_: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Resample a float32 (y, x) slice by `scale`, smoothed against aliasing when it shrinks."""
    if scale == (1.0, 1.0):
        return slice_
    shape = tuple(max(1, round(n * s)) for n, s in zip(slice_.shape, scale, strict=True))
    return resize(slice_, shape, order=1, anti_aliasing=min(scale) < 1, preserve_range=True).astype(
        np.float32
    )


class PatchSampler:
    """Cuts batches of augmented patches around labelled pixels.

    Batch n depends on the seed and n alone, so a resumed training sees the batches that
    an unbroken one would have seen.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x), the labelled training slices only.
    labels : numpy.ndarray
        uint8 (z, y, x), 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings
        Patch and batch size, augmentation, seed.
    normalisation : Normalisation
        How grey levels become network input.

    Raises
    ------
    UserError
        If the resampling for `reference` loses every label.
    """

    def __init__(
        self, image: np.ndarray, labels: np.ndarray, settings: TrainingSettings, normalisation: Normalisation
    ) -> None:
        self._settings = settings
        scale = network_scale(settings, image.shape[1:])
        images = [resample(normalisation.apply(s), scale) for s in image]
        # No larger than the slices: what would be added has no labels.
        self._size = min(settings.patch_px, _GRID_PX * -(-max(images[0].shape) // _GRID_PX))
        self._images = [self._pad(s, "reflect") for s in images]
        self._labels = [self._pad(_shrink_labels(s, scale), "constant") for s in labels]
        counts = np.array([np.count_nonzero(s) for s in self._labels], float)
        if not counts.any():
            raise UserError(
                f"No label is left in slices resized to {REFERENCE_PX} x {REFERENCE_PX} for `reference`; "
                "label larger areas, or train `compact`."
            )
        self._chance = counts / counts.sum()
        # Positions only where they are few: elsewhere a few throws find a labelled pixel.
        self._positions = [
            np.flatnonzero(s) if c < 0.5 * s.size else None for s, c in zip(self._labels, counts, strict=True)
        ]

    def _pad(self, slice_: np.ndarray, mode: str) -> np.ndarray:
        """Bring a slice that is smaller than a patch to its size; padding is unlabelled."""
        missing = [max(0, self._size - n) for n in slice_.shape]
        # np.pad cannot mirror what is one pixel wide.
        usable = mode if mode == "constant" or min(slice_.shape) > 1 else "edge"
        return np.pad(slice_, [(0, m) for m in missing], mode=usable)  # type: ignore[call-overload]

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return batch `number`.

        Returns
        -------
        image : numpy.ndarray
            float32 (batch, y, x, 1).
        target : numpy.ndarray
            float32 (batch, y, x, 2): channel 0 is 1 on boundary, channel 1 is 1 where the
            pixel is labelled.
        """
        random = np.random.default_rng([self._settings.seed, number])
        pairs = [self._patch(random) for _ in range(self._settings.batch_size)]
        image = np.stack([i for i, _ in pairs])[..., None]
        labels = np.stack([label for _, label in pairs])
        return image, np.stack([labels == BOUNDARY, labels != UNLABELLED], axis=-1).astype(np.float32)

    def _patch(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        z = int(random.choice(len(self._images), p=self._chance))
        window = self._window(z, random)
        return augment(self._images[z], self._labels[z], self._settings, random, window)

    def _window(self, z: int, random: np.random.Generator) -> tuple[slice, slice]:
        """Place a patch at random so that it holds labelled pixels."""
        labels, size = self._labels[z], self._size
        positions = self._positions[z]
        while positions is None:
            corner = [int(random.integers(n - size + 1)) for n in labels.shape]
            if labels[window := _square(corner, size)].any():
                return window
        pixel = np.unravel_index(random.choice(positions), labels.shape)
        wanted = [int(p) - int(random.integers(size)) for p in pixel]
        return _square([min(max(0, w), n - size) for w, n in zip(wanted, labels.shape, strict=True)], size)

    def batches(self, first: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches for ever from number `first`, each made while the last one is used."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.batch, first)
            while True:
                first += 1
                ready, coming = coming, pool.submit(self.batch, first)
                yield ready.result()


def _square(corner: list[int], size: int) -> tuple[slice, slice]:
    return slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size)


def _shrink_labels(labels: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Resample labels to the nearest pixel."""
    if scale == (1.0, 1.0):
        return labels
    rows, columns = (
        np.minimum((np.arange(max(1, round(n * s))) + 0.5) / s, n - 1).astype(int)
        for n, s in zip(labels.shape, scale, strict=True)
    )
    return labels[np.ix_(rows, columns)]
