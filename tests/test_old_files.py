"""Files that an earlier version wrote open, and mean what they meant (`tests/data/written_by_a83356d`)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emseg_napari.annotation.session.store import Placement, Round, load_session
from emseg_napari.cli import app
from emseg_napari.core.jobs import UserError
from emseg_napari.inference import predict
from emseg_napari.io.open import open_volume, read_whole
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import open_run
from emseg_napari.settings import CellSettings, PredictionSettings
from helpers.paths import TEST_DATA

WRITTEN = TEST_DATA / "written_by_a83356d"
SLICES = PredictionSettings(slices=(1, 5))


@pytest.fixture
def written(tmp_path) -> Path:
    """A copy of the files, which may be written to."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "written"))


def emseg(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("name", "threshold", "epochs"), [("ridge", 0.8, 1), ("trees", 0.55, 1), ("compact", 0.75, 2)]
)
def test_runs_open(name, threshold, epochs):
    run = open_run(WRITTEN / name)
    assert run.settings.network == name
    assert run.record.finished
    assert run.record.threshold == pytest.approx(threshold)
    assert len(run.history) == epochs
    written = json.loads((WRITTEN / name / "run.json").read_text())
    assert run.record.merge_threshold == written["join_below"]
    assert name in emseg("info", WRITTEN / name)


def test_a_run_predicts_what_it_predicted():
    image = read_image(WRITTEN / "image.tif")
    np.testing.assert_array_equal(
        predict(image, WRITTEN / "ridge", SLICES), read_image(WRITTEN / "probability.tif")
    )
    for name in ("trees", "compact"):
        assert predict(image, WRITTEN / name, SLICES).shape == (4, 96, 96)


def test_the_starter_is_found_where_earlier_versions_had_it(tmp_path):
    for place in (Path("/opt/emseg_napari/starter"), tmp_path / "emseg_napari" / "starter"):
        assert open_run(place).settings.network == "compact"
    with pytest.raises(UserError, match="not a run folder"):
        open_run(tmp_path / "starter")


def test_a_record_that_is_changed_is_written_by_the_present_name(written):
    open_run(written / "ridge").update(threshold=0.6)
    record = json.loads((written / "ridge" / "run.json").read_text())
    assert "merge_threshold" in record
    assert "join_below" not in record
    assert open_run(written / "ridge").record.threshold == 0.6


@pytest.mark.parametrize("name", ["referring.emseg", "copied.emseg"])
def test_sessions_open(written, name):
    session = load_session(written / name)
    np.testing.assert_array_equal(session.labels, np.load(written / "states.npz")["states"])
    np.testing.assert_array_equal(session.image, read_image(written / "image.tif"))
    assert session.confirmed == {0, 2}
    assert session.run == written / "ridge"
    assert session.rounds == [Round("2026-11-29T10:00:00", "ridge", 2, 2, (1, 2), 0.91, 0.92, 0.93)]
    assert session.settings == {"tab": "Correct"}
    assert session.name == "my labels"
    place = Placement((50.0, 4.0, 4.0), (0.0, 8.0, 8.0), "nanometer")
    assert session.image_place == session.labels_place == place
    assert not session.warnings


@pytest.mark.parametrize("file", json.loads((WRITTEN / "scores.json").read_text()))
def test_predictions_score_what_they_scored(file):
    expected = json.loads((WRITTEN / "scores.json").read_text())[file]
    found = json.loads(emseg("evaluate", WRITTEN / file, WRITTEN / "truth.tif", "--slices", "1:5", "--json"))
    assert found["kind"] == file.split(".")[0]
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("source", "options", "cells"),
    [
        ("probability.tif", ("--link",), "cells.tif"),
        ("interior.tif", ("--link",), "cells.tif"),
        ("probability.zarr", ("--merge-threshold", 0.6), "cells.zarr"),  # 8 bit, other than in a TIFF
        ("interior.zarr", ("--merge-threshold", 0.6), "cells.zarr"),
    ],
)
def test_cells_are_those_that_were_found_then(source, options, cells, tmp_path):
    emseg("segment", WRITTEN / source, "--output", tmp_path / "cells.tif", *options)
    np.testing.assert_array_equal(
        read_image(tmp_path / "cells.tif"), read_whole(open_volume(WRITTEN / cells))
    )


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("cells.tif", "cells"),
        ("cells.zarr", "merge_threshold 0.6"),
        ("interior.zarr", "predicted by the run ridge"),
        ("labels.tif", "threshold 0.80"),
    ],
)
def test_info_reads_their_records(file, words):
    assert words in emseg("info", WRITTEN / file)


def test_cells_that_were_broken_off_are_completed_to_the_same_bytes(written):
    """The record names its settings and its source as that version did; the source has moved with it."""
    metadata = written / "cells.zarr" / "zarr.json"
    metadata.write_text(metadata.read_text().replace("/data/interior.zarr", str(written / "interior.zarr")))
    blocks = written / "cells.zarr" / "0" / "c"
    lost = blocks / "2" / "0" / "0"
    content = lost.read_bytes()
    lost.unlink()
    emseg("segment", written / "interior.zarr", "--output", written / "cells.zarr", "--merge-threshold", 0.6)
    assert lost.read_bytes() == content
    assert read_whole(open_volume(written / "cells.zarr")).max() > 0


def test_settings_are_read_under_their_old_names():
    assert CellSettings(**{"join_below": 0.6}) == CellSettings(merge_threshold=0.6)
    for averaged, orientations in ((True, 8), (False, 1)):
        found = PredictionSettings(**{"average_orientations": averaged})
        assert found == PredictionSettings(orientations=orientations)


@pytest.mark.parametrize("name", ["export", "export-pngs"])
def test_exports_are_read_as_training_data(name):
    image, labels = (path for path in sorted((WRITTEN / name).iterdir()) if path.suffix != ".json")
    np.testing.assert_array_equal(read_image(image), read_image(WRITTEN / "image.tif")[:3])
    np.testing.assert_array_equal(read_labels(labels), read_labels(WRITTEN / "truth.tif")[:3])
