"""What ``emseg reproduce`` knows of an output: how it is made again, and what is otherwise than then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location, location_of
from emseg_napari.io.compare import Comparison
from emseg_napari.io.open import display_name
from emseg_napari.io.source_id import IN_MEMORY


@dataclass(frozen=True)
class Places:
    """Where the user says that things lie now; None = where the record says."""

    image: Location | None = None
    labels: Location | None = None
    probability: Location | None = None
    run: Path | None = None


@dataclass(frozen=True)
class Recipe:
    """How an output is made again.

    Attributes
    ----------
    what : str
        Such as "prediction".
    make : callable
        Makes it again at a path.
    compare : callable
        Compares the output with what lies at a path.
    changes : sequence of str
        Clauses on what is otherwise than when it was made.
    notes : sequence of str
        Sentences on what the record leaves open.
    """

    what: str
    make: Callable[[Path], object]
    compare: Callable[[Path], Comparison]
    changes: Sequence[str] = ()
    notes: Sequence[str] = field(default=())


def place_of(what: str, recorded: str | None, given: Location | None, path: Location) -> Location:
    """Return where something lies that an output was made from.

    Parameters
    ----------
    what : str
        Such as "image", which is also the name of the option that says where it lies.
    recorded : str or None
        As the record of the output states it.
    given : Path, Address or None
        As the user states it.
    path : Path or Address
        Of the output.

    Raises
    ------
    UserError
        If it is not known, or not there.
    """
    if given is not None:
        return given
    advice = f"say with --{what} where it lies now"
    if not recorded or recorded.startswith(IN_MEMORY):
        raise UserError(f"The record of {path} does not say where its {what} lies; {advice}.")
    found = location_of(recorded)
    if isinstance(found, Path) and not any(one.exists() for one in (found, *_files_above(found))):
        raise UserError(f"The {what} of {display_name(path)}, {found}, is not there any more; {advice}.")
    return found


def _files_above(path: Path) -> list[Path]:
    """Return the files and containers that a dataset may lie in: not the folders that hold them."""
    return [one for one in path.parents if one.is_file() or one.suffix]
