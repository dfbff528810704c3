"""Files from which a network can be imported, as far as they tell without being tried."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.answers import Known, known_from
from emseg_napari.exchange.description import (
    LAYOUTS,
    Axis,
    Description,
    FileEntry,
    Sizes,
    Tensor,
    read_description,
)
from emseg_napari.exchange.halo import MOST_PX
from emseg_napari.exchange.median import without_median
from emseg_napari.exchange.onnx_network import checked
from emseg_napari.exchange.package_files import DESCRIPTIONS, OWN_FILES, PackageFiles
from emseg_napari.models.imported import Imported

FILES = (".keras", ".onnx", ".zip")
_OF_TORCH = (".pt", ".pth", ".ckpt", ".safetensors", ".torchscript")
_OF_OLD_KERAS = (".h5", ".hdf5", ".pb")
_HALO_PX = 96


@dataclass(frozen=True)
class Source:
    """Network to import, as far as its file tells without being tried.

    Attributes
    ----------
    imported : Imported
        Where it comes from.
    known : Known
        What is known of it.
    keras, onnx : bytes or None
        Its weights.
    layout : str or None
        Of its input.
    step_px : int
        Width and height are said to be multiples of it.
    outputs : int
        How many images it gives: the first is taken.
    test : tuple of numpy.ndarray, optional
        Input and output of its own test, float (y, x) and (channels, y, x).
    """

    imported: Imported
    known: Known
    keras: bytes | None = None
    onnx: bytes | None = None
    layout: str | None = None
    step_px: int = 1
    outputs: int = 1
    test: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OwnPackage:
    """Package that this program exported, which becomes the run again.

    Attributes
    ----------
    imported : Imported
    files : dict
        Of the run folder, by their names.
    """

    imported: Imported
    files: dict[str, bytes] = field(repr=False)


def read_source(path: Path) -> Source | OwnPackage:
    """Read what is to be imported, without trying it.

    Raises
    ------
    UserError
        If it is nothing that can be imported.
    """
    _refuse_other_files(path)
    if path.suffix.lower() in (".keras", ".onnx") and path.is_file():
        content, is_keras = path.read_bytes(), path.suffix.lower() == ".keras"
        about = Imported(
            file=path.name,
            sha256=sha256(content).hexdigest(),
            name=path.stem,
            weights="keras_v3" if is_keras else "onnx",
            halo_px=_HALO_PX,
        )
        return Source(about, Known(), keras=content if is_keras else None, onnx=None if is_keras else content)
    return _read_package(PackageFiles(path))


def _refuse_other_files(path: Path) -> None:
    if path.suffix.lower() in _OF_TORCH:
        raise UserError(
            f"{path.name} is a file of PyTorch, which could run code and is not read; export the network as "
            ".onnx (torch.onnx.export with dynamic axes for height and width)."
        )
    if path.suffix.lower() in _OF_OLD_KERAS:
        raise UserError(
            f"{path.name} is of a format before Keras 3, which could run code and is not read; load it in "
            "Keras and save it as .keras, or export it as .onnx."
        )
    if path.is_file() and path.suffix.lower() not in FILES and path.name not in DESCRIPTIONS:
        raise UserError(
            f"{path.name} is not a network; choose a bioimage.io package (.zip or its folder), a .keras or "
            "a .onnx file."
        )


def _read_package(files: PackageFiles) -> Source | OwnPackage:
    description = read_description(files)
    keras, onnx = (description.weights.get(kind) for kind in ("keras_v3", "onnx"))
    if onnx is not None and onnx.external_data is not None:
        onnx = None
    about = _about(files, description, "onnx" if keras is None else "keras_v3")
    own = {entry.source: entry for entry in description.attachments if entry.source in OWN_FILES}
    if "emseg_napari" in description.config and len(own) == len(OWN_FILES) and keras and onnx:
        content = {name: files.read(name, entry.sha256) for name, entry in own.items()}
        network = files.read(onnx.source, onnx.sha256)
        checked(network, files.path.name)
        content["network.onnx"] = without_median(network)
        content["best.keras"] = files.read(keras.source, keras.sha256)
        return OwnPackage(about, content)
    return Source(
        about,
        known_from(description, files.path.name),
        keras=_read(files, keras),
        onnx=_read(files, onnx),
        layout=description.image.layout,
        step_px=_step_px(description),
        outputs=len(description.outputs),
        test=_test_of(files, description),
    )


def _read(files: PackageFiles, entry: FileEntry | None) -> bytes | None:
    return None if entry is None else files.read(entry.source, entry.sha256)


def _about(files: PackageFiles, description: Description, weights: str) -> Imported:
    content = files.path.read_bytes() if files.path.is_file() else files.description
    sides = [axis for axis in description.image.axes if axis.type == "space"]
    halo = max((axis.halo for axis in description.outputs[0].axes), default=0)
    return Imported(
        file=files.path.name,
        sha256=sha256(content).hexdigest(),
        name=description.name,
        version=None if description.version is None else str(description.version),
        licence=description.license,
        authors=[author.name for author in description.authors],
        cite=[work.words for work in description.cite],
        weights=weights,
        halo_px=min(halo, MOST_PX) or _HALO_PX,
        pixel_nm=_pixel_nm(sides[0]),
    )


def _pixel_nm(axis: Axis) -> float | None:
    factor = {"nanometer": 1.0, "micrometer": 1e3, "angstrom": 0.1}.get(axis.unit or "")
    return None if factor is None else axis.scale * factor


def _step_px(description: Description) -> int:
    sizes = [axis.size for axis in description.image.axes if axis.type == "space"]
    steps = [size.step for size in sizes if isinstance(size, Sizes)]
    return math.lcm(*steps) if steps else 1


def _test_of(files: PackageFiles, description: Description) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the package's own test, an image (y, x) and the output (channels, y, x), if it has one."""
    tensors = description.image, description.outputs[0]
    if any(tensor.test_tensor is None for tensor in tensors) or tensors[1].layout not in LAYOUTS:
        return None
    image, output = (
        _planes(files.read(tensor.test_tensor.source, tensor.test_tensor.sha256), tensor, files.path.name)
        for tensor in tensors
        if tensor.test_tensor is not None
    )
    return image[0], output


def _planes(content: bytes, tensor: Tensor, name: str) -> np.ndarray:
    """Return the first image of a test file as (channels, y, x)."""
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
        planes = (
            np.moveaxis(values[0], tensor.layout[1:].index("c"), 0) if "c" in tensor.layout else values[:1]
        )
        if planes.ndim != 3 or planes.dtype.kind not in "buif" or not planes.size:
            raise ValueError
    except (ValueError, IndexError, EOFError, OSError):
        raise UserError(f"{name} has a damaged test image ({tensor.id}); get the package again.") from None
    return planes.astype(np.float32)
