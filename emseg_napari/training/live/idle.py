"""Idle policy of live learning: nothing new to learn, paused by the user, or on battery.

Without it the computer would calculate as long as the window is open.
"""

from __future__ import annotations

import time

import psutil

WAITING = "waiting for corrections"
PAUSED = "paused"
ON_BATTERY = "on battery: waiting for mains power"

_POWER_SECONDS = 5.0


class IdlePolicy:
    """Decision whether live learning is idle, and why.

    Parameters
    ----------
    idle_seconds : float
        How long learning continues after the last correction, in seconds.
    despite_battery : bool
        Whether it continues without mains power.
    """

    def __init__(self, idle_seconds: float, despite_battery: bool) -> None:
        self._idle_seconds, self._despite_battery = idle_seconds, despite_battery
        self._power_checked, self._on_battery = float("-inf"), False
        self._checked, self._reason_now = time.monotonic(), ""
        self.wake()

    def wake(self) -> None:
        """Continue: there is something new to learn."""
        self._left = self._idle_seconds

    def reason(self, paused: bool, labelled: bool) -> str:
        """Return why learning is idle now, in words; empty if it is not.

        To be called often: the time of `idle_seconds` runs only while learning was not idle.
        """
        now = time.monotonic()
        if not self._reason_now:
            self._left -= now - self._checked
        self._checked, self._reason_now = now, self._reason(paused, labelled)
        return self._reason_now

    def _reason(self, paused: bool, labelled: bool) -> str:
        if paused:
            return PAUSED
        if not labelled or self._left < 0:
            return WAITING
        return ON_BATTERY if self._without_power() else ""

    def _without_power(self) -> bool:
        if self._despite_battery:
            return False
        if time.monotonic() - self._power_checked > _POWER_SECONDS:
            self._power_checked, self._on_battery = time.monotonic(), on_battery()
        return self._on_battery


def on_battery() -> bool:
    """Say whether the computer runs on its battery; False where this is not known."""
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):  # not on every system
        return False
    return battery is not None and battery.power_plugged is False
