"""Addresses in object stores and on web servers, which stand where the path of a file stands.

An `Address` has the part of `pathlib.Path` that readers use, so that one reader serves both. It never holds a
secret: the query of a signed address is kept beside it, in this process, and goes along where it is pickled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from emseg_napari.core.jobs import UserError

_ADDRESS = re.compile(r"(https?|s3|gs)://([^/?#]*)/?([^?#]*)\??([^#]*)", re.IGNORECASE)
_STORE_ADDRESS = re.compile(r"(s3|gs)://([^/]*)/?(.*)()", re.IGNORECASE)
_CONTAINERS = (".zarr", ".n5")
_UNQUOTED = "/~-._:@!$&'()*+,;="
_QUERIES: dict[str, str] = {}  # by the text of the address that it was given with


@dataclass(frozen=True, order=True)
class Address:
    """Place of an object, or of what lies below it.

    Attributes
    ----------
    base : str
        Bucket or server: ``s3://bucket``, ``gs://bucket``, ``https://server:8000``.
    key : str
        Path in it, without a slash at its ends; of a web server without percent signs for other characters.
    """

    base: str
    key: str = ""

    def __str__(self) -> str:
        key = quote(self.key, safe=_UNQUOTED) if self.is_web else self.key
        return f"{self.base}/{key}".rstrip("/")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.base, self.key, self.query)

    def __truediv__(self, name: str) -> Address:
        return Address(self.base, f"{self.key}/{str(name).strip('/')}".strip("/"))

    @property
    def scheme(self) -> str:
        """One of "http", "https", "s3" and "gs"."""
        return self.base.partition("://")[0]

    @property
    def is_web(self) -> bool:
        """Whether a web server answers, which can neither list what it has nor be written to."""
        return self.scheme in ("http", "https")

    @property
    def query(self) -> str:
        """What the user gave behind the question mark, here or above: a secret, never to be shown or kept."""
        around = map(str, (self, *self.parents))
        return next((_QUERIES[one] for one in around if one in _QUERIES), "")

    @property
    def name(self) -> str:
        """Last part of the key; of a whole bucket or server its name."""
        return PurePosixPath(self.key).name or self.base.partition("://")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Of the name, such as ".zarr"."""
        return PurePosixPath(self.key).suffix

    @property
    def name_in_container(self) -> str:
        """What it is called in sentences: its name, or that of the container above and the path there."""
        ends = [part.endswith(_CONTAINERS) for part in self.key.lower().split("/")]
        return "/".join(self.key.split("/")[ends.index(True) :]) if True in ends else self.name

    @property
    def parent(self) -> Address:
        """The address above."""
        return Address(self.base, self.key.rpartition("/")[0])

    @property
    def parents(self) -> list[Address]:
        """All addresses above, the nearest first; the last one is the bucket or server."""
        parts = self.key.split("/") if self.key else []
        return [Address(self.base, "/".join(parts[:n])) for n in reversed(range(len(parts)))]

    def absolute(self) -> Address:
        """Return the address itself."""
        return self

    def resolve(self) -> Address:
        """Return the address itself: in a store there are no links."""
        return self

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def is_relative_to(self, other: Any) -> bool:
        """Whether it is another address or lies below it."""
        return other == self or other in self.parents

    def relative_to(self, other: Any) -> PurePosixPath:
        """Return the path from another address to this one."""
        if not self.is_relative_to(other):
            raise ValueError(f"{self} does not lie in {other}")
        return PurePosixPath(self.key).relative_to(other.key)

    def is_file(self) -> bool:
        """Whether there is an object; one that may not be read counts as none."""
        from emseg_napari.io import object_store

        return object_store.is_there(self)

    def is_dir(self) -> bool:
        """Whether objects lie below; of a web server, which lists nothing, that is assumed."""
        return self.is_web or any(self.iterdir())

    def exists(self) -> bool:
        """Whether there is an object, or some lie below."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[Address]:
        """Give what lies directly below.

        Raises
        ------
        UserError
            If it cannot be listed, as on a web server.
        """
        from emseg_napari.io import object_store

        return (self / name for name in object_store.names_below(self))

    def read_bytes(self, part: slice | None = None) -> bytes:
        """Return the content of an object, or a part of it.

        Raises
        ------
        FileNotFoundError
            If there is none.
        UserError
            If the store cannot be reached, or refuses.
        """
        from emseg_napari.io import object_store

        return object_store.read(self, part)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content of an object as text."""
        return self.read_bytes().decode(encoding)


Location = Path | Address


def is_address(text: object) -> bool:
    """Whether a text is an address, and not a path."""
    return isinstance(text, Address) or bool(_ADDRESS.match(str(text)))


def location_of(path: str | Location) -> Location:
    """Return the address that a text is, or else the path.

    Parameters
    ----------
    path : str, Path or Address
        As the user gave it. What follows a question mark in the address of a web server is sent with every
        request below it, as a signed address needs, but is not a part of what is returned.

    Raises
    ------
    UserError
        If it is an address without a server or bucket, or with a password in it.
    """
    if isinstance(path, Address):
        return path
    text = str(path).strip()
    found = (_STORE_ADDRESS.fullmatch(text) or _ADDRESS.match(text)) if isinstance(path, str) else None
    if found is None:
        return Path(path)
    scheme, server, key, query = found.groups()
    address = Address(f"{scheme.lower()}://{server}", _plain(key, scheme))
    if "@" in server:
        address = Address(f"{scheme.lower()}://{server.rpartition('@')[2]}", address.key)
        raise UserError(
            f"{address} was given with a name or password, which an address must not hold; leave it out."
        )
    if not server:
        raise UserError(f"{scheme.lower()}:// is not a whole address; write one such as s3://bucket/a.zarr.")
    if query:
        _QUERIES[str(address)] = query
    return address


def local_path(path: str | Location) -> Path:
    """Return the path of what can only lie on a disk.

    Raises
    ------
    UserError
        If it is an address.
    """
    location = location_of(path)
    if isinstance(location, Address):
        raise UserError(
            f"{location} is an address, to which only 'emseg predict' and scripts write, and only NAME.zarr; "
            "choose a file or folder."
        )
    return location


def real_place(location: Location) -> str:
    """Return by what one place is recognised: a path without links, or the address."""
    return str(location) if isinstance(location, Address) else os.path.realpath(location)


def _plain(key: str, scheme: str) -> str:
    key = key.strip("/")
    return unquote(key) if scheme.lower().startswith("http") else key


def _restored(base: str, key: str, query: str) -> Address:
    address = Address(base, key)
    if query and not address.query:
        _QUERIES[str(address)] = query
    return address
