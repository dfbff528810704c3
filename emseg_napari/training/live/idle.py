"""When live learning rests: nothing new to learn, the user's pause, or a computer on its battery."""

from __future__ import annotations

import time

import psutil

WAITING = "waiting for corrections"
PAUSED = "paused"
ON_BATTERY = "on battery: waiting for mains power"

_POWER_SECONDS = 5.0


class IdlePolicy:
    """Says why to rest.

    Parameters
    ----------
    idle_seconds : float
        How long learning goes on after the last correction.
    despite_battery : bool
        Whether it goes on without mains power.
    """

    def __init__(self, idle_seconds: float, despite_battery: bool) -> None:
        self._idle_seconds, self._despite_battery = idle_seconds, despite_battery
        self._looked, self._on_battery = float("-inf"), False
        self._asked, self._words = time.monotonic(), ""
        self.wake()

    def wake(self) -> None:
        """There is something new to learn."""
        self._left = self._idle_seconds

    def reason(self, paused: bool, labelled: bool) -> str:
        """Return why to rest now, in words; nothing if there is no reason.

        Ask often: the time until idleness runs only while there was none.
        """
        now = time.monotonic()
        if not self._words:
            self._left -= now - self._asked
        self._asked, self._words = now, self._reason(paused, labelled)
        return self._words

    def _reason(self, paused: bool, labelled: bool) -> str:
        if paused:
            return PAUSED
        if not labelled or self._left < 0:
            return WAITING
        return ON_BATTERY if self._without_power() else ""

    def _without_power(self) -> bool:
        if self._despite_battery:
            return False
        if time.monotonic() - self._looked > _POWER_SECONDS:
            self._looked, self._on_battery = time.monotonic(), on_battery()
        return self._on_battery


def on_battery() -> bool:
    """Say whether the computer runs on its battery; False where nobody knows."""
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):  # not on every system
        return False
    return battery is not None and battery.power_plugged is False
