"""Which files of a folder are the slices of one stack, and in which order: told from their names alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emseg_napari.core.jobs import UserError
from emseg_napari.io.decode import PNG_SUFFIXES, TIFF_SUFFIXES

_NUMBER = re.compile(r"([-+]?)([0-9]+)", re.ASCII)
_COPY = re.compile(r"( \([0-9]+\)| ?\(copy\)| - copy| copy| - kopie)( ?\(?[0-9]+\)?)?$", re.ASCII)
_MOST_LISTED = 5


@dataclass(frozen=True)
class _Name:
    """The name of a file without its suffix: words, and the numbers between them.

    A hyphen is a sign only if other names have none at its place: see `_signed`.
    """

    path: Path
    words: tuple[str, ...]
    signs: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> _Name:
        stem = path.stem.lower()
        found = _NUMBER.findall(stem)
        signs, numbers = tuple(sign for sign, _ in found), tuple(int(digits) for _, digits in found)
        return cls(path, tuple(_NUMBER.sub("\0", stem).split("\0")), signs, numbers)


def slice_files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the TIFF and PNG files of a folder in the order of the numbers in their names, and notes.

    Hidden files and those of other formats are ignored.

    Raises
    ------
    UserError
        If there are none, they are more than one stack, or their order is not clear.
    """
    try:
        paths = [path for path in folder.iterdir() if _is_slice(path)]
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error
    inner = _folders_with_slices(folder) if len(paths) < 2 else []
    if not paths and len(inner) == 1:
        paths, notes = slice_files(inner[0])
        return paths, (f"its slices lie in {inner[0].name}", *notes)
    if inner:
        a, b = [*paths, *sorted(inner)][:2]
        raise UserError(f"{folder} holds {a.name} and {b.name}, and each may be the stack; choose one.")
    if not paths:
        raise UserError(f"{folder} has no TIFF or PNG files; choose a folder of numbered slices.")
    if len(paths) == 1:
        return paths, ()
    _check_twins(folder, paths)
    names = [_Name.of(path) for path in sorted(paths)]
    numbered = _numbered(folder, names)
    return [path for _, path in numbered], _kinds(names) + _gaps([number for number, _ in numbered])


def _folders_with_slices(folder: Path) -> list[Path]:
    """Return the folders in a folder in which slices lie, as some microscopes leave them."""
    return [path for path in folder.iterdir() if not path.name.startswith(".") and _has_slices(path)]


def _has_slices(path: Path) -> bool:
    try:
        return path.is_dir() and any(map(_is_slice, path.iterdir()))
    except OSError:  # it may not be entered
        return False


def _is_slice(path: Path) -> bool:
    known = path.suffix.lower() in TIFF_SUFFIXES + PNG_SUFFIXES
    return known and not path.name.startswith(".") and path.is_file()


def _refused(folder: Path, what: str) -> UserError:
    return UserError(f"{folder.name} {what}; keep the files of one stack in a folder of its own.")


def _check_twins(folder: Path, paths: Sequence[Path]) -> None:
    """Raise `UserError` if two files are one slice: of another format, or a copy."""
    stems: dict[str, Path] = {}
    for path in sorted(paths):
        twin = stems.setdefault(path.stem.lower(), path)
        if twin != path:
            raise _refused(folder, f"holds {twin.name} and {path.name}, and only one can be the slice")
    for stem, path in stems.items():
        original = stems.get(_COPY.sub("", stem))
        if original not in (None, path):
            raise _refused(folder, f"holds {path.name}, which is named as a copy of {original.name}")


def _numbered(folder: Path, names: list[_Name]) -> list[tuple[int, Path]]:
    """Return the number of each slice with its file, in order."""
    without = next((name.path.name for name in names if not name.numbers), None)
    if without is not None:
        raise _refused(folder, f"holds {without}, which has no number that says its place among the others")
    if len({name.words for name in names}) > 1:
        return _of_several_kinds(folder, names)
    signed = _signed(folder, names)
    varying = [column for column in zip(*signed, strict=True) if len(set(column)) > 1]
    order = sorted(range(len(names)), key=lambda n: signed[n])
    for column in varying:
        if all(column[a] < column[b] for a, b in itertools.pairwise(order)):
            return [(column[n], names[n].path) for n in order]
    _check_equal(folder, [(signed[n], names[n].path) for n in order])
    a, b = names[order[0]].path.name, names[order[1]].path.name
    raise _refused(
        folder,
        f"has several numbers in the names of its files, such as {a} and {b}, so that their order is not "
        "clear (tiles, channels or points in time?)",
    )


def _signed(folder: Path, names: list[_Name]) -> list[tuple[int, ...]]:
    """Return the numbers of names of one kind; a hyphen that all of them have is none of a number.

    Raises
    ------
    UserError
        If only some have one, and neither a 0 nor a plus says that it is a minus.
    """
    signs = list(zip(*(name.signs for name in names), strict=True))
    negative = [set(column) != {"-"} for column in signs]
    for column, numbers in zip(signs, zip(*(name.numbers for name in names), strict=True), strict=True):
        if set(column) == {"-", ""} and 0 not in numbers:
            a, b = (names[column.index(sign)].path.name for sign in ("-", ""))
            raise _refused(folder, f"holds {a} and {b}, where a hyphen may be a minus (name all alike)")
    return [
        tuple(
            -number if sign == "-" and may_be else number
            for number, sign, may_be in zip(name.numbers, name.signs, negative, strict=True)
        )
        for name in names
    ]


def _of_several_kinds(folder: Path, names: list[_Name]) -> list[tuple[int, Path]]:
    """Return slices whose names differ in words too, where their last numbers say the order of the names."""
    found = sorted((name.numbers[-1], name.path) for name in names)
    _check_equal(folder, [((number,), path) for number, path in found])
    by_name = sorted(names, key=lambda name: [*zip(name.words, (*name.numbers, 0), strict=True)])
    if [path for _, path in found] != [name.path for name in by_name]:
        a, b = names[0], next(name for name in names if name.words != names[0].words)
        raise _refused(folder, f"holds files of several kinds, such as {a.path.name} and {b.path.name}")
    return found


def _check_equal(folder: Path, numbered: Sequence[tuple[tuple[int, ...], Path]]) -> None:
    for (number, path), (after, other) in itertools.pairwise(numbered):
        if number == after:
            raise _refused(folder, f"holds {path.name} and {other.name}, which have the same number")


def _kinds(names: Sequence[_Name]) -> tuple[str, ...]:
    """Say that the names differ in more than their numbers, which may be a file of another stack."""
    other = next((name for name in names if name.words != names[0].words), None)
    if other is None:
        return ()
    return (
        f"its files are named in different ways, such as {names[0].path.name} and {other.path.name}; they "
        "are read as one stack, in the order of the last number in each name",
    )


def _gaps(numbers: Sequence[int]) -> tuple[str, ...]:
    """Say which numbers have no slice."""
    jumps = [(a, b) for a, b in itertools.pairwise(numbers) if b - a > 1]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    if not jumps:
        return ()
    if len(steps) == 1 and len(numbers) > 2:
        return (f"the numbers in the names of its files go up in steps of {steps.pop()}",)
    missing = [str(a + 1) if b - a == 2 else f"{a + 1} to {b - 1}" for a, b in jumps]
    listed = ", ".join(missing[:_MOST_LISTED]) + (", ..." if len(missing) > _MOST_LISTED else "")
    return (f"no file has the number {listed}; the slices beside such a gap count as neighbours",)
