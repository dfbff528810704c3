"""``emseg export``."""

from emseg_napari.cli.guard import guarded


@guarded
def export() -> None:
    """Write training labels."""
