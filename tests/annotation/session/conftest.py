"""An autosave, and work without a name."""

import pytest

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.recovery import new_recovery
from helpers.sessions import a_session
from helpers.timing import PATIENCE_S


@pytest.fixture
def errors():
    return []


@pytest.fixture
def autosave(errors):
    saver = Autosave(errors.append)
    yield saver
    assert saver.close(PATIENCE_S)


@pytest.fixture
def unsaved(autosave, tmp_path):
    """Work without a name on an image that has a file."""
    session = a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), session)
    return session
