"""A session that is autosaved, and what of it is on disk."""

from __future__ import annotations

import numpy as np

from emseg_napari.annotation.session.store import Session
from emseg_napari.io import stacks

SHAPE = (6, 40, 50)


def a_session(image_path=None):
    image = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    if image_path is not None and not image_path.exists():
        stacks.write_stack(image_path, image)
    return Session(image_path, image, np.zeros(SHAPE, np.uint8), name="membranes")


def paint(autosave, session, z, value=1):
    session.labels[z, z] = value
    autosave.record_edit(z, session.labels[z])


def slices_on_disk(folder):
    return sorted(int(path.stem) for path in folder.glob("labels*/[0-9]*.png"))
