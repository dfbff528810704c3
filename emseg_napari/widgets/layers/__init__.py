"""What stands in napari's layers: labels, proposals, volumes, sessions."""
