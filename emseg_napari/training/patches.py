"""Sampling of training patches around labelled pixels.

A batch depends on the seed and its number alone, so that a training can be repeated and resumed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, UNLABELLED
from emseg_napari.inference.tiles import GRID_PX
from emseg_napari.io.axes import SliceWindow, shape_text
from emseg_napari.io.sparse_stack import Stack
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.resampling import resample, resample_labels, sampling_of
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.augmentation import augment

REFERENCE_PX = 256
_WHOLE = 0.9  # from that part of labelled pixels on, a slice counts as labelled as a whole
# Number of label changes that count as the latest.
_RECENT_CHANGES = 8


def network_scale(settings: TrainingSettings, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the factor (y, x) by which slices of a shape (y, x) are resampled for the network.

    `reference` gets every slice as 256 x 256 pixels.
    """
    if settings.network == "reference":
        return REFERENCE_PX / shape[0], REFERENCE_PX / shape[1]
    return settings.scale, settings.scale


class PatchSampler:
    """Sampler of batches of augmented patches around labelled pixels.

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
    part : SliceWindow, optional
        Draw from that part of the slices only, (y, x), with the grey levels of the whole; for `compact`.
    grid_px : int
        Of the network, see `RunRecord.grid_px`.

    Attributes
    ----------
    side_px : int
        Side of the patches in pixels.

    Raises
    ------
    UserError
        If no label is left after the resampling.
    """

    def __init__(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        settings: TrainingSettings,
        normalisation: Normalisation,
        part: SliceWindow | None = None,
        grid_px: int = GRID_PX,
    ) -> None:
        self._settings = settings
        self._scale = network_scale(settings, image.shape[1:])
        part = part or (slice(None), slice(None))
        images = [resample(normalisation.levels(s).apply(s[part]), self._scale) for s in image]
        labels = labels[:, *part]
        self.side_px = _side_px(settings, images[0].shape, grid_px)
        self._images = [self._pad(s, "reflect") for s in images]
        self._set_labels(labels)

    def relabelled(self, labels: np.ndarray) -> PatchSampler:
        """Return a sampler of the same slices with other labels."""
        other = copy(self)
        other._set_labels(labels)
        return other

    def _set_labels(self, labels: np.ndarray) -> None:
        # The published recipe takes the nearest pixel.
        keep_thin = self._settings.network != "reference"
        self._labels = [self._pad(resample_labels(s, self._scale, keep_thin), "constant") for s in labels]
        counts = np.array([np.count_nonzero(s) for s in self._labels], float)
        if not counts.any():
            raise UserError(
                "No label is left in the slices as the network sees them, resized to "
                f"{shape_text(self._images[0].shape)}; label larger areas, or choose a larger scale."
            )
        self._chance = counts / counts.sum()
        in_part = [np.count_nonzero(s) < _WHOLE * s.size for s in labels]
        self._weights = np.where(in_part, self._settings.touched_weight, 1.0).astype(np.float32)
        # Positions only where they are few: elsewhere a few random windows find a labelled pixel.
        self._positions = [
            np.flatnonzero(s) if c < 0.5 * s.size else None for s, c in zip(self._labels, counts, strict=True)
        ]

    def _pad(self, slice_: np.ndarray, mode: str) -> np.ndarray:
        """Pad a slice that is smaller than a patch to its size; padding is unlabelled."""
        missing = [max(0, self.side_px - n) for n in slice_.shape]
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
            float32 (batch, y, x, 2): channel 0 is 1 on boundary, channel 1 is the pixel's weight, 0
            where it is not labelled.
        """
        random = np.random.default_rng([self._settings.seed, number])
        slices, patches = zip(*(self._draw(random) for _ in range(self._settings.batch_size)), strict=True)
        image, target = _stacked(list(patches))
        target[..., 1] *= self._weights[list(slices), None, None]
        return image, target

    def patch(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return one patch: float32 (y, x), and its labels, uint8 (y, x)."""
        return self._draw(random)[1]

    def _draw(self, random: np.random.Generator) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        """Return a slice's number and a patch of it."""
        z = int(random.choice(len(self._images), p=self._chance))
        window = self._window(z, random)
        return z, augment(self._images[z], self._labels[z], self._settings, random, window)

    def _window(self, z: int, random: np.random.Generator) -> SliceWindow:
        """Return a random window with labelled pixels."""
        labels, size = self._labels[z], self.side_px
        positions = self._positions[z]
        while positions is None:
            corner = [int(random.integers(n - size + 1)) for n in labels.shape]
            if labels[window := _square(corner, size)].any():
                return window
        pixel = np.unravel_index(random.choice(positions), labels.shape)
        wanted = [int(p) - int(random.integers(size)) for p in pixel]
        return _square([min(max(0, w), n - size) for w, n in zip(wanted, labels.shape, strict=True)], size)

    def batches(self, first: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches from number `first` on without end, each made while the last one is used."""
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.batch, first)
            while True:
                first += 1
                ready, upcoming = upcoming, pool.submit(self.batch, first)
                yield ready.result()


class LivePatches:
    """Sampler of batches around labels that change, with extra patches around the latest changes.

    Batch n depends on the seed, n and the labels of the moment. All patches have the same weight,
    however few labels they hold: else a stroke would not count beside a slice that is labelled as a whole.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x), the whole stack.
    settings : TrainingSettings
        Patch and batch size, augmentation, seed.
    normalisation : Normalisation
    recent : float
        Part of the patches that hold only the latest changes, 0 to 1.
    grid_px : int
        Of the network, see `RunRecord.grid_px`.

    Attributes
    ----------
    side_px : int
        Side of the patches in pixels.
    """

    def __init__(
        self,
        image: Stack,
        settings: TrainingSettings,
        normalisation: Normalisation,
        recent: float,
        grid_px: int = GRID_PX,
    ) -> None:
        self._grid_px = grid_px
        self._image, self._settings = image, settings
        self._normalisation, self._part = normalisation, recent
        shape = image.shape[1:]
        sampled = sampling_of(shape, network_scale(settings, shape))
        self.side_px = _side_px(settings, tuple(axis.count for axis in sampled), grid_px)
        self._slices: dict[int, PatchSampler] = {}
        self._counts: dict[int, int] = {}
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=_RECENT_CHANGES)
        self._latest: list[PatchSampler] = []

    def __bool__(self) -> bool:
        """Say whether there are labels."""
        return bool(self._slices)

    def update(self, z: int, labels: np.ndarray, changed: np.ndarray | None = None) -> None:
        """Set the labels of a slice, uint8 (y, x); `changed`, bool (y, x), marks the latest changes."""
        if sampler := self._sampler(z, labels):
            self._slices[z], self._counts[z] = sampler, int(np.count_nonzero(labels))
        else:
            self._slices.pop(z, None)
        if changed is not None:
            self._recent.append((z, np.where(changed, labels, UNLABELLED)))
        for i, (other, known) in enumerate(self._recent):
            if other == z:  # labels that were erased or changed since do not train
                self._recent[i] = z, np.where(known == labels, known, UNLABELLED)
        self._latest = [found for change in self._recent if (found := self._sampler(*change))]

    def _sampler(self, z: int, labels: np.ndarray) -> PatchSampler | None:
        try:
            if z in self._slices:
                return self._slices[z].relabelled(labels[None])
            image = self._image[z : z + 1]
            return PatchSampler(
                image, labels[None], self._settings, self._normalisation, grid_px=self._grid_px
            )
        except UserError:  # no label is left
            return None

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return batch `number` as `PatchSampler` does, channel 1 of the target weighing the pixels."""
        random = np.random.default_rng([self._settings.seed, number])
        image, target = _stacked([self._patch(random) for _ in range(self._settings.batch_size)])
        labelled = target[..., 1:]
        labelled *= labelled[0].size / np.maximum(1, labelled.sum(axis=(1, 2, 3), keepdims=True))
        return image, target

    def empty_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a batch without labels, of which nothing is learned."""
        empty = np.zeros((self._settings.batch_size, self.side_px, self.side_px, 2), np.float32)
        return empty[..., :1], empty

    def _patch(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if self._latest and random.uniform() < self._part:
            return self._latest[int(random.integers(len(self._latest)))].patch(random)
        slices = sorted(self._slices)
        counts = np.array([self._counts[z] for z in slices], float)
        return self._slices[int(random.choice(slices, p=counts / counts.sum()))].patch(random)


def _stacked(patches: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    image = np.stack([one for one, _ in patches])[..., None]
    labels = np.stack([label for _, label in patches])
    return image, np.stack([labels == BOUNDARY, labels != UNLABELLED], axis=-1).astype(np.float32)


def _side_px(settings: TrainingSettings, shape: tuple[int, ...], grid_px: int) -> int:
    """Return the side of a patch in pixels: not larger than the slices, since padding has no labels."""
    return min(settings.patch_px, grid_px * -(-max(shape) // grid_px))


def _square(corner: list[int], size: int) -> SliceWindow:
    return slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size)
