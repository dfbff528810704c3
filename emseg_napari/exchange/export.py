"""Export of a run as a bioimage.io package: one zip file with both weights and all that describes them.

The format is that of https://bioimage-io.github.io/spec-bioimage-io (model description 0.5).
"""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from emseg_napari.core.files import check_place
from emseg_napari.core.jobs import JobContext, Progress, UserError
from emseg_napari.core.owned_output import writing_file
from emseg_napari.exchange.credits import Credits
from emseg_napari.exchange.median import with_median
from emseg_napari.exchange.package_files import DESCRIPTIONS, KERAS_FILE, ONNX_FILE, OWN_FILES, PackageFiles
from emseg_napari.inference.backends import load_backend
from emseg_napari.inference.slice_predictor import SlicePredictor
from emseg_napari.inference.tiles import GRID_PX, HALOS
from emseg_napari.io.formats.png import encoded_png
from emseg_napari.io.samples import phantom
from emseg_napari.models.run import Run, is_starter
from emseg_napari.models.starter import STARTER_FOLDER
from emseg_napari.training.keras_import import import_keras

FORMAT_VERSION = "0.5.12"
_TEST_WINDOW = slice(64, 320), slice(64, 320)  # of the phantom's first slice
_OPSET = 15
_EXPORTED = tuple(HALOS)


def check_exportable(run: Run) -> None:
    """Raise `UserError` unless a run is a network that a package can hold."""
    name = run.settings.network
    if name not in _EXPORTED:
        raise UserError(
            f"{run.folder.name} is '{name}', and only networks that emseg-napari trained from its own kinds "
            f"({', '.join(_EXPORTED)}) can be exported; "
            + ("pass on the file that it came from." if name == "imported" else "train one of these.")
        )
    for file in (run.network_file, run.best_checkpoint):
        if not file.is_file():
            raise UserError(
                f"{run.folder.name} has no {file.name}; let its training end, or choose another run."
            )


def export_package(
    run: Run,
    target: Path,
    credits: Credits,
    *,
    name: str | None = None,
    pixel_nm: float | None = None,
    training_data: str | None = None,
    context: JobContext | None = None,
) -> None:
    """Write a run as a bioimage.io package.

    Parameters
    ----------
    run : Run
        A finished `compact` or `reference`.
    target : Path
        The zip file to write.
    credits : Credits
    name : str, optional
        Of the network; that of the run's folder if not given.
    pixel_nm : float, optional
        Side of a pixel, of the images that it was trained on, in nm; at the scale of the run the package
        states that of the resampled image.
    training_data : str, optional
        What it was trained on, in words, with an address or a DOI.
    context : JobContext, optional
        Gets a `Progress` per part.

    Raises
    ------
    UserError
        If the run is not such a network, or the file cannot be written or is anything but an older package.
    """
    context = context or JobContext()
    check_exportable(run)
    _check_target(target)
    context.report(Progress(0.0, None, "starting Keras"))
    files = _weights(run)
    context.check_stop()
    context.report(Progress(0.8, None, "predicting the test image"))
    image, probability = _test_tensors(run)
    files |= {
        "test-input.npy": _npy(image[None, ..., None]),
        "test-output.npy": _npy(probability[None, ..., None]),
        "cover.png": _cover(image, probability),
        "README.md": _readme(run, credits, training_data).encode(),
    }
    files |= {file: (run.folder / file).read_bytes() for file in OWN_FILES}
    description = _described(run, credits, name or run.folder.name, pixel_nm, files)
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=100)
    with writing_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {DESCRIPTIONS[0]: text.encode(), **files}.items():
            archive.writestr(path, content)


def _check_target(target: Path) -> None:
    """Raise `UserError` unless the file can be written, and none but an older package is replaced by it."""
    if target.suffix.lower() != ".zip":
        raise UserError(f"A package is a .zip file, and {target} is none; give a name that ends with .zip.")
    check_place(target)
    if target.exists():
        try:
            PackageFiles(target)
        except UserError:
            raise UserError(
                f"{target} exists, is not a bioimage.io package and is not replaced; choose another name."
            ) from None


def _weights(run: Run) -> dict[str, bytes]:
    """Return both files of weights, which map an image of which 5 to 95 % of the pixels span 0 to 1."""
    import_keras()
    from emseg_napari.exchange.keras_network import saved_with_median

    with TemporaryDirectory() as folder:
        path = Path(folder) / KERAS_FILE
        saved_with_median(run, path)
        keras_file = path.read_bytes()
    return {KERAS_FILE: keras_file, ONNX_FILE: with_median(run.network_file.read_bytes())}


def _test_tensors(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of the phantom, as the network would see it, and what is predicted: float32 (y, x)."""
    image = phantom()[0][0][_TEST_WINDOW].astype(np.float32)
    record = run.record.model_copy(update={"scale": (1.0, 1.0)})
    return image, SlicePredictor(record, load_backend(run, 0)).probability(image)


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _cover(image: np.ndarray, probability: np.ndarray) -> bytes:
    """Return a picture of the test image, and of its boundaries beside it."""
    return encoded_png(np.hstack([image, 255 * (1 - probability)]).round().astype(np.uint8))


def _described(
    run: Run, credits: Credits, name: str, pixel_nm: float | None, files: dict[str, bytes]
) -> dict[str, Any]:
    """Return the description of the package, as YAML has it."""

    def file(path: str, **more: Any) -> dict[str, Any]:
        return {"source": path, "sha256": sha256(files[path]).hexdigest(), **more}

    authors = [{"name": author} for author in credits.authors]
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": _allowed_name(name),
        "description": "Boundaries of cells (membranes) in electron micrographs, slice by slice: a U-Net.",
        "authors": authors,
        "cite": [citation.model_dump(exclude_none=True) for citation in credits.citations],
        "license": credits.licence,
        "tags": ["electron-microscopy", "membrane", "boundary", "segmentation", "unet", "2d", "neurons"],
        "version": version("emseg-napari"),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "documentation": file("README.md"),
        "covers": [file("cover.png")],
        "attachments": [file(path) for path in OWN_FILES],
        "inputs": [_input(run, pixel_nm, file("test-input.npy"))],
        "outputs": [_output(run, pixel_nm, file("test-output.npy"))],
        "weights": {
            "keras_v3": file(
                KERAS_FILE,
                keras_version=_made_with("keras"),
                backend=["tensorflow", _made_with("tensorflow")],
            ),
            "onnx": file(ONNX_FILE, opset_version=_OPSET, parent="keras_v3"),
        },
        "config": {"emseg_napari": {"version": version("emseg-napari"), "network": run.settings.network}},
    }


def _made_with(package: str) -> str:
    return version(package)


def _input(run: Run, pixel_nm: float | None, test: dict[str, Any]) -> dict[str, Any]:
    normalisation = run.record.normalisation
    spans = {
        "axes": ["channel", "y", "x"],
        "min_percentile": normalisation.low_percent,
        "max_percentile": normalisation.high_percent,
    }
    halo = _halo_px(run)
    size = {"min": GRID_PX * (2 * halo // GRID_PX + 1), "step": GRID_PX}
    return {
        "id": "image",
        "description": "One slice of an electron micrograph; membranes are dark.",
        "axes": [
            {"type": "batch"},
            *({"type": "space", "id": axis, "size": size, **_pixel(run, pixel_nm, i)} for i, axis in _AXES),
            {"type": "channel", "channel_names": ["grey"]},
        ],
        "data": {"type": "float32"},
        "pad": {"mode": "reflect"},
        "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "scale_range", "kwargs": spans},
        ],
        "test_tensor": test,
    }


_AXES = ((0, "y"), (1, "x"))


def _output(run: Run, pixel_nm: float | None, test: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "boundary",
        "description": "Probability that a pixel is boundary.",
        "axes": [
            {"type": "batch"},
            *(
                {
                    "type": "space",
                    "id": axis,
                    "size": {"tensor_id": "image", "axis_id": axis},
                    "halo": _halo_px(run),
                    **_pixel(run, pixel_nm, i),
                }
                for i, axis in _AXES
            ),
            {"type": "channel", "channel_names": ["boundary"]},
        ],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": test,
    }


def _halo_px(run: Run) -> int:
    halo = HALOS[run.settings.network]
    return max(halo.before, halo.after)


def _pixel(run: Run, pixel_nm: float | None, axis: int) -> dict[str, Any]:
    """Return the pixel size of an axis as the network sees it; nothing if it is not known."""
    return {} if pixel_nm is None else {"unit": "nanometer", "scale": pixel_nm / run.record.scale[axis]}


def _allowed_name(name: str) -> str:
    """Return a name that the format allows: letters, digits, spaces and a few signs, 5 to 128 of them."""
    kept = "".join(one if one.isalnum() or one in "_+- ()" else "-" for one in name)
    return (kept if len(kept) >= 5 else f"emseg {kept}")[:128]


def _readme(run: Run, credits: Credits, training_data: str | None) -> str:
    if is_starter(run.folder):
        return (STARTER_FOLDER / "README.md").read_text(encoding="utf-8") + "\n" + _use(run)
    data = training_data or "not stated by its authors"
    record = run.record
    size = " x ".join(map(str, record.image_shape))
    return "\n".join(
        [
            f"# {run.folder.name}",
            "",
            f"A `{run.settings.network}` network of emseg-napari that finds the boundaries of cells in "
            f"electron micrographs, by {', '.join(credits.authors)}. Licence: {credits.licence}.",
            "",
            "## Training data",
            "",
            f"{data[:1].upper() + data[1:]}. A stack of {size} voxels (z, y, x), {record.image_dtype}, of "
            f"which {len(record.trained_slices)} slices trained"
            + (f"; it started from the network '{record.start}'." if record.start else "."),
            "",
            _use(run),
        ]
    )


def _use(run: Run) -> str:
    record = run.record
    scores = [
        f"{name} {value:.4f}"
        for name, value in (("pixel accuracy", record.kept_accuracy), ("V_rand", record.kept_v_rand))
        if value is not None
    ]
    return (
        "## Validation\n\n"
        + (
            f"On what was held out of its training: {', '.join(scores)}. "
            if scores
            else "No score of its own. "
        )
        + "Before it is trusted on other images, compare it with labels of a slice of them "
        "(`emseg evaluate`).\n\n"
        "## Use\n\n"
        f"A pixel is boundary from a probability of {record.threshold:.2f} on. The weights subtract the "
        "median "
        "of the image that they are given; in tiles that is the median of a tile, so large tiles are better. "
        "emseg-napari itself uses the median of the whole slice: `emseg model import` makes this package a "
        "run "
        "folder again. By default it also averages over two orientations and closes gaps, which this package "
        "does not.\n"
    )
