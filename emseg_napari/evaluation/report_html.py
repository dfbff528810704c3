"""A report as one page: HTML with its pictures inside, to be mailed, printed and opened in any browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.core.owned_output import writing_file
from emseg_napari.evaluation.errors import error_map
from emseg_napari.evaluation.evaluation import Evaluation
from emseg_napari.evaluation.honesty import about_mean
from emseg_napari.evaluation.predictions import boundary_threshold
from emseg_napari.evaluation.report import EvaluationReport, SlicePicture, error_counts
from emseg_napari.evaluation.report_figures import (
    Curve,
    as_png,
    curves_svg,
    error_picture,
    grey,
    label_picture,
)
from emseg_napari.evaluation.review import Review
from emseg_napari.evaluation.training_overlap import Overlap

LARGEST_ERRORS = 10
V_RAND_COLOUR, V_INFO_COLOUR = "#d0541c", "#2f6fd0"
MEANING = (
    "V_rand and V_info compare the found cells with the true ones as the ISBI 2012 challenge did: 1 is "
    "perfect, the split part falls where a true cell was cut, the merge part where two were joined. "
    "Membranes are thinned first, so thick ones cost nothing, while one thin leak joins two cells and costs "
    "much. Compare whole slices only, since small crops score too high. The best of eleven thresholds is "
    "too optimistic, too: honest are figures of slices that the run has not seen, at a threshold that was "
    "chosen without them. Pixel error is the challenge's own, 1 - the best F-score of the interior."
)
CITATION = (
    "Arganda-Carreras I, Turaga SC, Berger DR, et al. Crowdsourcing the creation of image segmentation "
    "algorithms for connectomics. Front Neuroanat 9:142 (2015). doi:10.3389/fnana.2015.00142"
)


def write_report(path: str | Path, report: EvaluationReport) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    with writing_file(path) as temporary:
        temporary.write_text(report_html(report), encoding="utf-8")


def report_html(report: EvaluationReport) -> str:
    """Return the page: figures, curve, table of slices, pictures of the worst, settings."""
    sentences = filter(None, [about_mean(report.review.evaluation, report.overlap), *report.notes])
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in sentences)
    body = "".join(
        [
            f"<h1>{escape(report.title)}</h1>",
            notes,
            f"<div class=top>{_headline(report.review.evaluation)}{_curves(report.review.evaluation)}</div>",
            "<h2>Slices</h2>",
            _slices(report.review, report.overlap),
            "<h2>Worst slices</h2>" if report.pictures else "",
            *(_pictures(picture, report.review) for picture in report.pictures),
            "<h2>Largest errors</h2>",
            _errors(report.review),
            "<h2>What was compared</h2>",
            _table([], [(escape(name), escape(value)) for name, value in report.facts.items()]),
            f"<p>{escape(report.honesty)}</p>" if report.honesty else "",
            f"<p>{escape(MEANING)}</p><p>{escape(CITATION)}</p>",
        ]
    )
    head = f'<meta charset="utf-8"><title>{escape(report.title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


_STYLE = """
body { font: 14px/1.4 sans-serif; color: #222; max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin: 1.2em 0 0.3em; }
table { border-collapse: collapse; } td, th { padding: 2px 10px 2px 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } th { border-bottom: 1px solid #999; }
.top { display: flex; gap: 2em; flex-wrap: wrap; align-items: center; } .top svg { width: 30em; }
.note { background: #fff3d6; padding: 4px 8px; } .trained td { color: #999; }
figure { display: inline-block; width: 24%; margin: 0 0.5% 0.5em 0; } img { width: 100%; }
figcaption { font-size: 12px; } .merge { color: #d02818; } .split { color: #2f6fd0; }
@media print { body { margin: 0; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], classes: Iterable[str] = ()) -> str:
    """Make a table of cells that are HTML already."""
    marks = list(classes)
    top = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if head else ""
    lines = [
        f'<tr class="{marks[i] if marks else ""}">{"".join(f"<td>{cell}</td>" for cell in row)}</tr>'
        for i, row in enumerate(rows)
    ]
    return f"<table>{top}{''.join(lines)}</table>"


def _headline(evaluation: Evaluation) -> str:
    own, at = evaluation.at_threshold, boundary_threshold(evaluation.threshold)
    at_best = [boundary_threshold(one) for one in (evaluation.v_rand_threshold, evaluation.v_info_threshold)]
    rows = [
        ("V_rand", f"{own.v_rand:.4f}", f"{evaluation.v_rand:.4f} at {at_best[0]:.1f}"),
        ("V_info", f"{own.v_info:.4f}", f"{evaluation.v_info:.4f} at {at_best[1]:.1f}"),
        ("Pixel accuracy", f"{100 * own.accuracy:.2f} %", ""),
        ("Boundary F1", f"{own.boundary_f1:.4f}", ""),
        ("Boundary IoU", f"{own.boundary_iou:.4f}", ""),
        ("Pixel error", "", f"{evaluation.pixel_error:.4f}"),
    ]
    return _table(["Mean", f"at threshold {at:.2f}", "best (too optimistic)"], rows)


def _curves(evaluation: Evaluation) -> str:
    def curve(name: str, attribute: str, colour: str, best: tuple[float, float]) -> Curve:
        own = (evaluation.threshold, getattr(evaluation.at_threshold, attribute))
        marks = [(boundary_threshold(at), score) for at, score in (own, best)]
        return Curve(name, colour, [getattr(s, attribute) for s in evaluation.per_threshold], marks)

    best_rand = (evaluation.v_rand_threshold, evaluation.v_rand)
    best_info = (evaluation.v_info_threshold, evaluation.v_info)
    curves = [
        curve("V_rand", "v_rand", V_RAND_COLOUR, best_rand),
        curve("V_info", "v_info", V_INFO_COLOUR, best_info),
    ]
    at = [boundary_threshold(one) for one in evaluation.thresholds]
    return curves_svg(at, curves, "threshold of the boundary probability (dots: own and best)")


def _slices(review: Review, overlap: Overlap) -> str:
    counts = error_counts(review)
    head = [
        "Slice",
        "V_rand",
        "split",
        "merge",
        "V_info",
        "split",
        "merge",
        "accuracy",
        "F1",
        "IoU",
        "merges",
    ]
    rows = []
    for one in review.evaluation.per_slice:
        s, found = one.scores, counts[one.z]
        figures = (s.v_rand, s.v_rand_split, s.v_rand_merge, s.v_info, s.v_info_split, s.v_info_merge)
        more = (s.accuracy, s.boundary_f1, s.boundary_iou)
        cells = [str(one.z), *(f"{value:.4f}" for value in figures + more)]
        rows.append([*cells, str(found["merge"]), str(found["split"]), overlap.seen_of(one)])
    classes = ["trained" if one.trained else "" for one in review.evaluation.per_slice]
    return _table([*head, "splits", "seen"], rows, classes)


def _pictures(picture: SlicePicture, review: Review) -> str:
    own = [error for error in review.errors if error.z == picture.z]
    walls = error_map(own, (picture.z + 1, *picture.truth.shape))[picture.z]
    predicted = label_picture(np.where(picture.interior, INTERIOR, BOUNDARY))
    below = grey(picture.image) if picture.image is not None else predicted
    counts = error_counts(review)[picture.z]
    caption = (
        f"<span class=merge>merges: {counts['merge']}</span>, "
        f"<span class=split>splits: {counts['split']}</span>"
    )
    shown = [
        ("prediction", predicted),
        ("truth", label_picture(picture.truth)),
        (caption, error_picture(below, walls)),
    ]
    if picture.image is not None:
        shown.insert(0, (f"slice {picture.z}", below))
    return "".join(
        f'<figure><img src="{as_png(pixels)}" alt=""><figcaption>{text}</figcaption></figure>'
        for text, pixels in shown
    )


def _errors(review: Review) -> str:
    errors = [one for one in review.errors if one.z in review.evaluation.averaged]
    if not errors:
        return "<p>None.</p>"
    rows = [
        (f"<span class={e.kind}>{e.kind}</span>", str(e.z), *map(str, e.centre), str(e.size_px))
        for e in errors[:LARGEST_ERRORS]
    ]
    total = Counter(error.kind for error in errors)
    words = f"Merges: {total['merge']}, splits: {total['split']}; the largest of them:"
    return f"<p>{words}</p>" + _table(["Kind", "slice", "y", "x", "size (px)"], rows)
