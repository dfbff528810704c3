"""What an address in an object store or on a web server is made of, without asking the store.

It never holds a secret: the query of a signed address is kept beside it, in this process, and goes along
where it is pickled.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Self
from urllib.parse import quote


class _Query(NamedTuple):
    """What a user gave behind a question mark, with which address, and when (ns since 1970)."""

    text: str
    place: str
    given: int


QUERIES: dict[str, _Query] = {}  # by the text of the address that it was given with
_CONTAINERS = (".zarr", ".n5")
_UNQUOTED = "/~-._:@!$&'()*+,;="


@dataclass(frozen=True, order=True)
class PureAddress:
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
        return _restored, (type(self), self.base, self.key, self._query)

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.base, f"{self.key}/{str(name).strip('/')}".strip("/"))

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
        found = self._query
        return found.text if found else ""

    @property
    def _query(self) -> _Query | None:
        around = map(str, (self, *self.parents))
        return next((QUERIES[one] for one in around if one in QUERIES), None)

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
    def parent(self) -> Self:
        """The address above."""
        return type(self)(self.base, self.key.rpartition("/")[0])

    @property
    def parents(self) -> list[Self]:
        """All addresses above, the nearest first; the last one is the bucket or server."""
        parts = self.key.split("/") if self.key else []
        return [type(self)(self.base, "/".join(parts[:n])) for n in reversed(range(len(parts)))]

    def absolute(self) -> Self:
        """Return the address itself."""
        return self

    def resolve(self) -> Self:
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


def keep_query(address: PureAddress, text: str) -> None:
    """Send what a user gave behind a question mark along with all requests at an address and below it."""
    _keep(_Query(text, str(address), time.time_ns()))


def _keep(query: _Query) -> None:
    """Keep a query in place of all earlier ones at its address and below."""
    for place, known in list(QUERIES.items()):
        if f"{place}/".startswith(f"{query.place}/") and known.given <= query.given:
            QUERIES.pop(place, None)
    QUERIES[query.place] = query


def _restored(kind: type[PureAddress], base: str, key: str, query: _Query | None) -> PureAddress:
    address = kind(base, key)
    known = address._query
    if query and (known is None or known.given < query.given):  # a signature that was renewed
        _keep(query)
    return address
