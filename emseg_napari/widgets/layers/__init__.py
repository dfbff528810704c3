"""The contents of napari layers: labels, proposals, volumes, sessions."""
