"""Cells with one number through the slices, and a table with the slices and the volume of each."""

from pathlib import Path
from tempfile import TemporaryDirectory

from emseg_napari import predict, segment
from emseg_napari.io.samples import phantom
from emseg_napari.segmentation.cell_table import cells_by_slice, measured, write_table

VOXEL_NM3 = 50 * 4 * 4  # of the sample: slices of 50 nm, pixels of 4 nm


def main(**settings) -> None:
    image, _ = phantom()
    cells = segment(predict(image, "starter", slices=(0, 4), **settings), link=True)
    table = measured(cells_by_slice(cells).items(), (VOXEL_NM3, "nm"), is_linked=True)
    with TemporaryDirectory() as folder:
        write_table(Path(folder, "cells.csv"), table)
        lines = Path(folder, "cells.csv").read_text("utf-8").splitlines()
    print("\n".join(lines[:4]))
    largest = table["voxels"].argmax()
    print(f"{cells.max()} cells; the largest is {table['cell'][largest]}, {table['slices'][largest]} slices")


if __name__ == "__main__":
    main()
