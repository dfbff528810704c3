"""From the stain of a slice to grey levels: focus, light, damage, noise, and what software does then."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import exposure

from .settings import PhantomSettings
from .smooth_noise import SmoothNoise

_JPEG = np.array(  # ISO/IEC 10918-1, table K.1: steps of luminance at quality 50
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_ROWS = np.arange(8)
_COSINES = np.cos(np.pi * (2 * _ROWS + 1) * _ROWS[:, None] / 16) * np.where(_ROWS[:, None], 0.5, 0.125**0.5)
_COSINES = _COSINES.astype(np.float32)


def micrograph(rng: np.random.Generator, settings: PhantomSettings, stain: np.ndarray) -> np.ndarray:
    """Return the grey levels, uint8 (y, x), of a slice from its optical density, float32 (y, x)."""
    s = settings
    light = np.exp(-ndimage.gaussian_filter(stain, s.focus_px, truncate=3))
    light *= _illumination(rng, s, stain.shape)
    light = _damaged(rng, s, light)
    grey = _exposed(light, s)
    grey += _noise(rng, s, grey)
    if s.charging:
        grey += 0.06 * s.charging * _streaks(rng, grey)
    if s.local_contrast:
        grey = exposure.equalize_adapthist(np.clip(grey, 0, 1), clip_limit=s.local_contrast)
        grey = _exposed(grey.astype(np.float32), s)
    levels = np.clip(np.rint(255 * grey), 0, 255)
    if s.jpeg_quality < 100:
        levels = compressed(levels, s.jpeg_quality)
    return levels.astype(np.uint8)


def _exposed(light: np.ndarray, settings: PhantomSettings) -> np.ndarray:
    """Return the light as a share of white with the mean and contrast that the settings ask for."""
    sample = light[::4, ::4]
    low, high = np.quantile(sample, (settings.saturation, 1 - settings.saturation))
    grey = np.clip(light, low - 0.02, high + 0.1)
    sample = grey[::4, ::4]
    gain = np.float32(settings.contrast / (sample.std() + 1e-3))
    return (grey - sample.mean()) * gain + np.float32(settings.brightness)


def _illumination(rng: np.random.Generator, settings: PhantomSettings, shape: tuple) -> np.ndarray:
    wide = SmoothNoise(rng, 1, shape, 0.45 * max(shape)).at()[0]
    narrow = SmoothNoise(rng, 1, shape, 45).at()[0]
    return 1 + np.float32(settings.uneven_light) * np.clip(wide + 0.5 * narrow, -2.5, 2.5)


def _noise(rng: np.random.Generator, settings: PhantomSettings, grey: np.ndarray) -> np.ndarray:
    """Return noise that grows with the light, correlated between neighbours."""
    noise = rng.standard_normal(grey.shape, np.float32)
    if settings.noise_correlation_px > 0.35:
        noise = ndimage.gaussian_filter(noise, settings.noise_correlation_px, truncate=3)
        noise /= noise.std()
    shot = settings.shot_noise * np.sqrt(np.clip(grey, 0.05, 1) / 0.5)
    fine = rng.standard_normal(grey.shape, np.float32)
    return shot.astype(np.float32) * noise + np.float32(settings.read_noise) * fine


def _streaks(rng: np.random.Generator, grey: np.ndarray) -> np.ndarray:
    """Return what charging adds: rows that differ, and bright tails to the right of dark things."""
    rows = rng.standard_normal((len(grey), 1), np.float32)
    wide = SmoothNoise(rng, 1, grey.shape, 60).at()[0]
    tails = ndimage.gaussian_filter1d(np.float32(grey.mean()) - grey, 25, axis=1)
    return 0.5 * rows * (wide > 0.3) + 4 * np.maximum(tails, 0) + 0.8 * np.maximum(wide - 1, 0)


def _damaged(rng: np.random.Generator, settings: PhantomSettings, light: np.ndarray) -> np.ndarray:
    """Return a slice with folds and dirt."""
    y, x = np.indices(light.shape, np.float32)
    for _ in range(settings.folds):
        light = _folded(rng, light, y, x)
    for _ in range(settings.dirt_spots):
        size = rng.uniform(2, 9)
        place_y, place_x = rng.uniform(0, light.shape[0]), rng.uniform(0, light.shape[1])
        ragged = SmoothNoise(rng, 1, light.shape, 4).at()[0] if size > 4 else 0
        rim = np.hypot(y - place_y, x - place_x) + ragged - size
        light = light * (1 - np.float32(rng.uniform(0.4, 0.85)) / (1 + np.exp(np.clip(1.5 * rim, -30, 30))))
    return light.astype(np.float32)


def _folded(rng: np.random.Generator, light: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a slice with one fold: a dark line, and a band beside it that is out of focus."""
    angle, bend, width = rng.uniform(0, np.pi), rng.uniform(0, 15), rng.uniform(2.5, 8)
    across = np.cos(angle) * (y - light.shape[0] * rng.uniform(0.1, 0.9))
    across = across + np.sin(angle) * (x - light.shape[1] * rng.uniform(0.1, 0.9))
    across += bend * np.sin((np.cos(angle) * x - np.sin(angle) * y) / rng.uniform(30, 90))
    band = np.exp(-((across / (4 * width)) ** 2))
    light = light + band * (ndimage.gaussian_filter(light, 2.5) - light)
    return light * (1 - np.float32(rng.uniform(0.35, 0.7)) * np.exp(-((across / width) ** 4)))


def compressed(levels: np.ndarray, quality: int) -> np.ndarray:
    """Return grey levels (y, x) as JPEG of that quality would keep them: blocks of 8 x 8 cosines, rounded."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps = np.maximum(np.floor((_JPEG * scale + 50) / 100), 1)
    rows, columns = levels.shape
    padded = np.pad(levels.astype(np.float32) - 128, ((0, -rows % 8), (0, -columns % 8)), "edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, -1, 8).swapaxes(1, 2)
    kept = np.rint(_COSINES @ blocks @ _COSINES.T / steps) * steps
    restored = (_COSINES.T @ kept @ _COSINES).swapaxes(1, 2).reshape(padded.shape)
    return np.clip(np.rint(restored + 128), 0, 255)[:rows, :columns]
