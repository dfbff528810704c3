"""Addresses in object stores and on web servers, which stand where the path of a file stands.

An `Address` has the part of `pathlib.Path` that readers use, so that one reader serves both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from emseg_napari.core.jobs import UserError
from emseg_napari.io import object_store
from emseg_napari.io.pure_address import PureAddress, keep_query

_ADDRESS = re.compile(r"(https?|s3|gs)://([^/?#]*)/?([^?#]*)\??([^#]*)", re.IGNORECASE)
_SERVER = re.compile(r"[^:]*(:\d*)?|\[[^\]]*\](:\d*)?")  # a server without one or with one, also of IPv6
_OTHER_KIND = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)  # one letter is a drive of Windows
_STORE_ADDRESS = re.compile(r"(s3|gs)://([^/]*)/?(.*)()", re.IGNORECASE)


class Address(PureAddress):
    """Place of an object in a store, or of what lies below it; as `pathlib.Path` is of a file or folder."""

    def is_file(self) -> bool:
        """Whether there is an object; one that may not be read counts as none."""
        return object_store.is_there(self)

    def is_dir(self) -> bool:
        """Whether objects lie below; of a web server, which lists nothing, that is assumed."""
        return self.is_web or any(object_store.keys_below(self))

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
        If it is an address without a server or bucket, with a password in it, or of a kind that is not read.
    """
    if isinstance(path, Address):
        return path
    text = str(path).strip()
    found = (_STORE_ADDRESS.fullmatch(text) or _ADDRESS.match(text)) if isinstance(path, str) else None
    if found is None:
        _check_kind(text)
        return Path(path)
    scheme, server, key, query = found.groups()
    if "@" in server or ("@" in text and not _SERVER.fullmatch(server)):  # a password may hold any sign
        raise UserError(
            f"An address {scheme.lower()}://... was given with a name or password, which it must not hold; "
            "leave it out."
        )
    if not server:
        raise UserError(f"{scheme.lower()}:// is not a whole address; write one such as s3://bucket/a.zarr.")
    address = Address(f"{scheme.lower()}://{server}", _plain(key, scheme))
    if query:
        keep_query(address, query)
    return address


def _check_kind(text: str) -> None:
    found = _OTHER_KIND.match(text)
    if found and not Path(text).exists():
        raise UserError(
            f"{found[0]} is not a kind of address that emseg reads: http://, https://, s3:// or gs://; write "
            "one of these, or the path of a file or folder."
        )


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
