"""How far the figures of an evaluation can be trusted: who chose the threshold, and what the run has seen."""

from __future__ import annotations

from emseg_napari.evaluation.evaluation import Evaluation
from emseg_napari.evaluation.pairing import Pairing
from emseg_napari.evaluation.predictions import boundary_threshold
from emseg_napari.evaluation.training_overlap import HELD_OUT, UNKNOWN, Overlap
from emseg_napari.io.axes import slices_text


def about_mean(evaluation: Evaluation, overlap: Overlap) -> str:
    """Return in sentences what the means are worth if some scored slices are not new, else nothing."""
    counted = overlap.by_kind(evaluation.counted)
    sentences = [_about_trained(evaluation)]
    if counted[HELD_OUT]:
        sentences.append(
            f"By {slices_text(counted[HELD_OUT])} the run chose its threshold and weights: the means "
            "are too high."
        )
    if counted[UNKNOWN]:
        sentences.append(
            f"Not known is which run predicted {slices_text(counted[UNKNOWN])}: the means may prove nothing."
        )
    return " ".join(filter(None, sentences))


def _about_trained(evaluation: Evaluation) -> str:
    trained = evaluation.trained_slices
    if not trained:
        return ""
    if not evaluation.averaged_trained:
        return (
            f"The means are over {slices_text(evaluation.averaged)}; those of {slices_text(trained)}, on "
            "which the run was trained, do not count."
        )
    if set(trained) == set(evaluation.averaged):
        return "All scored slices were trained on: these figures prove nothing."
    return f"The means include {slices_text(trained)}, on which the run was trained: they prove nothing."


def honesty_of(pair: Pairing, evaluation: Evaluation) -> str:
    """Return in sentences which of the scored figures are honest, and which are not.

    Parameters
    ----------
    pair : Pairing
        What was compared.
    evaluation : Evaluation
        Its scores.
    """
    scored = [one.z for one in evaluation.per_slice]
    overlap = pair.overlap
    trained, held_out, unknown = overlap.by_kind(evaluation.per_slice).values()
    seen = list(pair.dependence)
    if trained:
        seen.append(f"The run was trained on {slices_text(trained)}: figures there prove nothing.")
    if held_out:
        seen.append(
            f"By {slices_text(held_out)} it chose its threshold and weights: figures there are too high."
        )
    if unknown:
        seen.append(
            f"Not known is which run predicted {slices_text(unknown)}, and so whether it was trained "
            "there: these figures may prove nothing."
        )
    rest = [] if pair.dependence else [z for z in scored if z not in {*trained, *held_out, *unknown}]
    assumed = any(z in overlap.assumed for z in rest)
    of_threshold = _of_threshold(pair, evaluation, is_new=not seen, assumed=assumed)
    return " ".join([of_threshold, *seen, *_rest(seen, rest, assumed)])


def _of_threshold(pair: Pairing, evaluation: Evaluation, is_new: bool, assumed: bool) -> str:
    """Return who chose the threshold, and that the figures are honest if nothing speaks against it."""
    as_far = ", as far as the numbers of the slices tell," if assumed else ""
    at = f"The threshold {boundary_threshold(evaluation.threshold):.2f}"
    if pair.threshold_from is None:
        honest = f"The run has not seen these slices{as_far or ','} so their figures are honest."
        return honest if is_new else "Labels have no threshold of their own."
    if pair.threshold_from == "given" or _is_anothers(pair, evaluation.threshold):
        return f"{at} was given: the figures at it are honest only if it was chosen without these slices."
    if pair.threshold_from == "default":
        chosen = f"{at} is the usual one, chosen by no slices"
    else:
        chosen = f"{at} is the run's own, chosen without these slices" if is_new else f"{at} is the run's own"
    return f"{chosen}{as_far.rstrip(',')}: the figures at it are the honest ones." if is_new else f"{chosen}."


def _is_anothers(pair: Pairing, threshold: float) -> bool:
    """Whether a prediction was made at another threshold than its run has chosen."""
    shown, own = boundary_threshold(threshold), [run.record.threshold for run in pair.overlap.runs]
    return pair.threshold_from == "run" and bool(own) and min(abs(one - shown) for one in own) > 1e-6


def _rest(seen: list[str], rest: list[int], assumed: bool) -> list[str]:
    if not seen or not rest:
        return []
    as_far = ", as far as the numbers of the slices tell" if assumed else ""
    return [f"Only the figures of {slices_text(rest)} tell of new ones{as_far}."]
