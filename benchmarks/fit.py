"""What a network finds in images that it knows and in others, by which `inference/fit.py` was made.

    python benchmarks/fit.py RUN [--isbi train-volume.tif] [--medulla image.tif]

RUN is a run folder, or starter. It prints for each image the three figures of `Figures` at the run's scale,
1.4 and 2 times that, what is said of the image, and whether that is what should be said. Images that are not
given are left out; of the ISBI 2012 stack the slices 0:20 are used.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from phantoms import draw, render
from scipy import ndimage

from emseg_napari.inference import load_predictor
from emseg_napari.inference.fit import Fit, Probe, fit_of, parts_of
from emseg_napari.io.stacks import read_image
from emseg_napari.models.resampling import resample
from emseg_napari.models.run import open_run
from emseg_napari.settings import PredictionSettings

SAMPLE = Path(__file__).parents[1] / "sample_data" / "phantom.tif"
PIXELS_NM = (3.5, 4.0, 4.5, 5.0, 5.5, 6.0)
SIDE = 400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--isbi", type=Path, help="train-volume.tif of the ISBI 2012 challenge")
    parser.add_argument("--medulla", type=Path, help="image at 10 nm")
    chosen = parser.parse_args()
    predictor = load_predictor(open_run(chosen.run), PredictionSettings())
    print(f"{'image':24} {'said':9} right?  turned/share/shrunk at 1, 1.4 and 2 times the run's scale")
    wrong = 0
    for name, expected, image in images(chosen.isbi, chosen.medulla):
        began = time.process_time()
        said = word_for(fit_of(predictor, image))
        seconds = time.process_time() - began
        probe = Probe(predictor, list(parts_of(predictor, image)))
        found = [probe.figures(factor) for factor in (1.0, 2**0.5, 2.0)]
        is_right = said in expected.split("|")
        wrong += not is_right
        figures = "  ".join(f"{f.turned:.2f}/{f.share:.2f}/{f.shrunk:.2f}" for f in found)
        right = "yes" if is_right else f"NO: {expected}"
        print(f"{name:24} {said:9} {right:7} {figures}  {seconds:.1f} s", flush=True)
    print(f"{wrong} images are not said what they should be")


def word_for(fit: Fit) -> str:
    """Return what is said of an image in a word."""
    if fit.scale is not None:
        return "larger" if fit.scale > 1 else "smaller"
    return "fits" if fit.fits else "inverted" if "inverted" in fit.sentence else "unlike"


def images(isbi: Path | None, medulla: Path | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """Give names, the words that should be said, and images (z, y, x)."""
    yield from others(np.random.default_rng(0))
    known = {"sample phantom": read_image(SAMPLE)}
    if isbi:
        stack = read_image(isbi)[:20]
        known |= {f"ISBI {first}:{first + 5}": stack[first : first + 5] for first in (0, 5, 10, 15)}
        yield "ISBI inverted", "inverted", 255 - stack
        yield "ISBI shrunk to half", "larger", resized(stack[:4], 0.5)
    if medulla:
        stack = read_image(medulla)
        yield "medulla, 10 nm", "larger", stack
        yield "medulla inverted", "inverted|unlike", 255 - stack
        known["medulla enlarged"] = resized(stack[:: len(stack) // 4], 2)
    for name, image in known.items():
        yield name, "fits", image
    for seed, pixel_nm in enumerate(PIXELS_NM * 2):
        expected = "fits" if pixel_nm < 5 else "fits|larger"  # many of them are predicted better enlarged
        yield f"phantom {seed}, {pixel_nm:g} nm", expected, phantom(seed, pixel_nm)
    for seed in range(4):
        yield f"phantom {seed}, 10 nm", "larger|fits", phantom(seed, 10)


def phantom(seed: int, pixel_nm: float) -> np.ndarray:
    """Draw two slices of a phantom."""
    return render(replace(draw(seed), pixel_nm=pixel_nm), (2, SIDE, SIDE), seed).image


def others(random: np.random.Generator) -> Iterator[tuple[str, str, np.ndarray]]:
    """Give images that are no electron micrographs of tissue."""
    for seed in range(2):
        yield f"fluorescence {seed}", "inverted|unlike", fluorescence(np.random.default_rng(seed))
    yield "noise", "unlike", random.integers(0, 256, (2, SIDE, SIDE)).astype(np.uint8)
    for sigma in (1.5, 3):
        smooth = ndimage.gaussian_filter(random.normal(size=(2, SIDE, SIDE)), (0, sigma, sigma))
        yield f"noise, smooth {sigma:g} px", "unlike|smaller", smooth.astype(np.float32)
    yield "gradient", "unlike", np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (2, SIDE, 1))


def fluorescence(random: np.random.Generator) -> np.ndarray:
    """Draw bright filaments and blobs on a dark background, uint8 (z, y, x)."""
    lines, blobs = np.zeros((2, 2, SIDE, SIDE))
    for z in range(2):
        for _ in range(40):
            turns = random.uniform(0, 2 * np.pi) + np.cumsum(random.normal(0, 0.08, SIDE))
            walk = np.cumsum([np.sin(turns), np.cos(turns)], axis=1) + random.uniform(0, SIDE, (2, 1))
            y, x = walk.astype(int) % SIDE
            np.add.at(lines[z], (y, x), 1)
        blobs[z][tuple(random.integers(0, SIDE, (2, 25)))] = random.uniform(200, 900, 25)
    light = 180 * ndimage.gaussian_filter(lines, (0, 1.5, 1.5)) + 24 * ndimage.gaussian_filter(
        blobs, (0, 9, 9)
    )
    return random.poisson(8 + light).clip(0, 255).astype(np.uint8)


def resized(stack: np.ndarray, scale: float) -> np.ndarray:
    """Return a stack (z, y, x) whose slices are enlarged or shrunk."""
    return np.stack([resample(slice_.astype(np.float32), (scale, scale)) for slice_ in stack])


if __name__ == "__main__":
    main()
