"""``emseg info``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from emseg_napari.cli.executioninfo import show_execution
from emseg_napari.cli.guard import guarded
from emseg_napari.cli.inputs import STACK, JsonOption, parsed_location
from emseg_napari.cli.outputinfo import file_figures, file_lines, read_file
from emseg_napari.cli.reporting import quietly, show_result
from emseg_napari.core.text import counted
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import shape_text, slices_text
from emseg_napari.io.open import is_container
from emseg_napari.models.imported import Imported
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.settings import TrainingSettings, applies
from emseg_napari.training.run_record import comparison_sentence, share_sentence

WhatArgument = Annotated[
    Any,
    typer.Argument(
        parser=parsed_location,
        metavar="[RUN|FILE]",
        help=f"Run folder that a training wrote, or 'starter'; or an image or labels: {STACK}. When not "
        "given, what this machine computes predictions on.",
    ),
]


@guarded
def info(what: WhatArgument = None, as_json: JsonOption = False) -> None:
    """Print what is in a run or file and what it was made from.

    Of a run also how it scored; without an argument what this machine computes predictions on.
    """
    if what is None:
        show_execution(as_json)
        return
    if _is_stack(what):
        file, record = quietly(read_file, what)
        show_result("\n".join(file_lines(what, file, record)), file_figures(what, file, record), as_json)
        return
    run = open_run(what)
    figures = run_figures(run)
    show_result("\n".join(run_lines(run, figures)), figures, as_json)


def _is_stack(what: Location) -> bool:
    if isinstance(what, Address):
        return True
    return (what.exists() or is_container(what)) and not is_run(what)


def run_figures(run: Run) -> dict[str, Any]:
    """Return what is to be known of a run, by names."""
    record, last = run.record, run.history[-1] if run.history else None
    recipe = TrainingSettings.recipe(run.settings.network, start=run.settings.start).model_dump()
    own = {
        name: value
        for name, value in run.settings.model_dump(mode="json").items()
        if value != recipe[name] and _has_effect(name, run.settings)
    }
    return {
        "run": str(run.folder),
        "network": run.settings.network,
        "finished": record.finished,
        "scale": record.scale,
        "image_shape": record.image_shape,
        "trained_slices": record.trained_slices,
        "held_out_slices": record.held_out_slices,
        "held_out_tile": record.held_out_tile,
        "start": record.start,
        "start_slices": record.start_slices,
        "label_counts": record.label_counts,
        "epochs": last.epoch if last else 0,
        "steps": last.step if last else 0,
        "seconds": round(last.seconds, 1) if last else 0.0,
        "kept_epoch": record.kept_epoch,
        "kept_share": record.kept_share,
        "accuracy": record.kept_accuracy,
        "v_rand": record.kept_v_rand,
        "start_accuracy": record.start_accuracy,
        "start_v_rand": record.start_v_rand,
        "threshold": record.threshold,
        "merge_threshold": record.merge_threshold,
        "settings": own,
        "imported": None if record.imported is None else record.imported.model_dump(),
        "versions": record.versions,
    }


def _has_effect(name: str, settings: TrainingSettings) -> bool:
    if name == "anchor_weight" and settings.start is None:
        return False
    return applies(name, settings.network)


def run_lines(run: Run, f: dict[str, Any]) -> list[str]:
    """Return in lines what `run_figures` says of a run."""
    origin = _origin(run.record.imported)
    if run.settings.network == "imported" and run.record.start is None:
        return [f"{f['run']}: {f['network']}, not trained here; threshold {f['threshold']:.2f}", *origin]
    size = shape_text(f["image_shape"])
    state = "finished" if f["finished"] else "interrupted"
    lines = [
        f"{f['run']}: {f['network']}, {state}; {counted(f['steps'], 'step')}, "
        f"{counted(f['epochs'], 'epoch')}, {f['seconds']:.0f} s",
        f"trained on {slices_text(f['trained_slices'])} of a stack of {size} "
        f"({', '.join(f'{count} {name}' for name, count in f['label_counts'].items())} pixels)",
        _start(f, run.record.has_unknown_slices),
        *filter(None, [share_sentence(run.record)]),
        _score(f),
        *filter(None, [comparison_sentence(run.record)]),
        *origin,
    ]
    if f["settings"]:
        lines.append("not as in the recipe: " + ", ".join(f"{k} {v}" for k, v in f["settings"].items()))
    lines.append("made with " + ", ".join(f"{name} {number}" for name, number in f["versions"].items()))
    return lines


def _origin(imported: Imported | None) -> list[str]:
    """Return where a network came from, and what was answered then."""
    if imported is None:
        return []
    lines = [f"imported from {imported.file}: {imported.title}", f"SHA-256 {imported.sha256}"]
    lines += [f"licence: {imported.licence}"] if imported.licence else []
    lines += [f"cite: {work}" for work in imported.cite]
    lines += [f"made for pixels of {imported.pixel_nm:g} nm"] if imported.pixel_nm else []
    if imported.answers:
        lines.append("answered: " + ", ".join(f"{name} {value}" for name, value in imported.answers.items()))
    why = imported.why_no_training
    return [*lines, f"no training can start from it: {why.rstrip('.')}"] if why else lines


def _start(f: dict[str, Any], is_unknown: bool) -> str:
    if f["start"] is None:
        return "started from nothing"
    if f["start_slices"]:
        seen = f"which had seen {slices_text(f['start_slices'])} of this stack: scores there prove nothing"
    elif is_unknown:
        seen = "of which is not known whether it had seen this stack: if so, scores prove nothing"
    else:
        seen = "which had not seen this stack"
    return f"started from {f['start']}, {seen}"


def _score(f: dict[str, Any]) -> str:
    if f["held_out_slices"]:
        place = f"held-out {slices_text(f['held_out_slices'])}"
    elif f["held_out_tile"]:
        top, bottom, left, right = f["held_out_tile"]
        corner = f"y {top}-{bottom - 1}, x {left}-{right - 1}"
        place = f"the held-out corner {corner} (scores on small areas are too high)"
    else:
        return f"nothing was held out, so there is no score; threshold {f['threshold']:.2f}"
    if f["accuracy"] is None:
        return f"to be scored on {place}, but not scored yet"
    v_rand = "" if f["v_rand"] is None else f", V_rand {f['v_rand']:.4f}"
    return (
        f"weights of epoch {f['kept_epoch']}: accuracy {f['accuracy']:.2%}{v_rand} on {place}, "
        f"at threshold {f['threshold']:.2f}, which was chosen there and on trained slices"
    )
