"""How a training spends its time: when epochs end and how the learning rate moves."""

from __future__ import annotations

import math
import time

from emseg_napari.settings import TrainingSettings


class Schedule:
    """Counts steps and seconds against what the settings allot.

    A training in minutes follows the clock, so it always anneals on time however fast the
    machine is; a training in epochs follows its steps, so it repeats exactly.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    """

    def __init__(self, settings: TrainingSettings, step: int = 0, earlier_seconds: float = 0.0) -> None:
        self._settings = settings
        self.step = step
        self._started = time.monotonic() - earlier_seconds
        self._epoch_began = earlier_seconds

    @property
    def seconds(self) -> float:
        """Training time so far in seconds, earlier sessions of a resumed run included."""
        return time.monotonic() - self._started

    @property
    def _allotted_seconds(self) -> float:
        return 60 * (self._settings.minutes or 3.0)

    @property
    def fraction(self) -> float:
        """Part of the allotted time or steps that is used, 0 to 1."""
        s = self._settings
        if s.epochs is not None:
            return min(1.0, self.step / (s.epochs * s.steps_per_epoch))
        return min(1.0, self.seconds / self._allotted_seconds)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None before the first step."""
        if self._settings.epochs is None:
            return max(0.0, self._allotted_seconds - self.seconds)
        return self.seconds / self.fraction * (1 - self.fraction) if self.step else None

    @property
    def epoch_is_over(self) -> bool:
        """Say whether the step just done closes an epoch.

        In a training by the clock an epoch is a twentieth of the time, 4 to 60 seconds.
        """
        s = self._settings
        if s.epochs is not None:
            return self.step % s.steps_per_epoch == 0
        length = min(60.0, max(4.0, self._allotted_seconds / 20))
        return self.seconds - self._epoch_began >= length or self.fraction >= 1

    def begin_epoch(self) -> None:
        """Start counting the next epoch's time now."""
        self._epoch_began = self.seconds

    @property
    def learning_rate(self) -> float:
        """A linear rise, then a cosine down to one hundredth of the peak."""
        s, fraction = self._settings, self.fraction
        if fraction < s.warm_up:
            return s.learning_rate * max(0.01, fraction / s.warm_up)
        if not s.anneal:
            return s.learning_rate
        position = (fraction - s.warm_up) / (1 - s.warm_up)
        return s.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * position)))
