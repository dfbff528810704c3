"""Datasets for webKnossos, read back by its own library.

That library cannot be installed beside napari, so it has an environment of its own, which `.ci/setup` makes
below `.venv`. With EMSEG_TESTS_NEED_ALL, as `.ci/test` sets it, a missing one is a failure.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emseg_napari.io.convert import Conversion, convert
from emseg_napari.io.pyramid import reduced
from emseg_napari.io.volume import Voxel, volume_of

READER = Path(__file__).parents[1] / "helpers" / "webknossos_reader.py"
EM = Voxel((0.05, 0.0046, 0.0046), "micrometer")
ORIGIN = (0.15, 0.023, 0.0138)  # voxels 3, 5, 3


@pytest.fixture(scope="module")
def library() -> str:
    """The Python that has webKnossos' library."""
    python = os.environ.get("EMSEG_WEBKNOSSOS_PYTHON") or str(Path(sys.prefix) / "webknossos/bin/python")
    if not Path(python).exists():
        missing = f"{python} is not there; .ci/setup makes it"
        if os.environ.get("EMSEG_TESTS_NEED_ALL"):
            pytest.fail(missing)
        pytest.skip(missing)
    return python


def read(library: str, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    values = folder.parent / "values.npz"
    done = subprocess.run([library, READER, folder, values], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(values) as voxels:
        return json.loads(done.stdout), dict(voxels)


def test_webknossos_reads_cells_with_their_image_and_an_annotation(library, tmp_path):
    numbers = np.random.default_rng(0).integers(0, 9000, (40, 6, 11))
    cells = np.kron(numbers, np.ones((1, 100, 100), int)).astype(np.int32)
    image = np.random.default_rng(1).integers(0, 256, cells.shape).astype(np.uint8)
    volume, below = (volume_of(one, "stack", EM, ORIGIN) for one in (cells, image))
    convert(Conversion(volume, tmp_path / "rat", "webknossos", labels=True, image=below))
    found, voxels = read(library, tmp_path / "rat")
    assert (found["name"], found["unit"]) == ("rat", "nanometer")
    assert found["voxel"] == pytest.approx([4.6, 4.6, 50])
    place = {"begin": [3, 5, 3], "shape": [1100, 600, 40]}
    segmentation, color = (found["layers"][name] for name in ("segmentation", "color"))
    assert segmentation | place == segmentation
    assert color | place == color
    assert (segmentation["category"], segmentation["dtype"]) == ("segmentation", "uint32")
    assert (color["category"], color["dtype"]) == ("color", "uint8")
    assert segmentation["largest"] == cells.max()
    assert segmentation["mags"][:2] == ["1", "2-2-1"]
    assert (cells == voxels["segmentation 1"].T).all()
    assert (image == voxels["color 1"].T).all()
    for name, values, labels in (("segmentation", cells, True), ("color", image, False)):
        whole = np.pad(
            values, [(0, 0), (1, 1), (1, 1)], mode="edge"
        )  # to voxels that are even from the origin
        assert (reduced(whole, (1, 2, 2), labels) == voxels[f"{name} 2-2-1"].T).all()
    annotation = found["annotation"]
    assert annotation | place == annotation
    assert (annotation["dataset"], annotation["layers"]) == ("rat", ["Cells"])
    assert annotation["largest"] == cells.max()
    assert (cells == voxels["annotation"].T).all()


def test_webknossos_reads_a_probability(library, tmp_path):
    probability = np.random.default_rng(2).random((3, 40, 50)).astype(np.float32)
    convert(Conversion(volume_of(probability, "p", EM), tmp_path / "p", "webknossos"))
    found, voxels = read(library, tmp_path / "p")
    assert found["layers"]["color"]["dtype"] == "float32"
    assert (probability == voxels["color 1"].T).all()
    assert "annotation" not in found
