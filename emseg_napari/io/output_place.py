"""Where an output lies: a folder, or an address in an object store.

In a folder, Zarr's own `LocalStore` already writes under a temporary name and renames, so a killed writer
leaves no half of a block. `DurableStore` adds that the bytes are on the disk before the name is, since a file
that exists counts as complete, and that a full disk is reported in a sentence.

An object of a store (`AddressStore`) appears whole or not at all by itself. There are no locks there: two
writers with the same choices write the same blocks, others are refused. An output is begun by objects that
the store takes only where none is, so of two that begin at the same moment one is told. A change of the
record is made to what is there then; of two at the same moment one is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from zarr.abc.store import Store
from zarr.core.buffer import Buffer

from emseg_napari.core import files, owned_output
from emseg_napari.core.jobs import UserError
from emseg_napari.io import object_store
from emseg_napari.io.address import Address, Location
from emseg_napari.io.containers import ZARR, check_access
from emseg_napari.io.zarr_store import AddressStore, FolderStore

_BEFORE_GROUP = frozenset(f"0/{mark}" for mark in ZARR.marks)  # what a killed beginning leaves in a store


class DurableStore(FolderStore):
    """A folder whose files are written whole or not at all, and outlive a power cut."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file.

        Raises
        ------
        UserError
            If the folder is not writable, the disk is full, or a link leads out of the folder.
        """
        self._check_writable()
        owned_output.refuse_outside(self.root, self.root / key)
        await asyncio.to_thread(_put, self.root / key, value.to_bytes())


def output_store(location: Location, is_new: bool = False) -> Store:
    """Return what Zarr writes a folder or an address by; `is_new` as of `AddressStore`."""
    if isinstance(location, Address):
        return AddressStore(location, is_new=is_new)
    return DurableStore(location)


def check_writable(location: Location) -> None:
    """Raise `StoreError` of an address to which nothing can be written, whatever is there."""
    if isinstance(location, Address):
        object_store.check_writable(location)


def is_begun(location: Location) -> bool:
    """Whether an output, or a level of it, is there; of a store one that is complete but for its blocks.

    Raises
    ------
    StoreError
        If a store refuses to say so: what is there must not be begun anew.
    """
    if isinstance(location, Path):
        return location.is_dir()
    found = ZARR.is_node(location)
    if not found:
        check_access(location)
    return found


@contextmanager
def owned(location: Location) -> Iterator[None]:
    """Own an output within a block, see `owned_output.owned`; in a store there is nothing to lock."""
    with nullcontext() if isinstance(location, Address) else owned_output.owned(location):
        yield


def is_free(path: Location) -> bool:
    """Whether a new output can be made there.

    Raises
    ------
    UserError
        If it is a file, or an address that cannot be listed or written to.
    """
    check_writable(path)
    if isinstance(path, Address):
        return not is_begun(path) and _BEFORE_GROUP.issuperset(object_store.keys_below(path))
    if path.is_dir():
        return all(files.is_temporary(one.name) for one in path.iterdir())
    if path.exists() or path.is_symlink():
        raise UserError(f"{path} is a file, but an output is a folder; choose another name.")
    return True


def _put(path: Path, content: bytes) -> None:
    if not path.parent.is_dir():
        files.writable_folder(path.parent)
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(content)
