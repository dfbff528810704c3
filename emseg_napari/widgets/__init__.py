"""The window: the only room that knows napari and Qt. It calls the floors below and holds no logic of its own."""
