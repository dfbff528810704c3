"""Settings of live learning: training that continues while the user corrects."""

from __future__ import annotations

from pydantic import Field

from emseg_napari.settings.base import SCALE_LIMITS, Settings, advanced
from emseg_napari.settings.training import OTHER_MICROSCOPES, TrainingSettings, applies, no_effect


class LiveSettings(Settings):
    """Settings of one live learning."""

    start: str = Field(
        "starter",
        title="Start from",
        description="Run whose weights to start from, or 'starter', the network that comes with the package.",
    )
    scale: float | None = Field(
        None,
        title="Scale",
        description="By how much slices are enlarged (2 = twice as many pixels along each side) or shrunk "
        "(0.5) for the network, in this learning and in predictions of its run; that of the start when not "
        "given. For `compact` only.",
        **SCALE_LIMITS,
    )
    idle_seconds: float = Field(
        30.0,
        title="Idle after (s)",
        gt=0,
        le=3600,
        description="Seconds after the last correction at which learning stops until the next one.",
    )
    on_battery: bool = Field(
        False,
        title="On battery",
        description="Learn without mains power, too; off: it waits until the computer is plugged in.",
    )
    recent: float = advanced(
        0.5,
        "Recent corrections",
        "Part of the patches that is cut around the latest corrections, 0 to 1; the others come from all "
        "labels.",
        ge=0,
        le=1,
    )
    anchor_weight: float = advanced(
        30.0,
        "Anchor weight",
        "How strongly the network keeps the predictions of its start on unlabelled pixels, 0 (not at all) to "
        "1000; without it a few strokes make it forget what it had learned.",
        ge=0,
        le=1000,
    )
    learning_rate: float = advanced(1e-3, "Learning rate", "Constant learning rate.", gt=0, le=1)
    averaging: float = advanced(
        0.9, "Weight averaging", "Momentum of the running average of the weights, 0 (off) to 1.", ge=0, lt=1
    )
    blend: float = advanced(
        0.5,
        "Blend",
        "Weights of the network that is shown and kept, from those of its start (0) to the learned ones (1): "
        "at 1 it forgets what it had learned, at 0.5 it improves on slices without corrections, too.",
        ge=0,
        le=1,
    )
    seed: int = advanced(0, "Seed", "Seed of all random numbers.", ge=0, le=2**31 - 1)

    def training(self, start: TrainingSettings) -> TrainingSettings:
        """Return the recipe of the start with a constant learning rate, no end and strong augmentation.

        Strong augmentation, because a few labels are seen again and again. The weights of loss and classes
        stay, since its probabilities, and so its threshold, follow from them.

        Raises
        ------
        UserError
            If a scale is given that its network cannot have.
        """
        if self.scale not in (None, start.scale) and not applies("scale", start.network):
            raise no_effect("scale", start.network)
        changes = {
            "start": self.start,
            "minutes": None,
            "epochs": None,
            "slices": None,
            "validate_slices": None,
            "hold_out": False,
            "scale": start.scale if self.scale is None else self.scale,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "anchor_weight": self.anchor_weight,
            "warm_up": 0.0,
            "anneal": False,
            "averaging": self.averaging,
        }
        return start.model_copy(update=changes | OTHER_MICROSCOPES)
