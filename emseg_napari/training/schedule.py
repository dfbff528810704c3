"""Schedule of a training: when epochs and the training end, and the learning rate of each step."""

from __future__ import annotations

import math
import time
from collections.abc import Collection

import numpy as np

from emseg_napari.settings import TrainingSettings

# For what follows the last step (scores, blending, export, thresholds), until `reserve` knows better.
_ENDING_SECONDS = 10.0
_EPOCH_SECONDS = 8.0, 60.0
_PREVIEW_SECONDS = 8.0


class Schedule:
    """Steps and seconds of a training against what its settings allow.

    A training in minutes follows the clock, so it anneals on time on any machine;
    a training in epochs follows its steps, so it repeats exactly.

    Parameters
    ----------
    settings : TrainingSettings
    spent : numpy.ndarray, optional
        (steps, 2), learning rate and seconds of the steps that were done before.
    late_seconds : float
        Seconds of these minutes that passed before the first step, such as TensorFlow's import.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    """

    def __init__(
        self, settings: TrainingSettings, spent: np.ndarray | None = None, late_seconds: float = 0.0
    ) -> None:
        self._settings = settings
        self.step = 0 if spent is None else len(spent)
        earlier = float(spent[-1, 1]) if self.step and spent is not None else 0.0
        self._started = time.monotonic() - earlier
        self._epoch_began = self._previewed = earlier
        self._late_seconds, self._ending_seconds = late_seconds, _ENDING_SECONDS

    def reserve(self, seconds: float) -> None:
        """Keep so many seconds of the training's minutes for what follows the last step."""
        self._ending_seconds = seconds

    @property
    def _allotted_seconds(self) -> float:
        budget = 60 * (self._settings.minutes or 3.0)
        # Two fifths are for training even where the time is too short for the rest.
        return max(0.4 * budget, budget - self._late_seconds - self._ending_seconds)

    @property
    def seconds(self) -> float:
        """Training time so far in seconds, earlier sessions of a resumed run included, pauses not."""
        return time.monotonic() - self._started

    def pause(self, seconds: float) -> None:
        """Sleep for some seconds that do not count."""
        began = time.monotonic()
        time.sleep(seconds)
        self._started += time.monotonic() - began

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

        In a training by the clock an epoch is a twentieth of the time, 8 to 60 seconds.
        """
        s = self._settings
        if s.epochs is not None:
            return self.step % s.steps_per_epoch == 0
        shortest, longest = _EPOCH_SECONDS
        length = min(longest, max(shortest, self._allotted_seconds / 20))
        return self.seconds - self._epoch_began >= length or self.fraction >= 1

    def start_epoch(self) -> None:
        """Measure the next epoch's time from now."""
        self._epoch_began = self._previewed = self.seconds

    def preview_is_due(self) -> bool:
        """Say whether a preview is due; if so, the next one is due after the same time."""
        due = self.seconds - self._previewed >= _PREVIEW_SECONDS
        if due:
            self._previewed = self.seconds
        return due

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step: a linear rise, then a cosine down to a hundredth of the peak."""
        s, fraction = self._settings, self.fraction
        if fraction < s.warm_up:
            return s.learning_rate * max(0.01, fraction / s.warm_up)
        if not s.anneal:
            return s.learning_rate
        position = (fraction - s.warm_up) / (1 - s.warm_up)
        return s.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * position)))


class Replay(Schedule):
    """Schedule of an earlier training, repeated step by step.

    A training by the clock repeats exactly only with the learning rates that the clock gave it.

    Parameters
    ----------
    settings : TrainingSettings
    rates : numpy.ndarray
        Learning rate of every step.
    epoch_ends : collection of int
        The steps after which its epochs ended.
    spent : numpy.ndarray, optional
        See `Schedule`.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        rates: np.ndarray,
        epoch_ends: Collection[int],
        spent: np.ndarray | None = None,
    ) -> None:
        super().__init__(settings, spent)
        self._rates, self._epoch_ends = rates, frozenset(epoch_ends)

    @property
    def fraction(self) -> float:
        """Part of the steps that is done, 0 to 1."""
        return min(1.0, self.step / len(self._rates))

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None before the first step."""
        return self.seconds / self.fraction * (1 - self.fraction) if self.step else None

    @property
    def epoch_is_over(self) -> bool:
        """Say whether an epoch of the earlier training, or all of it, ended here."""
        return self.step in self._epoch_ends or self.step == len(self._rates)

    @property
    def learning_rate(self) -> float:
        """Learning rate that this step had."""
        return float(self._rates[min(self.step, len(self._rates) - 1)])
