"""Cases of a test that only ``.ci/test --all`` runs, since another case shows nearly the same."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_case(*values: Any, id: str | None = None) -> Any:
    """A case of `pytest.mark.parametrize` with the marker ``slow``."""
    return pytest.param(*values, marks=pytest.mark.slow, id=id)


def slow_but(quick: Iterable[Any], cases: Iterable[Any]) -> list[Any]:
    """All cases, of which only those in `quick` run every time."""
    quick = list(quick)
    return [
        case if case in quick else slow_case(*case if isinstance(case, tuple) else [case]) for case in cases
    ]
