"""Compilation of pixel-by-pixel functions with numba.

Importing this takes half a second and LLVM: import a module of compiled functions at its first use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function, once per machine, at its first call; other threads run beside it.

    Indices are to be unsigned (`numpy.uint64`) in loops that should take several pixels at a time: a signed
    one may count from the end, which the compiler would have to check for each.
    """
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep the compiled code in: compile it every time
        return njit(**options)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function as a part of those that call it: calls would take longer than what it does."""
    return compiled(function, inline="always")
