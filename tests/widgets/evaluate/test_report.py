"""Scores and report as files."""

import csv
import threading

import numpy as np

from emseg_napari.widgets.evaluate.report import report_of
from helpers.evaluations import IMAGE, assert_complaint
from helpers.window import wait_for


def test_scores_and_report_are_written_from_the_window(evaluated, qtbot, tmp_path):
    evaluated.write_csv(tmp_path / "scores.csv")
    evaluated.write_report(tmp_path / "report.html")
    wait_for(qtbot, lambda: (tmp_path / "report.html").exists() and (tmp_path / "scores.csv").exists())
    wait_for(qtbot, lambda: evaluated.status.text().startswith("Wrote"))
    with open(tmp_path / "scores.csv", newline="") as file:
        assert [row["slice"] for row in csv.DictReader(file)][:4] == ["1", "2", "4", "5"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "found against truth" in page
    assert page.count("<img") == 12  # three slices, four pictures each
    assert "1-2, 4-5" in page
    assert "those of slice 5, on which the run was trained, do not count" in page
    assert "napari" in page


def test_the_report_shows_the_image_that_was_predicted_and_is_made_beside_the_window(
    evaluated, qtbot, tmp_path, monkeypatch
):
    reports = []
    monkeypatch.setattr(
        "emseg_napari.widgets.evaluate.step.report_of",
        lambda *given: reports.append((report_of(*given), threading.current_thread())) or reports[0][0],
    )
    evaluated.workspace.choose("image", evaluated.viewer.add_image(255 - IMAGE, name="of the same size"))
    evaluated.write_report(tmp_path / "report.html")
    wait_for(qtbot, lambda: evaluated.status.text().startswith("Wrote"))
    ((report, thread),) = reports
    assert thread is not threading.main_thread()
    assert all(np.array_equal(one.image, IMAGE[one.z]) for one in report.pictures)


def test_a_file_that_cannot_be_written_is_a_sentence(evaluated, qtbot, tmp_path):
    evaluated.write_csv(tmp_path / "missing" / "scores.csv")
    wait_for(qtbot, lambda: "missing" in evaluated.status.text() and evaluated.is_wrong)
    assert_complaint(evaluated, "does not exist")
