"""Arrays of other programs with the axes x, y, z, written by TensorStore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.extras import import_extra
from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import VolumeWindow


class TensorArray:
    """An array that is created, written and read by windows (z, y, x).

    Parameters
    ----------
    folder : Path
        Where it lies.
    spec : dict
        Of TensorStore, without the place.
    channel_first : bool
        Whether its axes are channel, x, y, z, else x, y, z, channel.

    Raises
    ------
    UserError
        If it cannot be created.
    """

    def __init__(self, folder: Path, spec: dict[str, Any], channel_first: bool) -> None:
        tensorstore = import_extra("tensorstore", "stores", "This format")
        place = {"kvstore": {"driver": "file", "path": f"{folder}/"}, "create": True}
        self._folder, self._channel_first = folder, channel_first
        self._array = self._explained(lambda: tensorstore.open(spec | place).result())

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        return np.asarray(self._array[self._key(window)].read().result()).T

    def write(self, window: VolumeWindow, values: np.ndarray) -> None:
        """Write the voxels of a window.

        Raises
        ------
        UserError
            If they cannot be written.
        """
        self._explained(lambda: self._array[self._key(window)].write(values.T).result())

    def _key(self, window: VolumeWindow) -> tuple[int | slice, ...]:
        z, y, x = window
        return (0, x, y, z) if self._channel_first else (x, y, z, 0)

    def _explained(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except ValueError as error:  # which TensorStore raises of all that the system refuses
            raise UserError(f"{self._folder} cannot be written: {_reason(str(error))}.") from error


def _reason(text: str) -> str:
    if "No space left" in text or "quota" in text.lower():
        return "the disk is full; free some space or choose another disk"
    if "ermission denied" in text or "Read-only" in text:
        return "it is not writable; choose another place"
    return text.partition(" [")[0]
