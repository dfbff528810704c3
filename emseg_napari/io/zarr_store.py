"""Where Zarr reads and writes: folders, and addresses of object stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from emseg_napari.io import object_store
from emseg_napari.io.address import Address, Location
from emseg_napari.io.containers import ZARR
from emseg_napari.io.store_errors import Refused, StoreError

# Of the thread that calls Zarr, and so of all that Zarr does for it.
_failures: ContextVar[list[Exception] | None] = ContextVar("failures", default=None)
_METADATA = (*ZARR.marks, ".zmetadata")
_Buffers = list[Buffer | None]


def readable_store(location: Location, is_complete: bool = False) -> Any:
    """Return what `zarr.open` reads a folder or an address from, see `FolderStore` and `AddressStore`."""
    if isinstance(location, Address):
        return AddressStore(location, read_only=True, is_complete=is_complete)
    return FolderStore(location, read_only=True)


@contextmanager
def failing() -> Iterator[None]:
    """Raise at the end of a block the first error of what Zarr asked stores for.

    Zarr asks for much at once. If one request raised, the others would go on while nothing waits for them,
    and their errors would be printed; so Zarr is told that there is nothing, and what it returns is not used.

    Raises
    ------
    StoreError
    FileNotFoundError
        If a chunk of a complete array is missing.
    ValueError
        If an object is empty or too short.
    """
    failures: list[Exception] = []
    token = _failures.set(failures)
    try:
        yield
    except Exception:
        if failures:
            raise failures[0] from None
        raise
    finally:
        _failures.reset(token)
    if failures:
        raise failures[0]


class FolderStore(LocalStore):
    """What lies in a folder, for Zarr; an empty file of chunks is an error, raised by `failing`."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a file or a part of it; None if it is not there."""
        found = await super().get(key, prototype, byte_range)
        failures = _failures.get()
        is_empty = found is not None and not len(found) and key.rpartition("/")[2] not in _METADATA
        if is_empty and failures is not None:  # Zarr would take a shard for missing
            failures.append(ValueError(f"{self.root / key} is empty (0 bytes)"))
        return found


class AddressStore(Store):
    """What lies below an address, for Zarr.

    Parameters
    ----------
    address : Address
    read_only : bool
    is_complete : bool
        Whether a chunk that is missing is an error, raised by `failing`, and not the fill value.
    is_new : bool
        Whether to write over an object that is there is an error, `Taken`, raised by `failing`.
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True  # of a web server a sentence

    def __init__(
        self, address: Address, *, read_only: bool = False, is_complete: bool = False, is_new: bool = False
    ) -> None:
        super().__init__(read_only=read_only)
        self._address, self._is_complete, self._is_new = address, is_complete, is_new

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressStore) and other._address == self._address

    def __hash__(self) -> int:
        return hash(self._address)

    def __str__(self) -> str:
        return str(self._address)

    __repr__ = __str__

    def with_read_only(self, read_only: bool = False) -> AddressStore:
        """Return the same for reading only, or not."""
        return AddressStore(
            self._address, read_only=read_only, is_complete=self._is_complete, is_new=self._is_new
        )

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object or a part of it; None if it is not there."""
        is_metadata = key.rpartition("/")[2] in _METADATA
        found = await self._do(_metadata if is_metadata else object_store.read, key, _part(byte_range))
        failures = _failures.get()
        if found == b"" and failures is not None and not is_metadata:  # Zarr would take it for missing
            failures.append(ValueError(f"{self._address / key} is empty (0 bytes)"))
        if found is not None:
            return prototype.buffer.from_bytes(found)
        if self._is_complete and failures is not None and not is_metadata:
            failures.append(FileNotFoundError(f"{self._address / key} does not exist"))
        return None

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> _Buffers:
        """Return parts of objects."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return bool(await self._do(object_store.is_there, key))

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object, whole or not at all."""
        self._check_writable()
        await self._do(object_store.write, key, value.to_bytes(), self._is_new)

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._check_writable()
        await self._do(object_store.remove, key)

    def list(self) -> AsyncIterator[str]:
        """Give all keys."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Give the keys that begin with a path."""
        above = prefix.rpartition("/")[0]
        for key in await self._do(object_store.keys_below, above) or ():
            whole = f"{above}/{key}".lstrip("/")
            if whole.startswith(prefix):
                yield whole

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Give the names directly below a path."""
        for name in await self._do(object_store.names_below, prefix) or ():
            yield name

    async def _do(self, request: Callable[..., Any], key: str, *more: Any) -> Any:
        """Return the result of a request, None if there is no such object, or it failed within `failing`."""
        outcome = await _in_thread(request, self._address / key, *more)
        failures = _failures.get()
        if not isinstance(outcome, Exception):
            return outcome
        if failures is None:
            raise outcome
        failures.append(outcome)
        return None


async def _in_thread(request: Callable[..., Any], *arguments: Any) -> Any:
    """Return the outcome of a request, made in a daemon thread.

    For the threads of asyncio, Python would wait at its end, until the server answers.
    """
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    Thread(target=_fulfil, args=(future, request, *arguments), name="emseg-store", daemon=True).start()
    return await asyncio.wrap_future(future)


def _fulfil(future: Future[Any], request: Callable[..., Any], *arguments: Any) -> None:
    try:
        future.set_result(_outcome(request, *arguments))
    except BaseException as error:
        future.set_exception(error)


def _outcome(request: Callable[..., Any], address: Address, *more: Any) -> Any:
    """Return what a request returns, or the error that it raises."""
    try:
        return request(address, *more)
    except FileNotFoundError:
        return None
    except (StoreError, ValueError) as error:
        return error


def _metadata(address: Address, part: slice | None) -> bytes:
    """Read a file of metadata, of which each version has another; see `object_store.is_there`."""
    try:
        return object_store.read(address, part)
    except Refused:
        if object_store.is_there(address):
            raise
        raise FileNotFoundError(f"{address} may not be read") from None


def _part(wanted: ByteRequest | None) -> slice | None:
    if wanted is None:
        return None
    if isinstance(wanted, RangeByteRequest):
        return slice(wanted.start, wanted.end)
    if isinstance(wanted, OffsetByteRequest):
        return slice(wanted.offset, None)
    return slice(-wanted.suffix, None)
