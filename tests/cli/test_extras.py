"""Commands in a base installation, without what the extras bring: a sentence, and nothing is written."""

import sys

import numpy as np
import pytest
import tensorstore
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.io.stacks import write_stack


def run(*arguments: object) -> str:
    """Run a command that refuses its input; return its sentence."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.fixture
def without(monkeypatch):
    """Let packages seem not installed."""
    return lambda *names: [monkeypatch.setitem(sys.modules, name, None) for name in names]


@pytest.mark.parametrize("driver", ["n5", "neuroglancer_precomputed"])
def test_a_volume_that_tensorstore_reads_is_refused_without_it(driver, tmp_path, without):
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{tmp_path / 'volume'}/"}}
    shape = [8, 8, 8, 1][: 3 if driver == "n5" else 4]
    tensorstore.open(spec, create=True, dtype=tensorstore.uint8, shape=shape).result()[:] = 1
    without("tensorstore")
    said = run("info", tmp_path / "volume")
    assert 'pip install "emseg-napari[stores]"' in said


def test_an_address_is_refused_without_tensorstore(without):
    without("tensorstore")
    assert 'pip install "emseg-napari[stores]"' in run("info", "s3://bucket/brain.zarr")


def test_a_training_of_trees_is_refused_without_scikit_learn(tmp_path, without):
    image = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    write_stack(tmp_path / "image.tif", image)
    write_stack(tmp_path / "labels.tif", np.where(image > 99, 255, 0).astype(np.uint8))
    without("sklearn", "sklearn.ensemble")
    arguments = (tmp_path / "image.tif", tmp_path / "labels.tif", "--convention", "isbi")
    said = run("train", *arguments, "--network", "trees", "--output", tmp_path / "run")
    assert 'pip install "emseg-napari[trees]"' in said
    assert not (tmp_path / "run").exists()
