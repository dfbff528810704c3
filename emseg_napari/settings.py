"""Every number that a user can set, stated once.

The forms in the window, the options of the command line and ``settings.json`` in a run
folder are all made from these classes. A field's ``title`` is its name in the form and
its ``description`` the tooltip and the command line's help; units stand in both.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from emseg_napari.jobs import UserError

S = TypeVar("S", bound="Settings")
NetworkName = Literal["compact", "reference", "ridge", "trees"]
# Methods without a network, fitted at one go in seconds, and the settings that mean something to them.
BASELINES = ("ridge", "trees")
_OF_BASELINES = ("network", "slices", "validate_slices", "hold_out", "seed", "missing_is_empty")
# From this mean boundary probability on, a boundary parts two cells (benchmarks/README.md).
JOIN_BELOW = 0.7


def _half_open(value: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= value[0] < value[1]:
        raise ValueError(f"{value[0]}:{value[1]} is no range; write first:end with 0 <= first < end")
    return value


SliceRange = Annotated[tuple[int, int], AfterValidator(_half_open)]


class Settings(BaseModel):
    """Base: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _number(default: Any, title: str, description: str, **limits: Any) -> Any:
    """Declare a field under 'Advanced'."""
    return Field(
        default, title=title, description=description, json_schema_extra={"advanced": True}, **limits
    )


def _missing_is_empty() -> Any:
    """Declare the field of everything that reads an image."""
    return _number(
        False,
        "Missing chunks are empty",
        "Take chunks of a Zarr or N5 volume that have no file for empty (the fill value), as where its "
        "writer leaves out what is empty; else they are told by their place, and what needs them fails.",
    )


class TrainingSettings(Settings):
    """What one training does. Defaults are the recipe of `compact`; see `recipe`."""

    network: NetworkName = Field(
        "compact",
        title="Network",
        description="compact: small U-Net at native resolution, good in minutes; "
        "reference: the published 26-million-parameter U-Net; "
        "trees: no network but boosted trees on the features of every pixel, fitted in seconds; "
        "ridge: no learning but a ridge filter, whose few numbers are fitted in seconds.",
    )
    start: str | None = Field(
        None,
        title="Start from",
        description="Run whose weights to begin with, or 'starter', the network that comes with the package; "
        "from nothing when not given.",
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
    steps_per_epoch: int = _number(
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
        description="Slices held out of the training to judge it, first:end (half-open); "
        "chosen automatically when not given.",
    )
    hold_out: bool = Field(
        True,
        title="Hold out",
        description="Keep an eighth of the labels from the training to judge it by; off: all labels teach, "
        "and the run has no score of its own.",
    )
    seed: int = _number(
        0, "Seed", "Start of all random numbers; the same seed repeats a run.", ge=0, le=2**31 - 1
    )
    batch_size: int = _number(4, "Batch size", "Patches in one optimiser step.", ge=1, le=256)
    patch_px: int = _number(
        192,
        "Patch size (px)",
        "Side of the square training patch in pixels; a multiple of 16.",
        ge=16,
        le=2048,
        multiple_of=16,
    )
    learning_rate: float = _number(3e-3, "Learning rate", "Peak learning rate.", gt=0, le=1)
    warm_up: float = _number(
        0.15, "Warm-up", "Part of the training in which the learning rate rises, 0 to 1.", ge=0, lt=1
    )
    anneal: bool = _number(
        True, "Anneal", "Let the learning rate fall to 1 % along a cosine after the warm-up."
    )
    weight_decay: float = _number(
        1e-4,
        "Weight decay",
        "AdamW's decoupled decay of the kernels, per step and unit of learning rate.",
        ge=0,
        le=1,
    )
    beta_2: float = _number(
        0.99, "Second moment", "Momentum of AdamW's squared gradients, 0 to 1.", ge=0, lt=1
    )
    clip_norm: float = _number(
        1.0, "Gradient clip", "Largest global gradient norm; 0 switches clipping off.", ge=0, le=1000
    )
    averaging: float = _number(
        0.99,
        "Weight averaging",
        "Momentum of the running average of the weights that is kept, 0 (off) to 1.",
        ge=0,
        lt=1,
    )
    boundary_weight: float = _number(
        1.0,
        "Boundary weight",
        "Weight of a boundary pixel in the cross-entropy; an interior pixel has 1.",
        gt=0,
        le=100,
    )
    touched_weight: float = _number(
        1.0,
        "Weight of strokes",
        "Weight of a labelled pixel in slices that have labels only in part, such as strokes in slices that "
        "nobody confirmed; in slices labelled as a whole it is 1.",
        gt=0,
        le=100,
    )
    dice_weight: float = _number(
        1.0, "Dice weight", "Weight of the soft Dice loss beside the cross-entropy.", ge=0, le=100
    )
    mirror: Literal["none", "horizontal", "flips and turns"] = _number(
        "flips and turns",
        "Mirroring",
        "Random mirroring of the patches; 'flips and turns' is all eight symmetries of the square.",
    )
    rotation_degrees: float = _number(
        0.0, "Rotation (degrees)", "Largest random rotation in degrees; 0 = off.", ge=0, le=180
    )
    shift_fraction: float = _number(
        0.0, "Shift", "Largest random shift as a part of the patch side, 0 (off) to 1.", ge=0, le=1
    )
    shear_degrees: float = _number(
        0.0, "Shear (degrees)", "Largest random shear in degrees; 0 = off.", ge=0, le=45
    )
    zoom_fraction: float = _number(
        0.0, "Zoom", "Largest random zoom as a part of the size, 0 (off) to 0.9.", ge=0, le=0.9
    )
    contrast: float = _number(
        0.1,
        "Contrast",
        "Largest random change of contrast and brightness, in units of the normalised intensity; 0 = off.",
        ge=0,
        le=1,
    )
    elastic_px: float = _number(
        0.0, "Elastic (px)", "Largest random bending of the tissue, in pixels; 0 = off.", ge=0, le=50
    )
    thickness_px: int = _number(
        0,
        "Thickness (px)",
        "Most pixels by which membranes are thickened on each side; 0 = off.",
        ge=0,
        le=10,
    )
    blur_px: float = _number(
        0.0, "Blur (px)", "Largest random blur: sigma of the Gaussian in pixels; 0 = off.", ge=0, le=10
    )
    noise: float = _number(
        0.0,
        "Noise",
        "Largest random noise: standard deviation in units of the normalised intensity; 0 = off.",
        ge=0,
        le=2,
    )
    smudge: float = _number(0.0, "Smudges", "Chance that a patch has a stain, 0 (off) to 1.", ge=0, le=1)
    precision: Literal["float32", "bfloat16"] = _number(
        "float32",
        "Precision",
        "Arithmetic of the training; bfloat16 may be faster or slower, depending on the processor.",
    )
    missing_is_empty: bool = _missing_is_empty()

    @classmethod
    def recipe(cls, network: NetworkName = "compact", **changes: Any) -> TrainingSettings:
        """Return the recipe of a network with `changes`; None means "leave as it is".

        A training lasts either minutes or epochs: the one that is given puts the other aside.

        Raises
        ------
        UserError
            If a value is outside its limits, or of a setting that the network does not have.
        """
        given = {k: v for k, v in changes.items() if v is not None}
        recipe = _RECIPES.get(network, {})
        for name in [n for n in cls.model_fields if n in given and not applies(n, network)]:
            field = cls.model_fields[name]
            if given[name] != recipe.get(name, field.default):
                raise UserError(
                    f"{field.title} means nothing to '{network}', which is fitted at one go; leave it out."
                )
        values = recipe | given
        if "epochs" in given:
            values["minutes"] = None
        elif "minutes" in given:
            values["epochs"] = None
        return validated(cls, network=network, **values)


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


def applies(name: str, network: str) -> bool:
    """Say whether a training setting means something to a network."""
    return network not in BASELINES or name in _OF_BASELINES


# As of the starter: it keeps a network that learns on for long from learning its few labels by heart.
_STRONG_AUGMENTATION = {
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


class LiveSettings(Settings):
    """How a network goes on learning while its user corrects."""

    start: str = Field(
        "starter",
        title="Start from",
        description="Run whose weights to begin with, or 'starter', the network that comes with the package.",
    )
    idle_seconds: float = Field(
        30.0,
        title="Rest after (s)",
        gt=0,
        le=3600,
        description="Seconds after the last correction at which learning rests until the next one.",
    )
    on_battery: bool = Field(
        False,
        title="On battery too",
        description="Learn without mains power too; else it waits until the computer is plugged in.",
    )
    recent: float = _number(
        0.5,
        "Recent corrections",
        "Part of the patches that is cut around the latest corrections, 0 to 1; the others come from all "
        "labels.",
        ge=0,
        le=1,
    )
    hold: float = _number(
        30.0,
        "Hold",
        "How strongly the network keeps the opinion of its start where nobody labelled, 0 (not at all) to "
        "1000; without it a few strokes carry it far off.",
        ge=0,
        le=1000,
    )
    learning_rate: float = _number(1e-3, "Learning rate", "Constant learning rate.", gt=0, le=1)
    averaging: float = _number(
        0.9, "Weight averaging", "Momentum of the running average of the weights, 0 (off) to 1.", ge=0, lt=1
    )
    seed: int = _number(0, "Seed", "Start of all random numbers.", ge=0, le=2**31 - 1)

    def training(self, start: TrainingSettings) -> TrainingSettings:
        """Return the recipe that the start was trained with, in even steps, without an end, and with much
        augmentation: a few labels are seen again and again.

        The weights of loss and classes stay, since its probabilities, and so its threshold, follow from them.
        """
        changes = {
            "start": self.start,
            "minutes": None,
            "epochs": None,
            "slices": None,
            "validate_slices": None,
            "hold_out": False,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "warm_up": 0.0,
            "anneal": False,
            "averaging": self.averaging,
        }
        return start.model_copy(update=changes | _STRONG_AUGMENTATION)


class PredictionSettings(Settings):
    """What one prediction does."""

    slices: SliceRange | None = Field(
        None, title="Slices", description="Slices to predict, first:end (half-open); all when not given."
    )
    threshold: float | None = Field(
        None,
        title="Threshold",
        ge=0,
        le=1,
        description="Boundary probability from which a pixel is boundary, 0 to 1; "
        "the run's own when not given.",
    )
    average_orientations: bool = Field(
        True,
        title="Average orientations",
        description="Mean over the eight flips and turns: better, and eight times slower. "
        "Used for `compact` only; the others have none in their recipe.",
    )
    close_gaps: bool = Field(
        True,
        title="Close gaps",
        description="Where a membrane is strong as a whole, close its gaps by a line one pixel thin.",
    )
    missing_is_empty: bool = _missing_is_empty()
    tile_px: int = _number(
        2304,  # a block of an output with the margin in which its gaps are closed is one tile
        "Tile size (px)",
        "Side of the tiles into which a large slice is cut, in pixels; a multiple of 32. Tiles leave no "
        "seam; smaller ones take less memory and more time.",
        ge=64,
        le=8192,
        multiple_of=32,
    )
    threads: int = _number(
        0, "Threads", "Processor threads to use; 0 = as many as the process may.", ge=0, le=1024
    )


class EvaluationSettings(Settings):
    """What one evaluation compares."""

    slices: SliceRange | None = Field(
        None,
        title="Slices",
        description="Labelled slices to score, first:end (half-open); when not given, all that the run "
        "was not trained on.",
    )
    threshold: float | None = Field(
        None,
        title="Threshold",
        ge=0,
        le=1,
        description="Interior probability above which a pixel is interior, 0 to 1; the run's own "
        "(one minus its boundary threshold) when not given, else 0.5.",
    )


class ErrorSettings(Settings):
    """Which merges and splits are shown."""

    smallest_px: int = Field(
        100,
        title="Smallest error (px)",
        ge=1,
        le=10_000_000,
        description="Joined cells and cut-off pieces with fewer pixels than this are passed over.",
    )


class InstanceSettings(Settings):
    """How a boundary probability becomes cells.

    The defaults were chosen on ISBI 2012 slices that the network had not seen, and the overlap on the
    phantom, whose cells are known through the slices (`benchmarks/README.md`).
    """

    link: bool = Field(
        False,
        title="Link through the slices",
        description="Give cells of neighbouring slices that overlap one number, so that a neurite keeps "
        "one colour; else every cell of every slice has a number of its own.",
    )
    size_px: int = Field(
        100,
        title="Smallest cell (px)",
        ge=0,
        le=10_000_000,
        description="Smaller fragments are joined to the neighbour with the weakest boundary, in pixels.",
    )
    neck_px: float = Field(
        6.0,
        title="Neck (px)",
        ge=0.25,
        le=1000,
        description="Where a gap in the boundary joins two cells, they start apart if the way through "
        "the gap is narrower, in half width, than both of them by at least this many pixels.",
    )
    join_below: float = Field(
        JOIN_BELOW,
        title="Join below",
        ge=0,
        le=1,
        description="Pieces become one cell where the mean boundary probability between them is lower "
        "than this, 0 to 1 (along more than 30 pixels a lower one counts as much): higher gives fewer "
        "and larger cells.",
    )
    seed_below: float = _number(
        0.25,
        "Interior below",
        "Boundary probability below which a pixel is surely interior, 0 to 1; cells start there.",
        gt=0,
        le=1,
    )
    outlines: bool = _number(
        False, "Outlines", "Leave one pixel of 0 where two cells touch; else every pixel is in a cell."
    )
    overlap: float = _number(
        0.1,
        "Least overlap",
        "Cells of two slices are linked from this overlap on (shared pixels divided by those of "
        "either), 0 to 1.",
        gt=0,
        le=1,
    )
    gap_slices: int = _number(
        1,
        "Gap (slices)",
        "Slices, such as damaged ones, over which a cell that has ended may be linked again.",
        ge=0,
        le=20,
    )
    missing_is_empty: bool = _missing_is_empty()


class ExportSettings(Settings):
    """What an export of training labels writes."""

    which: Literal["confirmed", "labelled", "all"] = Field(
        "confirmed", title="Slices", description="Confirmed slices, slices with any label, or all slices."
    )
    file_format: Literal["TIFF stack", "numbered PNGs"] = Field(
        "TIFF stack",
        title="Format",
        description="One TIFF file for images and one for labels, or folders of numbered PNG files.",
    )
    allow_unlabelled: bool = Field(
        False,
        title="With unlabelled pixels",
        description="Also export slices that have unlabelled pixels; these are written as 128.",
    )
    include_proposals: bool = Field(
        False,
        title="With unconfirmed proposals",
        description="Count pixels that the network proposed and nobody confirmed as labels.",
    )
    missing_is_empty: bool = _missing_is_empty()


def is_advanced(field: FieldInfo) -> bool:
    """Say whether a field folds away under 'Advanced'."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("advanced"))


def is_range(field: FieldInfo) -> bool:
    """Say whether a field is a range of slices, written FIRST:END."""
    return "tuple" in str(field.annotation)


def validated(settings_class: type[S], **values: Any) -> S:
    """Make settings, turning pydantic's report into a sentence.

    Raises
    ------
    UserError
        Naming the field, the value and the limit.
    """
    try:
        return settings_class(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        field = settings_class.model_fields.get(name)
        title = field.title if field and field.title else name
        reason = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{title}: {reason} (given: {first['input']!r}).") from None
