"""What readers of TIFF and PNG share: names of files, and a sentence for every failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from emseg_napari.core.jobs import UserError

BIGTIFF_SUFFIXES = (".btf", ".tf8", ".tf2")
TIFF_SUFFIXES, PNG_SUFFIXES = (".tif", ".tiff", *BIGTIFF_SUFFIXES), (".png",)

T = TypeVar("T")


def guarded(reader: Callable[[Path], T], path: Path) -> T:
    """Call `reader`; decoders raise anything at all on damaged files, and it all means the same."""
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path.name} is empty (0 bytes); save or copy it again.")
        return reader(path)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path.name} does not fit into memory; save a part of it as a file.") from None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the name.") from None
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror or error}); check the file.") from error
    except Exception as error:
        raise UserError(
            f"{path.name} is damaged or not an image ({one_line(error)}); save or copy it again."
        ) from error


def one_line(error: Exception) -> str:
    """Return what an error says, short enough for a sentence."""
    return " ".join(str(error).split())[:200] or type(error).__name__
