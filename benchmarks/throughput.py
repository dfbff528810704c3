"""How fast slices are predicted, against the network alone, PyTorch and the machine's peak.

    python benchmarks/throughput.py RUN IMAGE [--torch PYTHON] [--sizes 512 1024 2048 4096] [--rounds 5]

IMAGE is mirrored on and on to squares of these sides. Processes wait for each other and take turns, so that
they meet the same machine:

network  the exported network in ONNX Runtime, the whole slice, normalised, in memory
slice    `SlicePredictor`, from grey values, in tiles, one orientation
gaps     closing of the gaps in it
volume   `predict_volume` of some such slices into an OME-Zarr on disk, one orientation, gaps left open
keras    the model as it was trained, float32 and bfloat16
torch    the same network in PyTorch (channels_last, inference mode), float32 and bfloat16; PYTHON is an
         interpreter that has torch
peak     products of 2048 x 2048 in numpy and 3x3 convolutions 64 -> 64 in ONNX Runtime

Ratios are medians over the rounds of the time of `network` divided by theirs: by the clock, and by the
processor time that they take, which other programs disturb less (but threads that wait for each other spend
some). The share of the peak goes by processor time, too. Errors are the largest differences in probability
from `network`. GFLOP count multiplications and additions.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from throughput_processes import FIRST, PARTS, PEAKS, Given, depth


def prepare(folder: Path, run: Path, pixels: np.ndarray, sides: list[int]) -> Given:
    from emseg_napari.inference.grid import Grid
    from emseg_napari.inference.tiles import whole
    from emseg_napari.models.checkpoints import load_checkpoint
    from emseg_napari.models.onnx_export import layers_of
    from emseg_napari.models.run import open_run
    from emseg_napari.models.unet import build

    (folder / "run").symlink_to(run.resolve())
    opened = open_run(run)
    record, model = opened.record, build(opened.settings.network)
    load_checkpoint(model, opened.best_checkpoint)
    for side in sides:
        slice_ = np.pad(pixels, [(0, side - n) for n in pixels.shape], mode="symmetric")
        grid = Grid(slice_.shape, record.scale)
        image = grid.read(slice_, record.normalisation.levels(slice_), whole(grid.shape))
        np.save(folder / f"slice_{side}.npy", slice_)
        np.save(folder / f"image_{side}.npy", image[None, ..., None])
    layers = {layer.name: vars(layer) for layer in layers_of(model)}
    (folder / "layers.pickle").write_bytes(pickle.dumps(layers))
    return Given(folder)


def gflop(given: Given, side: int) -> float:
    total, widths = 0.0, {"image": given.image(side).shape[1]}
    for name, layer in given.layers().items():
        before = widths[layer["inputs"][0]]
        transposed = layer["kind"] == "ConvTranspose"
        widths[name] = before * layer["stride"] if transposed else before // layer["stride"]
        if layer["weights"] is not None:
            total += 2 * layer["weights"].size * (before if transposed else widths[name]) ** 2 / 1e9
    return total


def serve(part: str, folder: Path, threads: int) -> None:
    """Do each of a part's works for every side that comes in, and tell seconds by both clocks."""
    given = Given(folder)
    works = PARTS[part](given, threads)
    done = sys.stdout
    sys.stdout = sys.stderr  # Keras prints
    for line in sys.stdin:
        side, told = int(line), {}
        for name, work in works.items():
            slices = depth(side) if name == "volume" else max(1, 1024 // side)
            clock, processor = time.perf_counter(), time.process_time()
            for _ in range(1 if name == "volume" else slices):
                found = work(side)
            seconds = [time.perf_counter() - clock, time.process_time() - processor]
            told[name] = [s / slices for s in seconds]
            if found is not None and name not in PEAKS:
                np.save(folder / f"found {name} {side}.npy", np.squeeze(found))
        done.write(json.dumps(told) + "\n")
        done.flush()


class Parts:
    """The processes that take turns."""

    def __init__(self, given: Given, interpreters: dict[str, str], threads: int) -> None:
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self._processes = [
            subprocess.Popen(
                [python, __file__, str(given.folder), part, "--serve", "--threads", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | limits | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            for part, python in interpreters.items()
        ]

    def turn(self, side: int) -> dict[str, list[float]]:
        """Let each do its works once."""
        told: dict[str, list[float]] = {}
        for process in self._processes:
            process.stdin.write(f"{side}\n")
            process.stdin.flush()
            told |= json.loads(process.stdout.readline())
        return told

    def end(self) -> None:
        for process in self._processes:
            process.communicate()


def table(given: Given, side: int, rounds: list[dict[str, list[float]]]) -> None:
    times = {name: np.array([told[name] for told in rounds]) for name in rounds[0]}
    whole = gflop(given, side)
    reached = [PEAKS[name] / seconds[:, 1] for name, seconds in times.items() if name in PEAKS]
    peak = np.max(reached, axis=0) if reached else np.full(len(rounds), np.nan)
    print(f"\n{side} x {side}: {whole:.1f} GFLOP; peak {np.median(peak):.0f} GFLOP a processor second")
    print("| | ms | megapixels/s | x network, clock | processor | of the peak, processor | error |")
    print("|---|---|---|---|---|---|---|")
    for name in [name for name in times if name not in PEAKS]:
        seconds = times[name]
        middle = float(np.median(seconds[:, 0]))
        clock, processor = np.median(times[FIRST] / seconds, axis=0)
        share = np.median(whole / seconds[:, 1] / peak)
        print(
            f"| {name} | {middle * 1e3:.0f} | {side**2 / middle / 1e6:.1f} | {clock:.2f} | {processor:.2f} | "
            f"{share:.0%} | {error(given, name, side)} |"
        )


def error(given: Given, name: str, side: int) -> str:
    try:
        found, plain = (np.load(given.folder / f"found {one} {side}.npy") for one in (name, FIRST))
    except FileNotFoundError:
        return ""
    return f"{np.abs(found - plain).max():.0e}" if found.shape == plain.shape else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("image")
    parser.add_argument("--slice", type=int, default=20)
    parser.add_argument("--torch", help="an interpreter that has torch")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--leave-out", nargs="*", default=[], choices=PARTS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.image, chosen.run, chosen.threads)
        return
    interpreters = dict.fromkeys(PARTS, sys.executable) | {"torch": chosen.torch}
    interpreters = {p: i for p, i in interpreters.items() if i and p not in chosen.leave_out}
    with tempfile.TemporaryDirectory() as folder:
        compare(chosen, Path(folder), interpreters)


def compare(chosen: argparse.Namespace, folder: Path, interpreters: dict[str, str]) -> None:
    from emseg_napari.io.stacks import read_image

    given = prepare(folder, chosen.run, read_image(Path(chosen.image))[chosen.slice], chosen.sizes)
    for side in chosen.sizes:
        parts = Parts(given, interpreters, chosen.threads)
        parts.turn(side)  # to warm up
        table(given, side, [parts.turn(side) for _ in range(chosen.rounds)])
        parts.end()


if __name__ == "__main__":
    main()
