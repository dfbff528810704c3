"""Mailbox between threads that keeps only the newest message of each kind."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any


class Mailbox:
    """Keeps the newest message of each kind until it is read; for any thread.

    A slow reader misses what is out of date, but never the newest message, and posting never waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Any] = {}
        self._posted = threading.Condition()

    def post(self, kind: Hashable, message: Any) -> None:
        """Put a message in, in place of an older one of that kind."""
        with self._posted:
            self._waiting[kind] = message
            self._posted.notify_all()

    def take_all(self, seconds: float | None = 0.0) -> list[Any]:
        """Remove and return all messages; wait for one up to `seconds`, for ever if None."""
        with self._posted:
            self._posted.wait_for(lambda: bool(self._waiting), seconds)
            messages = list(self._waiting.values())
            self._waiting.clear()
            return messages
