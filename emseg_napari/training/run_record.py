"""Record of a new run: its data, its start, and how its labels are split."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.core.machine import processor_name
from emseg_napari.core.text import counted
from emseg_napari.io.axes import slices_text
from emseg_napari.io.fingerprint import seen
from emseg_napari.io.sparse_stack import Stack
from emseg_napari.models.earlier_run import STARTER_NETWORK, mark_of
from emseg_napari.models.run import Run, RunRecord, starter_folder, versions
from emseg_napari.settings import TrainingSettings

# By what V_rand and V_info of a handful of slices differ by chance, and pixel accuracy.
BY_CHANCE = 0.01
_ACCURACY_BY_CHANCE = 0.002
# Pixel accuracy from which, where cells are right but for chance, too, nothing is left to gain.
_NEARLY_ALL = 0.9995
# By how much less of such labels is worse, in V_rand or accuracy. Those that a start proposed itself hold
# its mistakes: on ISBI 2012 the starter has V_rand .944 and accuracy .917 (benchmarks/README.md), so that a
# network without any would seem .06 and .08 worse.
_FAR_LESS = 0.15
# A network that finds this much boundary, and so many times as much as its start, floods slices with it. Of a
# section of ISBI 2012 the starter finds 23 %, which is right. After half a minute on a few exact strokes it
# finds 23 %, too, and on strokes that are nearly all boundary 35 to 39 %.
_FLOOD_SHARE, _FLOOD_FACTOR = 1 / 3, 1.5


def new_record(image: Stack, settings: TrainingSettings, **fields: Any) -> RunRecord:
    """Return the record of a run on an image (z, y, x), with other fields as given."""
    from emseg_napari.training.patches import network_scale  # loads scipy, which `emseg --help` does without

    return RunRecord(
        versions=versions(),
        processor=processor_name(),
        scale=network_scale(settings, image.shape[1:]),
        image_shape=image.shape,
        image_dtype=str(image.dtype),
        **fields,
    )


def with_start(record: RunRecord, start: Run, image: Stack) -> RunRecord:
    """Return the record with what the run starts from, and which slices of this stack the start had seen.

    Of a volume only the slices are read that train or are held out. Later scores compare fingerprints, so
    they find the other slices, too.
    """
    known = set(start.record.fingerprints)
    used = sorted({*record.trained_slices, *record.held_out_slices})
    slices = range(len(image)) if isinstance(image, np.ndarray) else used
    return record.model_copy(
        update={
            "start": start.folder.name,
            "start_mark": mark_of(start),
            "start_scale": start.record.scale,
            "start_slices": [z for z in slices if seen(image[z], known)],
            "fingerprints": sorted(known.union(record.fingerprints)),
            "held_out_fingerprints": sorted(
                {*start.record.held_out_fingerprints, *record.held_out_fingerprints}
            ),
            "normalisation": start.record.normalisation,
            "imported": start.record.imported,
            # They stay where the labels cannot choose others.
            "threshold": start.record.threshold,
            "merge_threshold": start.record.merge_threshold,
        }
    )


def scale_notes(settings: TrainingSettings, start: Run | None) -> list[str]:
    """Return a sentence if a training has no scale of its own, unlike the run from which it starts."""
    if start is None or settings.scale != 1 or start.settings.scale == 1:
        return []
    return [
        f"{start.folder.name}, from which it starts, works at scale {start.settings.scale:g}, and this "
        "training at 1: choose the former unless membranes have another width here."
    ]


def label_counts(labels: np.ndarray) -> dict[str, int]:
    """Count the pixels of each class."""
    counts = np.bincount(labels.ravel(), minlength=3)
    return {
        "unlabelled": int(counts[UNLABELLED]),
        "boundary": int(counts[BOUNDARY]),
        "interior": int(counts[INTERIOR]),
    }


def training_description(run: Run) -> str:
    """Describe in sentences what a run is trained on, what its score is from, and what it starts from."""
    return f"{split_description(run.record)} {_start_sentence(run)}"


def _start_sentence(run: Run) -> str:
    record = run.record
    if record.start is None:
        missing = run.settings.network == STARTER_NETWORK and starter_folder() is None
        why = "; this installation has no starter network" if missing else ""
        return f"It starts from nothing: random weights{why}."
    if set(record.validation_slices).isdisjoint(record.start_slices):
        return " ".join(filter(None, [f"It starts from '{record.start}'.", _doubt(record)]))
    return (
        f"It starts from '{record.start}', which had been trained on "
        f"{slices_text(record.start_slices)} of this image, so the score is too good."
    )


def split_description(record: RunRecord) -> str:
    """Describe in a sentence what a run is trained on and what its score is from."""
    trained = counted(len(record.trained_slices), "labelled slice")
    if record.held_out_slices:
        held_out = counted(len(record.held_out_slices), "held-out slice")
        return f"Training on {trained}; validation on {held_out}."
    if record.held_out_tile:
        top, bottom, left, right = record.held_out_tile
        corner = f"y {top}-{bottom - 1}, x {left}-{right - 1}"
        return (
            f"Training on {trained}, validation on a corner that is held out ({corner}); with four labelled "
            "slices, a whole one is held out."
        )
    return f"Training on {trained}: none is held out, so this run has no score of its own."


def share_sentence(record: RunRecord) -> str:
    """Say how much of what a run learned from its start is kept; empty where that was no question."""
    share, start = record.kept_share, record.start
    if share is None:
        return ""
    if not record.validation_slices:
        return f"{share:.0%} of what changed since '{start}' is kept, since no held-out labels could choose."
    if not record.unseen_validation_slices:
        return (
            f"{share:.0%} of what changed since '{start}' is kept; the held-out labels could not choose, "
            f"since '{start}' had been trained on their slices."
        )
    if not share:
        return f"Nothing of what was learned is kept: '{start}' suits the held-out labels better."
    return f"{share:.0%} of what changed since '{start}' is kept, which suits the held-out labels best."


Comparison = Literal["better", "no different", "worse", "nothing to gain"]


def compared_with_start(record: RunRecord) -> Comparison | None:
    """Say how a run scores beside its start on what was held out; None if that was not compared.

    V_rand decides where it differs by more than chance, else pixel accuracy. Labels of which the start has
    nearly all, as of those that it proposed itself, can only tell what is far worse: nothing is left to gain.
    """
    if _start_has_nearly_all(record):
        return "worse" if _has_far_less(record) else "nothing to gain"
    if _is_its_start(record):
        return "no different"
    if record.start_accuracy is None or record.kept_accuracy is None:
        return None
    gain, by_chance = record.kept_accuracy - record.start_accuracy, _ACCURACY_BY_CHANCE
    if record.start_v_rand is not None and record.kept_v_rand is not None:
        v_rand_gain = record.kept_v_rand - record.start_v_rand
        if abs(v_rand_gain) > BY_CHANCE:
            gain, by_chance = v_rand_gain, BY_CHANCE
    if abs(gain) <= by_chance:
        return "no different"
    return "better" if gain > 0 else "worse"


def _start_has_nearly_all(record: RunRecord) -> bool:
    """Say whether the start agrees with the held-out labels, of nearly all pixels, in pixels and in cells."""
    if record.start_v_rand is None or record.start_accuracy is None:
        return False
    return record.start_accuracy >= _NEARLY_ALL and record.start_v_rand >= 1 - BY_CHANCE


def _has_far_less(record: RunRecord) -> bool:
    """Say whether a run has far less of the held-out labels than its start, in pixels or in cells.

    Not in the cells of a corner: these are so few that one gap may join a large part of it.
    """
    scores = [(record.start_accuracy, record.kept_accuracy)]
    if record.held_out_tile is None:
        scores.append((record.start_v_rand, record.kept_v_rand))
    return any(before is not None and now is not None and before - now > _FAR_LESS for before, now in scores)


def _is_its_start(record: RunRecord) -> bool:
    """Say whether nothing of what a run learned is kept, so that it is the network that it started from."""
    return record.kept_share == 0 and record.start_scale in (None, record.scale)


def floods(record: RunRecord) -> bool:
    """Say whether a run finds far more boundary than its start on the same slice.

    Held-out labels of nearly all pixels, of which V_rand was scored, know better how much boundary there is.
    """
    share, before = record.boundary_share, record.start_boundary_share
    if share is None or before is None or record.start_v_rand is not None or _is_its_start(record):
        return False
    return share > max(_FLOOD_SHARE, _FLOOD_FACTOR * before)


def is_worse_than_start(record: RunRecord) -> bool:
    """Say whether it is known that the start should rather be used."""
    return compared_with_start(record) == "worse" or floods(record)


def comparison_sentence(record: RunRecord) -> str:
    """Say whether a run is better than its start; empty if it has none, is the same, or was not compared."""
    if record.start is None or record.viewed_slice is None:
        return ""
    if compared_with_start(record) == "nothing to gain":
        scores = f" ({_scores(record)})" if _scores(record) else ""
        return (
            f"{_capital(_ranked(record, record.start))}, so nothing is left to gain there{scores}: hold out "
            "a slice that was corrected, or look at what the new run proposes."
        )
    if _is_its_start(record):
        return ""
    sentences = [_scores_beside_start(record), _boundary_beside_start(record)]
    return " ".join(filter(None, [*(reversed(sentences) if floods(record) else sentences), _doubt(record)]))


def _doubt(record: RunRecord) -> str:
    if not record.has_unknown_slices:
        return ""
    return f"It is not known on which slices '{record.start}' was trained: scores may be too good."


def comparison_clause(record: RunRecord, start: str) -> str:
    """Say in a clause, without figures, how a run compares with its start, which it calls `start`.

    Empty if that was not compared.
    """
    if floods(record):
        return "it floods slices with boundary"
    if _is_its_start(record) and not _start_has_nearly_all(record):
        return "nothing of what was learned is kept"
    return _ranked(record, start)


def _ranked(record: RunRecord, start: str) -> str:
    clauses = {
        "better": f"better than '{start}' on what was held out",
        "no different": f"no different from '{start}' on what was held out",
        "worse": f"worse than '{start}' on what was held out",
        "nothing to gain": f"'{start}' matches nearly all held-out labels",
    }
    compared = compared_with_start(record)
    return "" if compared is None else clauses[compared]


def _capital(clause: str) -> str:
    return clause[:1].upper() + clause[1:]


def _scores_beside_start(record: RunRecord) -> str:
    compared = compared_with_start(record)
    if compared is None:
        return f"It could not be scored beside '{record.start}': {_why_not_compared(record)}."
    return f"{_capital(_ranked(record, str(record.start)))} (which also chose it): {_scores(record)}."


def _scores(record: RunRecord) -> str:
    """Return the scores beside those of the start; empty if there are none."""
    if record.kept_accuracy is None or record.start_accuracy is None:
        return ""
    scores = f"accuracy {100 * record.kept_accuracy:.1f} % against {100 * record.start_accuracy:.1f} %"
    if record.kept_v_rand is not None and record.start_v_rand is not None:
        scores += f", V_rand {record.kept_v_rand:.3f} against {record.start_v_rand:.3f}"
    return scores


def _why_not_compared(record: RunRecord) -> str:
    if not record.validation_slices:
        return "nothing was held out"
    if record.unseen_validation_slices != record.validation_slices:
        return f"'{record.start}' had been trained on held-out slices"
    return "the held-out labels were erased"


def _boundary_beside_start(record: RunRecord) -> str:
    """Give the shares of boundary where they say more than the scores."""
    if record.boundary_share is None or record.start_boundary_share is None:
        return ""
    if not floods(record) and compared_with_start(record) is not None:
        return ""
    shares = (
        f"{100 * record.boundary_share:.0f} % as boundary, "
        f"'{record.start}' {100 * record.start_boundary_share:.0f} %"
    )
    subject = "It floods slices with boundary: of" if floods(record) else "Of"
    return f"{subject} slice {record.viewed_slice} it proposes {shares}."
