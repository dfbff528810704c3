"""napari's notice that PyQt5 is deprecated: with our own launcher it stands in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import notification_manager


@contextmanager
def notice_in_terminal() -> Iterator[None]:
    """Write the notice to the terminal and not over the canvas, while the body opens the first window."""
    records = notification_manager.records
    before = len(records)
    with notification_manager.notification_ready.blocker():
        yield
    for notification in records[before:]:
        if "PyQt5 backend" in str(notification.message):
            sys.stderr.write(f"{notification.message}\n")
        else:
            notification_manager.notification_ready(notification)
