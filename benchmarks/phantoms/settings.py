"""Settings of a phantom: what tissue it shows, what lies in its cells, and how it was imaged."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

KINDS = ("fly", "cortex", "between")


@dataclass(frozen=True)
class PhantomSettings:
    """Everything that makes one phantom look unlike another.

    Densities are optical: 0 lets all electrons through, 1 about a third. A share is 0 to 1. What ends in
    `_per_um2` counts in the cytoplasm of an average cell.
    """

    kind: str
    # sampling
    pixel_nm: float
    section_nm: float  # thickness of a slice, over which it is projected
    # membranes
    membrane_nm: float  # visible width of one membrane
    membrane_density: float
    membrane_variation: float  # of density and width from place to place, as a share
    faint_share: float  # of the membrane that is hardly stained
    extracellular_nm: float  # between the membranes of two cells
    extracellular_density: float
    # cells
    axon_radius_nm: float  # median of the thin ones
    dendrite_radius_nm: float  # median of the thick ones
    dendrite_share: float  # of the area
    bundle_share: float  # of the area where only thin axons run
    bundle_radius_nm: float
    in_plane_share: float  # of the cells that run within the slice
    slope: float  # sideways per depth, of those that run through it
    bend_nm: float  # how far membranes wander
    crumple_nm: float  # the same, over short ways
    glia_share: float  # of the area, between the other cells
    spines_per_um: float  # along thick cells
    myelin_share: float  # of the axons that are thick enough
    myelin_nm: float
    # contents
    cytoplasm_density: float
    dark_cell_share: float
    grain_density: float
    mitochondria_share: float  # of the cells that have room for one
    mitochondrion_density: float
    crista_density: float  # negative: brighter than the matrix
    vesicles_per_um2: float
    vesicle_nm: float  # diameter
    granules_per_um2: float
    dense_cores_per_um2: float
    tubules_per_um2: float
    reticulum_share: float  # of the cytoplasm where cisternae lie
    filament_density: float
    synapses_per_um2: float
    synapse_density: float
    # microscope
    focus_px: float
    shot_noise: float  # standard deviation at middle grey, as a share of white
    read_noise: float
    noise_correlation_px: float
    uneven_light: float
    charging: float
    folds: int
    dirt_spots: int
    jpeg_quality: int  # 100: not compressed
    local_contrast: float  # clip limit of CLAHE, 0: none
    brightness: float  # mean grey, as a share of white
    contrast: float  # standard deviation of the grey, as a share of white
    saturation: float  # of the pixels, dark and bright


# From what to what, in fly and in cortex; "log" where a factor is as likely as its inverse.
_RANGES: dict[str, tuple[float, float, float, float, str]] = {
    "pixel_nm": (3, 8, 3, 10, "log"),
    "section_nm": (8, 60, 20, 50, ""),
    "membrane_nm": (7, 13, 6, 12, ""),
    "membrane_density": (0.75, 1.35, 0.65, 1.5, ""),
    "membrane_variation": (0.12, 0.4, 0.08, 0.35, ""),
    "faint_share": (0, 0.15, 0, 0.1, ""),
    "extracellular_nm": (0, 8, 2, 24, ""),
    "extracellular_density": (0.3, 0.7, 0.05, 0.45, ""),
    "axon_radius_nm": (40, 95, 70, 160, "log"),
    "dendrite_radius_nm": (110, 280, 170, 420, "log"),
    "dendrite_share": (0.03, 0.35, 0.05, 0.45, ""),
    "bundle_share": (0, 0.25, 0, 0.2, ""),
    "bundle_radius_nm": (25, 45, 40, 70, ""),
    "in_plane_share": (0.1, 0.6, 0.1, 0.6, ""),
    "slope": (0.15, 1.1, 0.1, 1.0, ""),
    "bend_nm": (15, 60, 15, 70, ""),
    "crumple_nm": (3, 11, 2, 9, ""),
    "glia_share": (0, 0.15, 0, 0.15, ""),
    "spines_per_um": (0, 0.4, 0.3, 2.0, ""),
    "myelin_share": (0, 0, 0, 0.25, ""),
    "myelin_nm": (60, 100, 60, 160, ""),
    "cytoplasm_density": (0.18, 0.42, 0.08, 0.35, ""),
    "dark_cell_share": (0.02, 0.2, 0, 0.12, ""),
    "grain_density": (0.08, 0.28, 0.03, 0.18, ""),
    "mitochondria_share": (0.3, 0.8, 0.3, 0.8, ""),
    "mitochondrion_density": (0.4, 0.9, 0.3, 0.9, ""),
    "crista_density": (-0.4, 0.3, -0.2, 0.4, ""),
    "vesicles_per_um2": (15, 150, 15, 150, "log"),
    "vesicle_nm": (32, 50, 34, 50, ""),
    "granules_per_um2": (20, 250, 3, 100, "log"),
    "dense_cores_per_um2": (0.1, 1.5, 0.05, 0.6, "log"),
    "tubules_per_um2": (2, 25, 2, 25, "log"),
    "reticulum_share": (0.01, 0.12, 0.01, 0.15, ""),
    "filament_density": (0, 0.25, 0, 0.25, ""),
    "synapses_per_um2": (0.5, 2.5, 0.3, 1.5, ""),
    "synapse_density": (0.4, 1.1, 0.5, 1.4, ""),
    "focus_px": (0.4, 1.1, 0.4, 1.1, ""),
    "shot_noise": (0.01, 0.1, 0.01, 0.1, "log"),
    "read_noise": (0.005, 0.05, 0.005, 0.05, "log"),
    "noise_correlation_px": (0.4, 1.05, 0.4, 1.05, ""),
    "uneven_light": (0.01, 0.15, 0.01, 0.15, ""),
    "brightness": (0.38, 0.64, 0.4, 0.68, ""),
    "contrast": (0.11, 0.2, 0.11, 0.22, ""),
    "saturation": (0.0005, 0.02, 0.0005, 0.02, "log"),
}
# What most micrographs do not have: how often it is there, and from what to what.
_RARE: dict[str, tuple[float, float, float]] = {
    "charging": (0.15, 0.2, 1),
    "folds": (0.06, 1, 2.5),
    "dirt_spots": (0.15, 1, 6),
    "local_contrast": (0.15, 0.004, 0.02),
}
_COMPRESSED_SHARE, _JPEG_QUALITY = 0.25, (35, 90)


def draw(seed: int, kind: str | None = None) -> PhantomSettings:
    """Draw settings by lot, the same for the same seed.

    Parameters
    ----------
    seed : int
        Decides everything.
    kind : str, optional
        One of `KINDS`; by lot if not given. "between" mixes what is drawn for the other two.
    """
    rng = np.random.default_rng([seed, 1])
    chosen = str(rng.choice(KINDS))
    kind = kind or chosen
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}")
    mixing = {"fly": 0.0, "cortex": 1.0, "between": float(rng.uniform(0.2, 0.8))}[kind]
    values = {name: _between(rng.random(2), spans, mixing) for name, spans in _RANGES.items()}
    for name, (share, low, high) in _RARE.items():
        there, size = rng.random(), rng.uniform(low, high)
        values[name] = size if there < share else 0
    compressed, quality = rng.random() < _COMPRESSED_SHARE, rng.uniform(*_JPEG_QUALITY)
    values["jpeg_quality"] = quality if compressed else 100
    whole = {field.name for field in fields(PhantomSettings) if field.type == "int"}
    return PhantomSettings(kind, **{name: int(v) if name in whole else v for name, v in values.items()})


def _between(lots: np.ndarray, spans: tuple[float, float, float, float, str], mixing: float) -> float:
    *ends, scale = spans
    low_fly, high_fly, low_cortex, high_cortex = np.log(ends) if scale == "log" else ends
    fly = low_fly + lots[0] * (high_fly - low_fly)
    cortex = low_cortex + lots[1] * (high_cortex - low_cortex)
    value = (1 - mixing) * fly + mixing * cortex
    return float(np.exp(value) if scale == "log" else value)
