import base64
import csv
import re
from html.parser import HTMLParser

import imagecodecs
import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.report import (
    EvaluationReport,
    SlicePicture,
    error_counts,
    worst_slices,
    write_csv,
)
from emseg_napari.evaluation.report_figures import as_png, error_picture, grey
from emseg_napari.evaluation.report_html import report_html, write_report
from emseg_napari.evaluation.training_overlap import Overlap
from helpers.reviews import a_review, leaky
from helpers.window import striped

IMAGE, TRUTH = striped((6, 64, 64))
PREDICTED = leaky(leaky(leaky(TRUTH, 2, np.s_[4:9]), 4, np.s_[20:30]), 4, np.s_[36:46])
V_RAND = {1: 0.99, 2: 0.8, 4: 0.7, 5: 0.95}


@pytest.fixture
def review():
    return a_review(TRUTH, PREDICTED, V_RAND, trained=(5,))


@pytest.fixture
def report(review):
    return EvaluationReport(
        title="cells <proposal>",
        review=review,
        facts={"Run": "cells-compact & friends", "emseg-napari": "9.9"},
        notes=["Slice 5 was trained on."],
        overlap=Overlap(held_out=[2], unknown=[4]),
        pictures=[SlicePicture(z, IMAGE[z], TRUTH[z], PREDICTED[z] == 2) for z in (4, 2)],
    )


class Page(HTMLParser):
    """Text, pictures and unclosed tags of a page."""

    def __init__(self, html):
        super().__init__()
        self.text, self.pictures, self.open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])
        if tag not in ("meta", "img", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_data(self, data):
        self.text.append(data)


def test_the_worst_slices_come_first_and_errors_are_counted_by_slice(review):
    assert worst_slices(review.evaluation) == [4, 2, 1]  # 5 was trained on
    counts = error_counts(review)
    assert {z: counts[z]["merge"] for z in counts} == {1: 0, 2: 1, 4: 2, 5: 0}


def test_csv_has_a_row_for_each_slice_their_mean_and_the_mean_at_each_threshold(review, tmp_path):
    write_csv(tmp_path / "scores.csv", review, Overlap(held_out=[2], unknown=[4], assumed=[1, 2]))
    with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["slice"] for row in rows] == ["1", "2", "4", "5"] + ["mean"] * 12
    seen = ["new (by its number)", "held out (by its number)", "not known", "trained on"]
    assert [row["seen"] for row in rows] == seen + ["held out, not known"] * 12  # 5 does not count
    assert float(rows[2]["v_rand"]) == 0.7
    assert (rows[2]["merges"], rows[2]["splits"]) == ("2", "0")
    assert float(rows[4]["v_rand"]) == pytest.approx(0.83)  # without slice 5
    assert rows[4]["boundary_threshold"] == "0.65"
    assert [float(row["boundary_threshold"]) for row in rows[5:]] == [step / 10 for step in range(10, -1, -1)]
    assert float(rows[5 + 4]["v_rand"]) == pytest.approx(0.84)


def test_a_mean_over_trained_slices_is_marked_in_csv_and_page(tmp_path):
    review = a_review(TRUTH, PREDICTED, V_RAND, trained=tuple(V_RAND))
    write_csv(tmp_path / "scores.csv", review, Overlap(trained=list(V_RAND)))
    with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as file:
        assert {row["seen"] for row in csv.DictReader(file)} == {"trained on"}
    page = report_html(EvaluationReport("t", review, {}))
    assert "All scored slices were trained on: these figures prove nothing." in page


def test_the_page_tells_figures_notes_facts_and_the_source_and_is_whole(report):
    page = Page(report_html(report))
    assert page.open == []
    text = " ".join(page.text)
    for words in (
        "cells <proposal>",
        "0.8300",
        "0.8400 at 0.6",
        "0.0625",
        "at threshold 0.65",
        "threshold of the boundary probability",
        "The means are over slices 1-2, 4; those of slice 5, on which the run was trained, do not count.",
        "Slice 5 was trained on.",
        "By slice 2 the run chose its threshold and weights: the means are too high.",
        "cells-compact & friends",
        "9.9",
        "Merges: 3, splits: 0",
        "doi:10.3389/fnana.2015.00142",
    ):
        assert words in text


def test_the_page_says_of_each_slice_what_the_run_has_seen_of_it(report):
    rows = re.findall(r'<tr class="(\w*)"><td>(\d)</td>.*?<td>([^<]*)</td></tr>', report_html(report))
    assert rows == [
        ("", "1", ""),
        ("", "2", "held out"),
        ("", "4", "not known"),
        ("trained", "5", "trained on"),
    ]


def test_the_page_needs_no_other_file_and_shows_image_prediction_truth_and_errors(report):
    html = report_html(report)
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    shown = [decoded(source) for source in Page(html).pictures]
    assert len(shown) == 8
    image, prediction, truth, errors = shown[:4]
    np.testing.assert_array_equal(image, grey(IMAGE[4]))
    np.testing.assert_array_equal(prediction, np.where(PREDICTED[4] == 2, 255, 0))
    np.testing.assert_array_equal(truth, np.where(TRUTH[4] == 2, 255, 0))
    red = (errors[..., 0] > 200) & (errors[..., 1] < 100)
    assert red[25, 17]
    assert not red[50, 50]


def decoded(source):
    kind, data = source.split(",")
    assert kind == "data:image/png;base64"
    return imagecodecs.png_decode(base64.b64decode(data))


def test_without_an_image_the_errors_lie_over_the_prediction(review):
    pictures = [SlicePicture(4, None, TRUTH[4], PREDICTED[4] == 2)]
    html = report_html(EvaluationReport("labels", review, {}, pictures=pictures))
    assert len(Page(html).pictures) == 3


def test_a_page_without_errors_says_so():
    review = a_review(TRUTH, TRUTH, V_RAND)
    assert "<p>None.</p>" in report_html(EvaluationReport("perfect", review, {}))


def test_pictures_are_grey_from_the_darkest_to_the_brightest_and_large_ones_shrink():
    ramp = np.linspace(-5, 5, 2000, dtype=np.float32)[None].repeat(20, 0)
    shown = grey(ramp)
    assert (shown.min(), shown.max()) == (0, 255)
    assert (grey(np.full((3, 3), 7)) == 0).all()
    assert decoded(as_png(shown)).shape == (7, 667)
    errors = np.zeros(shown.shape, np.uint8)
    errors[10, 1000] = 1
    assert (decoded(as_png(error_picture(shown, errors)))[..., 1] < 60).any()


def test_files_are_written_whole_or_not_at_all(report, review, tmp_path):
    write_report(tmp_path / "page.html", report)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == report_html(report)
    for write, *what in ((write_report, report), (write_csv, review, Overlap())):
        with pytest.raises(UserError, match="does not exist"):
            write(tmp_path / "missing" / "file", *what)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
