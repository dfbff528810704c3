"""How long tests wait, on machines that may be busy with other things."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 60.0  # for what comes in the end, and nobody has promised when


def within(seconds: float) -> float:
    """Return how long a busy machine may take for what is promised within some seconds."""
    return 3 * seconds


def wait_until(true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until a condition holds; where a window has to be served, use `window.wait_for`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def settled(look: Callable[[], T], seconds: float = 0.5) -> T:
    """Wait until something has stayed the same for a while, and return it."""
    end, last, since = time.monotonic() + PATIENCE_S, look(), time.monotonic()
    while time.monotonic() < since + seconds:
        assert time.monotonic() < end, "it went on and on"
        time.sleep(0.01)
        if (now := look()) != last:
            last, since = now, time.monotonic()
    return last
