"""napari's notice that PyQt5 is deprecated: with our own launcher it stands in the terminal."""

from __future__ import annotations

import sys

from napari.qt import get_qapp
from napari.utils.notifications import Notification, notification_manager


def keep_notice_off_canvas() -> None:
    """Write the notice to the terminal and not over the canvas; to be called before the first viewer."""
    get_qapp()  # connects what shows notices, and what is connected later hears of them first
    notification_manager.notification_ready.connect(_show_in_terminal)


def _show_in_terminal(notification: Notification) -> None:
    if "PyQt5 backend" in str(notification.message):
        notification.blocked = True  # nothing else hears of it
        sys.stderr.write(f"{notification.message}\n")
