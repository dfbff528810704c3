"""Settings of trainings, and the recipe of every network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from emseg_napari.core.jobs import UserError
from emseg_napari.settings.base import (
    SCALE_LIMITS,
    Settings,
    SliceRange,
    advanced,
    missing_is_empty_field,
    validated,
)

NetworkName = Literal["compact", "reference", "ridge", "trees", "imported"]
# Methods without a network, fitted in one pass of seconds, and the settings that they use.
BASELINES = ("ridge", "trees")
_OF_BASELINES = ("network", "slices", "validate_slices", "hold_out", "seed", "missing_is_empty")


# The word for random weights, read as None; a folder of that name is given as ./nothing.
NOTHING = "nothing"

# Augmentation that imitates other microscopes: magnification, section thickness, focus, gain, dirt. The
# starter was trained with it; in live learning it prevents overfitting to the few labels.
OTHER_MICROSCOPES = {
    "mirror": "flips and turns",
    "rotation_degrees": 45.0,
    "zoom_fraction": 0.4,
    "contrast": 0.3,
    "elastic_px": 3.0,
    "thickness_px": 1,
    "blur_px": 1.2,
    "noise": 0.25,
    "smudge": 0.1,
}


def _or_none(start: str | None) -> str | None:
    return None if start == NOTHING else start


class TrainingSettings(Settings):
    """Settings of one training. Defaults are the recipe of `compact`; see `recipe`."""

    network: NetworkName = Field(
        "compact",
        title="Kind of network",
        description="compact: small U-Net at native resolution, good in minutes; "
        "reference: the published 26-million-parameter U-Net; "
        "trees: no network but boosted trees on the features of every pixel, fitted in seconds; "
        "ridge: no network but a ridge filter, whose few numbers are fitted in seconds; "
        "imported: the network of an imported run, which is to be started from.",
    )
    start: Annotated[str | None, AfterValidator(_or_none)] = Field(
        None,
        title="Start from",
        description="Run whose weights to start from; or 'starter', the network that comes with the package; "
        "or 'nothing': random weights. When not given: the starter for 'compact', nothing for the others.",
    )
    minutes: float | None = Field(
        3.0,
        title="Minutes",
        gt=0,
        le=10_000,
        description="Training time in minutes; or give epochs instead.",
    )
    epochs: int | None = Field(
        None, title="Epochs", ge=1, le=100_000, description="Number of epochs; instead of minutes."
    )
    steps_per_epoch: int = advanced(
        100, "Steps per epoch", "Optimiser steps in an epoch, when epochs are given.", ge=1, le=100_000
    )
    slices: SliceRange | None = Field(
        None,
        title="Slices",
        description="Slices to use, first:end (half-open); all labelled slices when not given.",
    )
    validate_slices: SliceRange | None = Field(
        None,
        title="Held-out slices",
        description="Slices held out of the training for its score, first:end (half-open); "
        "chosen automatically when not given.",
    )
    hold_out: bool = Field(
        True,
        title="Hold out",
        description="Hold an eighth of the labels out of the training for its score; off: all labels train, "
        "and the run has no score.",
    )
    scale: float = Field(
        1.0,
        title="Scale",
        description="By how much slices are enlarged (2 = twice as many pixels along each side) or shrunk "
        "(0.5) for the network, in this training and in predictions of the run. For `compact` and "
        "`imported` only.",
        **SCALE_LIMITS,
    )
    seed: int = advanced(
        0, "Seed", "Seed of all random numbers; the same seed repeats a run.", ge=0, le=2**31 - 1
    )
    batch_size: int = advanced(4, "Batch size", "Patches in one optimiser step.", ge=1, le=256)
    patch_px: int = advanced(
        192,
        "Patch size (px)",
        "Side of the square training patch in pixels; a multiple of 16.",
        ge=16,
        le=2048,
        multiple_of=16,
    )
    learning_rate: float = advanced(3e-3, "Learning rate", "Peak learning rate.", gt=0, le=1)
    warm_up: float = advanced(
        0.15, "Warm-up", "Part of the training in which the learning rate rises, 0 to 1.", ge=0, lt=1
    )
    anneal: bool = advanced(
        True, "Anneal", "Let the learning rate fall to 1 % along a cosine after the warm-up."
    )
    weight_decay: float = advanced(
        1e-4,
        "Weight decay",
        "AdamW's decoupled decay of the kernels, per step and unit of learning rate.",
        ge=0,
        le=1,
    )
    beta_2: float = advanced(
        0.99, "Second moment", "Momentum of AdamW's squared gradients, 0 to 1.", ge=0, lt=1
    )
    clip_norm: float = advanced(
        1.0, "Gradient clip", "Largest global gradient norm; 0 switches clipping off.", ge=0, le=1000
    )
    averaging: float = advanced(
        0.99,
        "Weight averaging",
        "Momentum of the running average of the weights that is kept, 0 (off) to 1.",
        ge=0,
        lt=1,
    )
    boundary_weight: float = advanced(
        1.0,
        "Boundary weight",
        "Weight of a boundary pixel in the cross-entropy; an interior pixel has 1.",
        gt=0,
        le=100,
    )
    touched_weight: float = advanced(
        1.0,
        "Weight of strokes",
        "Weight of a labelled pixel in slices that are labelled in part, such as strokes in slices that are "
        "not confirmed; in slices labelled as a whole it is 1.",
        gt=0,
        le=100,
    )
    anchor_weight: float = advanced(
        30.0,
        "Anchor weight",
        "How strongly a network that starts from another keeps the predictions of its start on unlabelled "
        "pixels, up to 1000; without it a few strokes make it forget what it had learned. At 0 it keeps all "
        "that it learns, too; else as much as suits the held-out labels best.",
        ge=0,
        le=1000,
    )
    dice_weight: float = advanced(
        1.0, "Dice weight", "Weight of the soft Dice loss beside the cross-entropy.", ge=0, le=100
    )
    mirror: Literal["none", "horizontal", "flips and turns"] = advanced(
        "flips and turns",
        "Mirroring",
        "Random mirroring of the patches; 'flips and turns' is all eight symmetries of the square.",
    )
    rotation_degrees: float = advanced(
        0.0, "Rotation (degrees)", "Largest random rotation in degrees; 0 = off.", ge=0, le=180
    )
    shift_fraction: float = advanced(
        0.0, "Shift", "Largest random shift as a part of the patch side, 0 (off) to 1.", ge=0, le=1
    )
    shear_degrees: float = advanced(
        0.0, "Shear (degrees)", "Largest random shear in degrees; 0 = off.", ge=0, le=45
    )
    zoom_fraction: float = advanced(
        0.0, "Zoom", "Largest random zoom as a part of the size, 0 (off) to 0.9.", ge=0, le=0.9
    )
    contrast: float = advanced(
        0.1,
        "Contrast",
        "Largest random change of contrast and brightness, in units of the normalised intensity; 0 = off.",
        ge=0,
        le=1,
    )
    elastic_px: float = advanced(
        0.0, "Elastic (px)", "Largest random bending of the tissue, in pixels; 0 = off.", ge=0, le=50
    )
    thickness_px: int = advanced(
        0,
        "Thickness (px)",
        "Most pixels by which membranes are thickened on each side; 0 = off.",
        ge=0,
        le=10,
    )
    blur_px: float = advanced(
        0.0, "Blur (px)", "Largest random blur: sigma of the Gaussian in pixels; 0 = off.", ge=0, le=10
    )
    noise: float = advanced(
        0.0,
        "Noise",
        "Largest random noise: standard deviation in units of the normalised intensity; 0 = off.",
        ge=0,
        le=2,
    )
    smudge: float = advanced(0.0, "Smudges", "Chance that a patch has a stain, 0 (off) to 1.", ge=0, le=1)
    precision: Literal["float32", "bfloat16"] = advanced(
        "float32",
        "Precision",
        "Arithmetic of the training; bfloat16 may be faster or slower, depending on the processor.",
    )
    missing_is_empty: bool = missing_is_empty_field()

    @classmethod
    def recipe(cls, network: NetworkName = "compact", **changes: Any) -> TrainingSettings:
        """Return the recipe of a network with `changes`; None means "leave as it is".

        A training lasts either minutes or epochs: the one that is given replaces the other. The `start` is
        nothing unless it is given: `models.earlier_run.with_default_start` decides otherwise. A `compact`
        that starts from another has a recipe of its own, as has `imported`.

        Raises
        ------
        UserError
            If a value is outside its limits, or of a setting that the network does not have.
        """
        given = {k: v for k, v in changes.items() if v is not None}
        recipe = _RECIPES.get(network, {})
        if network == "imported" or (network == "compact" and given.get("start", NOTHING) != NOTHING):
            recipe = _FROM_A_START
        values = recipe | given
        if "epochs" in given:
            values["minutes"] = None
        elif "minutes" in given:
            values["epochs"] = None
        settings = validated(cls, network=network, **values)
        for name in [n for n in cls.model_fields if n in given and not applies(n, network)]:
            if getattr(settings, name) != recipe.get(name, cls.model_fields[name].default):
                raise no_effect(name, network)
        return settings


# With the full rate and without other microscopes one labelled slice made a start worse on all others.
_FROM_A_START: dict[str, Any] = {"learning_rate": 1e-3} | OTHER_MICROSCOPES
# The published recipe: slices resized to 256 x 256, batch 2, binary cross-entropy, Adam 1e-4,
# 10 epochs of 1000 steps, small affine augmentation and horizontal mirroring.
_RECIPES: dict[str, dict[str, Any]] = {
    "compact": {},
    "reference": {
        "minutes": None,
        "epochs": 10,
        "steps_per_epoch": 1000,
        "batch_size": 2,
        "patch_px": 256,
        "learning_rate": 1e-4,
        "warm_up": 0.0,
        "anneal": False,
        "weight_decay": 0.0,
        "beta_2": 0.999,
        "clip_norm": 0.0,
        "averaging": 0.0,
        "dice_weight": 0.0,
        "mirror": "horizontal",
        "rotation_degrees": 0.2,
        "shift_fraction": 0.05,
        "shear_degrees": 0.05,
        "zoom_fraction": 0.05,
        "contrast": 0.0,
    },
    "ridge": {"minutes": None},
    "trees": {"minutes": None},
}


_WHY = {
    "reference": "which sees every slice as 256 x 256 pixels",
    **dict.fromkeys(BASELINES, "which is fitted in one pass"),
}


def no_effect(name: str, network: str) -> UserError:
    """Return the error of a training setting that a network does not use."""
    title = TrainingSettings.model_fields[name].title
    return UserError(f"{title} has no effect on '{network}', {_WHY[network]}; leave it out.")


def applies(name: str, network: str) -> bool:
    """Say whether a network uses a training setting."""
    if name == "scale":
        return network in ("compact", "imported")
    return network not in BASELINES or name in _OF_BASELINES
