"""``emseg info`` without an argument: what this machine computes predictions on, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emseg_napari.cli.guard import Stopped
from emseg_napari.cli.reporting import job_context, quiet_libraries, show_result
from emseg_napari.core.jobs import Cancelled

if TYPE_CHECKING:
    from emseg_napari.inference.execution_trials import Trial


def show_execution(as_json: bool) -> None:
    """Print the choice; what may be faster is measured if it has not been."""
    import onnxruntime

    from emseg_napari.inference.execution_choice import file_here, ranked, trials

    try:
        with quiet_libraries() as stream, job_context(stream) as context:
            found = trials(context)
    except Cancelled:
        raise Stopped("Stopped; what was measured is remembered.") from None
    figures = {
        "computes_on": str((*ranked(found), found[0].execution)[0]),
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
        "tried": [_figures(trial) for trial in found],
        "remembered_in": str(file_here()) if len(found) > 1 else None,
    }
    show_result("\n".join(_lines(figures)), figures, as_json)


def _figures(trial: Trial) -> dict[str, Any]:
    return {
        "execution": str(trial.execution),
        "seconds_per_megapixel": trial.seconds,
        "difference": trial.difference,
        "dropped": trial.dropped or None,
    }


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [f"predictions are computed on: {figures['computes_on']}"]
    if figures["remembered_in"] is None:
        lines.append(
            "nothing was measured: the installed ONNX Runtime has nothing else for this machine, or "
            "EMSEG_ON_PROCESSOR is set"
        )
    else:
        lines += [_line(one) for one in figures["tried"]]
        lines.append(f"remembered in {figures['remembered_in']}: remove it to measure again")
    return [*lines, f"ONNX Runtime {figures['onnxruntime']}: {', '.join(figures['providers'])}"]


def _line(one: dict[str, Any]) -> str:
    if one["dropped"]:
        return f"{one['execution']}: not used, {one['dropped']}"
    return (
        f"{one['execution']}: {one['seconds_per_megapixel']:.3f} s a megapixel, "
        f"probability differs by at most {one['difference']:.5f}"
    )
