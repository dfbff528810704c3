"""Writing of one session folder, file by file: a slice, the state, a page of the image."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import numpy as np

from emseg_napari.annotation.session.claims import Claims
from emseg_napari.annotation.session.contents import (
    CONTENTS,
    Contents,
    read_contents,
    refuse_links_in,
    write_contents,
)
from emseg_napari.annotation.session.images import pages
from emseg_napari.annotation.session.recovery import Marker, discard, is_unsaved
from emseg_napari.annotation.session.slicefiles import set_aside, slice_files, unreadable_files, write_slice
from emseg_napari.annotation.session.store import Session, contents_of, free_names
from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import Occupied
from emseg_napari.core.owned_output import adding_files, finish_replacing
from emseg_napari.io.volume import Volume


class SessionWriter:
    """Writes to one session folder, each piece whole or not at all.

    Parameters
    ----------
    folder : Path
        A session to resume, or a folder that does not exist yet, which is made with the first labels.
    claims : Claims, optional
        Lock the folder from then on, until `close`.

    Attributes
    ----------
    exists : bool
        Whether there is a session in the folder, so that its state can be written; `copying` is known then.
    """

    def __init__(self, folder: Path, claims: Claims | None = None) -> None:
        self.folder = folder
        self.exists = False
        self._claims, self._claimed = claims or Claims(), False
        self._refusal: Occupied | None = None
        self._contents: Contents | None = None
        self._marker: Marker | None = None
        self._image: Generator[None, None, None] | None = None
        self._unreadable: set[int] = set()

    @property
    def copying(self) -> bool:
        """Whether slices of the image are still to be copied."""
        return self._image is not None

    @property
    def labels_folder(self) -> Path:
        """Where the slices are, while `exists`."""
        assert self._contents is not None
        return self.folder / self._contents.labels

    @property
    def unreadable(self) -> set[int]:
        """Slices whose files could not be read, and have not been set aside yet."""
        return set(self._unreadable)

    def resume(self, session: Session) -> bool:
        """Resume the session that is in the folder; False if there is none.

        Raises
        ------
        UserError
            If another session is there, another window has it open, or it cannot be read or written.
        """
        finish_replacing(self.folder / CONTENTS)
        if not (self.folder / CONTENTS).exists():
            return False
        self._claim()
        self._mark()
        contents = read_contents(self.folder)
        refuse_links_in(self.folder, contents)
        if contents.shape != session.labels.shape:
            raise UserError(f"{self.folder} has labels of another image; save under another name.")
        for folder in (self.folder, self.folder / contents.labels):
            files.remove_leftovers(folder)
        self._contents, self._unreadable = contents, set(session.unreadable)
        if session.folder is None:  # it was not read or saved here, and its image may be another one
            self._begin_copy(session)
        self.exists = True
        return True

    def create(self, session: Session) -> None:
        """Make the folder, still without labels; what else is in it stays."""
        self._claim()
        self._mark()  # first, or another window would offer it for recovery
        contents = contents_of(self.folder, session).model_copy(update=free_names(self.folder))
        with adding_files(self.folder) as new:
            (new / contents.labels).mkdir()
            write_contents(new, contents)
        self._contents = contents
        self._begin_copy(session)
        self.exists = True

    def write_slice(self, z: int, plane: np.ndarray) -> None:
        """Write the labels of one slice, uint8 (y, x), 0 to 4; a file that could not be read is kept."""
        folder = self.labels_folder
        if z in self._unreadable:
            set_aside(folder, z)
            self._unreadable.discard(z)
        write_slice(folder, z, plane)

    def write_state(self, session: Session) -> None:
        """Write all of a session but image and labels, if it differs from what was written last."""
        assert self._contents is not None
        names = {"labels": self._contents.labels, "copied": self._contents.copied}
        contents = contents_of(self.folder, session).model_copy(update=names)
        if contents != self._contents:
            write_contents(self.folder, contents)
            self._contents = contents

    def copy_image(self, session: Session) -> None:
        """Copy one more slice of an image without a file, while `copying`."""
        assert self._image is not None
        try:
            next(self._image)
        except StopIteration:
            self._image = None
        except Exception:  # the file was removed: the next try begins with the first slice
            self._begin_copy(session)
            raise

    def _begin_copy(self, session: Session) -> None:
        """Copy from the first slice on, if the image has no file."""
        assert self._contents is not None
        image, copy = session.image, self.folder / self._contents.copied
        is_copy = isinstance(image, Volume) and Path(image.source) == copy
        if session.image_path is None and image is not None and not is_copy:
            self._image = pages(copy, image)

    def close(self) -> None:
        """Close the session; one in the recovery folder without labels is deleted."""
        if self._image is not None:
            self._image.close()
        if self._marker is not None:
            self._marker.close()
        if self._claimed:
            self._claims.release(self.folder)
            self._claimed = False
        if self.exists and is_unsaved(self.folder) and not self._has_labels():
            with suppress(UserError):  # it only takes space
                discard(self.folder)

    def _has_labels(self) -> bool:
        folder = self.labels_folder
        return bool(slice_files(folder) or unreadable_files(folder))

    def _claim(self) -> None:
        """Lock the folder; once another window had it, what was read from it may be outdated."""
        if self._refusal is not None:
            raise self._refusal
        if not self._claimed:
            try:
                self._claims.take(self.folder)
            except Occupied as error:
                self._refusal = error
                raise
            self._claimed = True

    def _mark(self) -> None:
        with suppress(UserError, OSError):  # a full home folder must not prevent saving elsewhere
            self._marker = self._marker or Marker(self.folder)
