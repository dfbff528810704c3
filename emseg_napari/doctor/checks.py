"""All checks of an installation, in the order in which one rests on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from emseg_napari.doctor.finding import Finding, problem
from emseg_napari.doctor.messages import recognised


def checks(runs: Path | None = None) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Return the groups of checks by their titles; each is imported when it is called, and never fails.

    Parameters
    ----------
    runs : Path, optional
        As for `folders.findings`.
    """
    return {
        "Versions": partial(_guarded, _versions),
        "Screen": partial(_guarded, _screen),
        "Machine": partial(_guarded, _machine),
        "Folders": partial(_guarded, partial(_folders, runs)),
        "Computing (takes about half a minute)": partial(_guarded, _computing),
    }


def obstacle() -> Finding | None:
    """Return why napari's window would not open here; None if it would, or if the reason is not known."""
    from emseg_napari.doctor import folders, screen, versions

    found = chain([versions.binding()], screen.findings(), folders.of_napari())
    return next((one for one in found if one.state == "problem" and one.action), None)


def _versions() -> Iterator[Finding]:
    from emseg_napari.doctor import versions

    return versions.findings()


def _screen() -> Iterator[Finding]:
    from emseg_napari.doctor import screen

    return screen.findings()


def _machine() -> Iterator[Finding]:
    from emseg_napari.doctor import computer

    return computer.findings()


def _folders(runs: Path | None) -> Iterator[Finding]:
    from emseg_napari.doctor import folders

    return folders.findings(runs)


def _computing() -> Iterator[Finding]:
    from emseg_napari.doctor import computing

    return computing.findings()


def _guarded(group: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Give the findings of a group; an error, such as of a package that is half installed, becomes one."""
    try:
        yield from group()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        advice = recognised(text)
        yield problem(
            "check",
            "failed",
            f"{advice.sentence if advice else 'This could not be checked.'} ({text[:300]})",
            advice.action if advice else "Install emseg-napari again; if that does not help, report it.",
        )
