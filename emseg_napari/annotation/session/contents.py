"""Fields of ``session.json``, and paths in it that stay valid when the session is moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.owned_output import finish_replacing, refuse_links, refuse_outside
from emseg_napari.io.address import Address, Location, location_of

FORMAT: Literal[2] = 2
SUFFIX = ".emseg"  # of the folder of a session
CONTENTS = "session.json"
_PlainName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
_Length = Annotated[int, Field(ge=1)]
_Slice = Annotated[int, Field(ge=0)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


def _not_zero(number: float) -> float:
    if number == 0:
        raise ValueError("a voxel without size")
    return number


_Size = Annotated[_Number, AfterValidator(_not_zero)]  # below 0: mirrored
_Row = tuple[_Number, _Number, _Number]
_Row4 = tuple[_Number, _Number, _Number, _Number]


@dataclass(frozen=True)
class Round:
    """One evaluation in the history of a session, which shows whether the last corrections helped.

    Attributes
    ----------
    when : str
        Local date and time, ISO 8601 to the second.
    run : str
        Name of the run's folder; empty if none was known.
    corrected, confirmed : int
        Slices with strokes of the user, and slices that were confirmed.
    slices : tuple of int
        The slices that the means are over; rounds compare where these are the same.
    v_rand, v_info, accuracy : float
        Mean over these slices at the run's threshold, 0 to 1.
    truth : str
        Name of the labels that counted as true; empty in older sessions.
    image : str
        Fingerprint of its middle slice: rounds of other images do not compare. Empty if it is not known.
    trained : tuple of int
        Those of the slices that the run was trained on: the figures prove nothing.
    held_out, unknown : tuple of int
        Those by which the run chose its threshold and weights, and those whose run is not known. Older
        sessions have none.
    image_name : str
        Name of the image's layer; empty in older sessions.
    """

    when: str
    run: str
    corrected: int
    confirmed: int
    slices: tuple[int, ...]
    v_rand: float
    v_info: float
    accuracy: float
    truth: str = ""
    image: str = ""
    trained: tuple[int, ...] = ()
    held_out: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    image_name: str = ""


@dataclass(frozen=True)
class Placement:
    """Where a layer lies in world coordinates: affine * (rotate * shear * scale + translate), as in napari.

    Attributes
    ----------
    scale, translate : (float, float, float)
        Size of a voxel, below 0 where it is mirrored, and where the first one lies, along z, y, x in `unit`.
    unit : str
        As OME-Zarr spells it, such as "nanometer"; "pixel" where none is known.
    rotate : 3 x 3 float, optional
    shear : (float, float, float) or 3 x 3 float, optional
        What lies above the diagonal, row by row, or all of it.
    affine : 4 x 4 float, optional
    """

    scale: tuple[_Size, _Size, _Size] = (1.0, 1.0, 1.0)
    translate: tuple[_Number, _Number, _Number] = (0.0, 0.0, 0.0)
    unit: str = "pixel"
    rotate: tuple[_Row, _Row, _Row] | None = None
    shear: _Row | tuple[_Row, _Row, _Row] | None = None
    affine: tuple[_Row4, _Row4, _Row4, _Row4] | None = None


@dataclass(frozen=True)
class Origin:
    """What the proposals of a slice come from.

    Attributes
    ----------
    run : Path
        Folder of the run that predicted it.
    fingerprint : str
        Of the slice of the image; empty if it is not known.
    choices : mapping
        The "scale", "threshold" and "orientations" with which the user predicted it, where they are not the
        run's own or the usual ones.
    """

    run: Path
    fingerprint: str = ""
    choices: Mapping[str, float] = field(default_factory=dict)


class Contents(BaseModel):
    """The fields of ``session.json``.

    Attributes
    ----------
    image, run : str or None
        Paths as `reference` writes them; None for an image that is copied in.
    copied, labels : str
        Names of such an image and of the folder of slices.
    shape : (int, int, int)
        Of the labels, (z, y, x).
    dtype : str
        Of the labels.
    origins : dict
        Slice to the path of a run, as `reference` writes it, and a fingerprint.
    choices : dict
        Slice to what was chosen for its proposals, see `Origin`; older sessions have none.
    confirmed, rounds, settings, name, image_name, image_place, labels_place
        As in `Session`.
    """

    format: Literal[2] = FORMAT
    image: str | None
    run: str | None
    copied: _PlainName = "image.tif"
    labels: _PlainName = "labels"
    shape: tuple[_Length, _Length, _Length]
    dtype: Literal["uint8"] = "uint8"
    confirmed: list[_Slice] = []
    origins: dict[_Slice, tuple[str, str]] = {}
    choices: dict[_Slice, dict[str, _Number]] = {}
    rounds: list[Round] = []
    settings: dict[str, Any] = {}
    name: str = ""
    image_name: str = ""
    image_place: Placement | None = None
    labels_place: Placement | None = None


def read_contents(folder: Path) -> Contents:
    """Read and check ``session.json``.

    Raises
    ------
    UserError
        If the folder is not a session, or one of another format, or the file is damaged.
    """
    path = folder / CONTENTS
    finish_replacing(path)
    if not path.is_file():
        raise UserError(
            f"{folder} is not a saved session (it has no session.json); choose a folder NAME.emseg."
        )
    stated = files.read_json(path)
    _check_format(stated, path)
    try:
        return Contents.model_validate(stated)
    except ValidationError as error:
        entry = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{path} is damaged (its entry '{entry}'); restore it from a copy.") from None


def _check_format(stated: Any, path: Path) -> None:
    if not isinstance(stated, dict) or not isinstance(stated.get("format"), int):
        raise UserError(f"{path} is damaged (it states no format); restore it from a copy.")
    name, found = path.parent.name, stated["format"]
    if found > FORMAT:
        raise UserError(f"{name} was saved by a newer emseg-napari; update emseg-napari to open it.")
    if found < FORMAT:
        raise UserError(
            f"{name} has the session format {found}, which is not read; begin a new session with its image "
            "and labels."
        )


def write_contents(folder: Path, contents: Contents) -> None:
    """Write ``session.json``, whole or not at all."""
    files.write_json(folder / CONTENTS, contents.model_dump(mode="json"))


def referred(origins: Mapping[int, Origin], folder: Path) -> dict[int, tuple[str, str]]:
    """Return what a session states of where its proposals come from."""
    return {z: (reference(one.run, folder), one.fingerprint) for z, one in sorted(origins.items())}


def resolved_origins(stated: Contents, folder: Path) -> dict[int, Origin]:
    """Return where the proposals of a session come from, from where it lies now."""
    return {
        z: Origin(_resolved(run, folder), mark, stated.choices.get(z, {}))
        for z, (run, mark) in stated.origins.items()
    }


def refuse_links_in(folder: Path, contents: Contents) -> None:
    """Raise `UserError` if something in a session is a link that leads out of it."""
    refuse_links(folder)
    labels = folder / contents.labels
    refuse_outside(folder, labels)
    if labels.is_dir():
        refuse_links(labels)


def reference(path: str | Location, folder: Path) -> str:
    """Return how a session refers to a place: relative if it lies in the session's own parent folder."""
    path, folder = location_of(path).absolute(), folder.absolute()
    if isinstance(path, Address):
        return str(path)
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    if path.is_relative_to(folder.parent):
        return "../" + path.relative_to(folder.parent).as_posix()
    return str(path)


def resolved(stated: str | None, folder: Path) -> Location | None:
    """Return the path or address that `reference` wrote, from where the session lies now."""
    if stated is None:
        return None
    location = location_of(stated)
    return location if isinstance(location, Address) else _resolved(stated, folder)


def _resolved(stated: str, folder: Path) -> Path:
    folder = folder.absolute()
    if stated.startswith("../"):
        return folder.parent / stated.removeprefix("../")
    return folder / stated  # an absolute path stays as it is
