"""Folders that are a container (Zarr, N5, precomputed): how they are recognised, and what lies where in them.

Reading one takes a library that is slow to import; recognising one takes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from emseg_napari.core.jobs import UserError
from emseg_napari.core.owned_output import finish_replacing
from emseg_napari.io.address import Address, Location, location_of

L = TypeVar("L", Path, Address)


@dataclass(frozen=True)
class FolderFormat:
    """A format whose containers are folders.

    Attributes
    ----------
    suffix : str
        How the name of a container usually ends.
    marks : tuple of str
        Files of which each array and group has one or more in its folder.
    """

    suffix: str
    marks: tuple[str, ...]

    def is_node(self, folder: Location) -> bool:
        """Whether a folder is an array or a group of this format."""
        return any((folder / mark).is_file() for mark in self.marks)

    def root(self, folder: L) -> L | None:
        """Return the container that a folder lies in, the outermost one with the suffix or else the marks."""
        around = [folder, *folder.parents]
        named = [one for one in around if one.suffix.lower() == self.suffix]
        if named and (isinstance(folder, Path) or self.is_node(named[-1])):
            return named[-1]
        beyond = next((n for n, one in enumerate(around) if not self.is_node(one)), len(around))
        return around[beyond - 1] if beyond else None


ZARR = FolderFormat(".zarr", ("zarr.json", ".zarray", ".zgroup", ".zattrs"))
N5 = FolderFormat(".n5", ("attributes.json",))
FOLDER_SUFFIXES = (ZARR.suffix, N5.suffix)


def check_access(address: Address) -> None:
    """Raise `StoreError` if a store refuses what lies below an address, where nothing was found."""
    with suppress(FileNotFoundError):
        (address / ZARR.marks[0]).read_bytes()


def precomputed_info(folder: Location) -> Mapping[str, Any] | None:
    """Return the content of the file ``info`` of a precomputed volume of Neuroglancer; None if it is none."""
    file = folder / "info"
    try:
        content = json.loads(file.read_text("utf-8")) if file.is_file() else None
    except (OSError, ValueError, RecursionError):  # a file of another program
        return None
    return content if isinstance(content, Mapping) and "scales" in content else None


def precomputed_root(folder: L) -> L | None:
    """Return the precomputed volume that a folder is, or is a scale of."""
    around = (folder, folder.parent)
    return next((one for one in around if precomputed_info(one) is not None), None)


def webknossos_properties(folder: Path) -> Mapping[str, Any] | None:
    """Return what describes a dataset of webKnossos; None if a folder is not one."""
    file = folder / "datasource-properties.json"
    try:
        content = json.loads(file.read_text("utf-8")) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, Mapping) and "dataLayers" in content else None


def webknossos_root(folder: Location) -> Path | None:
    """Return the dataset of webKnossos that a folder on a disk is, or is a layer or magnification of.

    Whatever else people put into its folder is none of it.
    """
    if isinstance(folder, Address):
        return None
    for root in (folder, *folder.parents[:2]):
        if (stated := webknossos_properties(root)) is not None:
            inner = path_inside(root, folder).partition("/")[0]
            return root if not inner or inner in _webknossos_folders(stated) else None
    return None


def _webknossos_folders(stated: Mapping[str, Any]) -> set[str]:
    """Return the folders in a dataset in which its layers lie, and the names of the layers."""
    found = set()
    with suppress(AttributeError, TypeError):  # a damaged description, which is said where it is opened
        for layer in stated["dataLayers"]:
            paths = [one.get("path") for one in layer.get("mags") or ()]
            found |= {str(one).removeprefix("./").partition("/")[0] for one in (layer.get("name"), *paths)}
    return found


def container_of(folder: L) -> L | None:
    """Return the container that a folder lies in, if it lies in one: webKnossos, Zarr, N5 or precomputed."""
    root: Any = webknossos_root(folder)
    return root or ZARR.root(folder) or N5.root(folder) or precomputed_root(folder)


def existing_part(path: Path) -> Path:
    """Return the longest part of a path that exists; the rest may be a dataset in that file or folder.

    Raises
    ------
    UserError
        If that cannot be found out: a folder may not be entered, or no file can have such a name.
    """
    try:
        finish_replacing(path)
        return next(one for one in (path, *path.parents) if one.exists())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}); check its name and permissions.") from error


def files_of(source: str) -> list[Path]:
    """Return the file or folder on a disk that a volume lies in, by its source; none of a store."""
    location = location_of(source)
    if not source or isinstance(location, Address):
        return []
    return [next(one for one in (location, *location.parents) if one.exists())]


def path_inside(container: Location, path: Location) -> str:
    """Return the path of a dataset in its container, empty for the container itself."""
    return "" if path == container else path.relative_to(container).as_posix()  # type: ignore[arg-type]
