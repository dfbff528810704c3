"""What the tests share."""

import os

os.environ["NAPARI_CONFIG"] = ""  # napari reads it once: the user's settings stay out of the tests

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

REAL_DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "isbi2012"

# A deadline would fail on a busy machine; the same examples every time make a failure repeatable.
settings.register_profile("emseg", deadline=None, derandomize=True, database=None)
settings.load_profile("emseg")


@pytest.fixture(autouse=True)
def settings_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the plugin's own settings: an empty one, never the user's."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_stack() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of the ISBI 2012 slices: uint8 (z, y, x), 1 = boundary, 2 = interior."""
    if not REAL_DATA.is_dir():
        pytest.skip("the ISBI 2012 slices (../shared/data/isbi2012) are not here")
    from emseg_napari.stacks import read_image, read_labels

    return read_image(REAL_DATA / "train-volume.tif"), read_labels(REAL_DATA / "train-labels.tif")
