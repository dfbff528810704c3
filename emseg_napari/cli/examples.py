"""Two examples of every command, as they are typed: the end of its help.

A command of a group stands here with the group's name before its own: ``model list``. Tests type each of
them, and ask that no command lacks its two.
"""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, str]] = {
    "train": (
        "emseg train image.tif labels.tif --output my-run --minutes 5",
        "emseg train image.tif labels.tif --output run2 --from my-run --slices 0:20",
    ),
    "predict": (
        "emseg predict starter image.tif --output boundaries.tif",
        "emseg predict my-run stacks/*.tif --as probability --output-folder out",
    ),
    "segment": (
        "emseg segment probability.tif --output cells.tif",
        "emseg segment probability.zarr --output cells.zarr --link",
    ),
    "evaluate": (
        "emseg evaluate boundaries.tif labels.tif",
        "emseg evaluate probability.tif labels.tif --slices 20:30 --run my-run",
    ),
    "info": (
        "emseg info my-run",
        "emseg info image.zarr --json",
    ),
    "export": (
        "emseg export labels.tif --image image.tif --output training-data",
        "emseg export labels.tif --image image.tif --output labels-3.tif --slices 0:3",
    ),
    "convert": (
        "emseg convert cells.zarr --output cells-wk --to webknossos --image image.tif",
        "emseg convert cells.tif --output for-fiji.tif --to tiff --slices 0:20",
    ),
    "table": (
        "emseg table cells.zarr --output cells.csv",
        "emseg table cells.tif --output cells.csv --by-slice",
    ),
    "reproduce": (
        "emseg reproduce boundaries.tif",
        "emseg reproduce my-run --image image.tif --labels labels.tif --output again",
    ),
    "model export": (
        'emseg model export my-run --output run.zip --author "A. Person" --license MIT',
        "emseg model export starter --output starter.zip --pixel-nm 5",
    ),
    "model import": (
        "emseg model import package.zip --output package-run",
        "emseg model import net.keras --output net-run --normalisation standard",
    ),
    "model list": (
        "emseg model list",
        "emseg model list /data/runs --json",
    ),
    "model info": (
        "emseg model info starter",
        "emseg model info package.zip --json",
    ),
    "doctor": (
        "emseg doctor",
        "emseg doctor --json",
    ),
    "demo": (
        "emseg demo",
        "emseg demo image.tif",
    ),
}
