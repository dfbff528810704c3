"""A property that is computed when it is first wanted, and kept."""

from __future__ import annotations

from functools import cached_property
from threading import RLock
from typing import Any, TypeVar, cast

T = TypeVar("T")


class lazy_property(cached_property[T]):
    """`functools.cached_property` with a lock for each object, for what a disk or a server may keep waiting.

    That of Python 3.11 has one lock for all objects of a class: while one waits for a server, so do all.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """Return the value, computed once however many threads want it."""
        if instance is None:
            return self
        kept, name = instance.__dict__, cast(str, self.attrname)
        if name not in kept:
            lock = f"_lock_of_{name}"
            with kept.setdefault(lock, RLock()):
                try:
                    if name not in kept:
                        kept[name] = self.func(instance)
                    return kept[name]
                finally:
                    kept.pop(lock, None)
        return kept[name]
