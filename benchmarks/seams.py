"""Do tiles leave seams?

    python benchmarks/seams.py IMAGE RUN [RUN ...] [--slice 20] [--tiles 64,160,512] [--sizes 513x300,...]

Predicts a slice, cut or enlarged by mirroring to several sizes, as a whole at one go: the network straight
from its file, mirrored padding at the far faces, scikit-image's resampling, all eight flips and turns where
the run averages them. Then in tiles, and window by window, and prints the largest difference as Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from skimage.transform import resize

from emseg_napari.inference import load_predictor
from emseg_napari.inference.tiles import GRID_PX, tiles, whole
from emseg_napari.io.stacks import read_image
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings

_WINDOW_PX = 200


def untiled(slice_: np.ndarray, run: Run) -> np.ndarray:
    """Predict a slice as a whole, said as plainly as can be."""
    network, scale = straight_from_file(run.network_file), run.record.scale
    shape = [max(1, round(n * s)) for n, s in zip(slice_.shape, scale, strict=True)]
    image = resize(run.record.normalisation.apply(slice_), shape, order=1, preserve_range=True)
    total, count = np.zeros(shape), 0
    for flip in (False, True) if run.settings.network == "compact" else (False,):
        for turns in range(4) if run.settings.network == "compact" else (0,):
            turned = np.rot90(image[:, ::-1] if flip else image, turns)
            back = np.rot90(network(turned.astype(np.float32)), -turns)
            total += back[:, ::-1] if flip else back
            count += 1
    return resize(total / count, slice_.shape, order=1, preserve_range=True)


def straight_from_file(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that maps a network's image (y, x) to its probability."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def network(image: np.ndarray) -> np.ndarray:
        padded = np.pad(image, [(0, -n % GRID_PX) for n in image.shape], mode="reflect")
        found = session.run(None, {name: padded[None, ..., None]})[0][0, ..., 0]
        return found[: image.shape[0], : image.shape[1]]

    return network


def sized(slice_: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut a slice (y, x), or enlarge it by mirroring."""
    missing = [(0, max(0, wanted - n)) for wanted, n in zip(size, slice_.shape, strict=True)]
    return np.pad(slice_, missing, mode="symmetric")[: size[0], : size[1]]


def differences(slice_: np.ndarray, run: Run, tile_sizes: list[int]) -> Iterator[float]:
    """Yield the largest difference for each size of tiles, and for odd windows."""
    expected = untiled(slice_, run)
    for tile_px in tile_sizes:
        predictor = load_predictor(run, PredictionSettings(orientations=8, tile_px=tile_px))
        yield abs(predictor.probability(slice_) - expected).max()
    predictor = load_predictor(run, PredictionSettings(orientations=8))
    levels = predictor.levels(slice_)
    windows = tiles(whole(slice_.shape), _WINDOW_PX - 1)
    yield max(abs(predictor.window(slice_, w, levels) - expected[w]).max() for w in windows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--slice", type=int, default=20)
    parser.add_argument("--tiles", default="64,160,512")
    parser.add_argument("--sizes", default="513x300,1000x777")
    chosen = parser.parse_args()
    tile_sizes = [int(n) for n in chosen.tiles.split(",")]
    slice_ = read_image(chosen.image)[chosen.slice]
    print("| network | slice | " + " | ".join(f"tiles of {n} px" for n in tile_sizes) + " | windows |")
    print("|---" * (len(tile_sizes) + 3) + "|")
    for folder in chosen.runs:
        run = open_run(folder)
        for size in chosen.sizes.split(","):
            height, width = (int(n) for n in size.split("x"))
            found = differences(sized(slice_, (height, width)), run, tile_sizes)
            row = " | ".join(f"{value:.1e}" for value in found)
            print(f"| {run.settings.network} | {height} x {width} | {row} |", flush=True)


if __name__ == "__main__":
    main()
