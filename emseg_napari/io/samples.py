"""Sample stacks: a phantom that comes with the package, and the ISBI 2012 stack.

The phantom is drawn by a script (see ``sample_data/README.md``). The ISBI 2012 training
stack (Cardona et al. 2010, doi:10.1371/journal.pbio.1000502; Arganda-Carreras et al.
2015, doi:10.3389/fnana.2015.00142) is free for research with citation of both papers, not
part of the package, and downloaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, normalise

ADDRESS = "https://oc.embl.de/index.php/s/h0TkwqxU0PJDdMd/download"
SHA256 = "0e10fe909a1243084d91773470856993b7d40126a12e85f0f1345a7a9e512f29"
SHAPE = (30, 512, 512)
FILE_NAME = "isbi.h5"
IMAGE_DATASET, LABELS_DATASET = "raw", "labels/membranes"
BOUNDARY_SHARE = (0.1, 0.4)
_BY_HAND = (
    "or take train-volume.tif and train-labels.tif from "
    "https://downloads.imagej.net/ISBI-2012-challenge.zip and open those"
)


def sample_folder() -> Path:
    """Return the folder of the phantom: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "sample_data", package.parent / "sample_data"):
        if (folder / "phantom.tif").is_file():
            return folder
    raise UserError(
        f"The sample files are missing from {package / 'sample_data'}; install emseg-napari again, "
        "or run sample_data/make_phantom.py in a checkout."
    )


def phantom() -> tuple[np.ndarray, np.ndarray]:
    """Return the phantom, an imitated ssTEM stack whose labels are exact.

    Returns
    -------
    image, labels : numpy.ndarray
        uint8 (16, 384, 384) with axes (z, y, x): grey values, and 1 = boundary,
        2 = interior. Pixels stand for 4 nm, slices for 50 nm.
    """
    folder = sample_folder()
    image = tifffile.imread(folder / "phantom.tif")
    labels = tifffile.imread(folder / "phantom-labels.tif")
    return image, normalise(labels, "phantom-labels.tif", "isbi")


def isbi2012(address: str = ADDRESS, folder: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the ISBI 2012 training stack, downloaded once and kept.

    Parameters
    ----------
    address : str
        Where the HDF5 file is fetched from.
    folder : pathlib.Path, optional
        Where it is kept; the user's cache folder for "emseg-napari" if not given.

    Returns
    -------
    image, labels : numpy.ndarray
        uint8 (30, 512, 512) with axes (z, y, x): grey values, and 1 = boundary,
        2 = interior. Pixels are 4 nm, slices 50 nm.

    Raises
    ------
    UserError
        No network, or the file's hash, datasets, shapes or values are not the expected.
    """
    path = _download(address, folder)
    datasets = _read(path)
    image, labels = datasets[IMAGE_DATASET], datasets[LABELS_DATASET]
    if image.dtype != np.uint8:
        raise _unexpected(path, f"{IMAGE_DATASET} holds {image.dtype} values instead of uint8")
    return image, _boundary_is_rarer(labels, path)


def _download(address: str, folder: Path | None) -> Path:
    import pooch  # slow to import, and only this function needs it
    from requests import RequestException

    target = Path(folder or pooch.os_cache("emseg-napari"))
    try:
        return Path(pooch.retrieve(address, f"sha256:{SHA256}", fname=FILE_NAME, path=target))
    except ValueError as error:
        raise UserError(
            f"{FILE_NAME} from {address} has another SHA256 checksum than {SHA256[:12]}..., so it is "
            f"damaged or has been replaced; try again, {_BY_HAND}."
        ) from error
    except RequestException as error:
        raise UserError(
            f"{FILE_NAME} could not be downloaded from {address} ({type(error).__name__}); check the "
            f"network connection and try again, {_BY_HAND}."
        ) from error
    except OSError as error:
        raise UserError(
            f"{FILE_NAME} could not be saved in {target} ({error.strerror or error}); free some space "
            "there or choose another folder."
        ) from error


def _read(path: Path) -> Mapping[str, np.ndarray]:
    import h5py  # slow to import, and only this function needs it

    try:
        with h5py.File(path) as file:
            missing = [name for name in (IMAGE_DATASET, LABELS_DATASET) if name not in file]
            if missing:
                raise _unexpected(path, f"the dataset {missing[0]} is missing (there are: {', '.join(file)})")
            datasets = {name: file[name][()] for name in (IMAGE_DATASET, LABELS_DATASET)}
    except OSError as error:
        raise _unexpected(path, "it is not an HDF5 file") from error
    for name, array in datasets.items():
        if array.shape != SHAPE:
            raise _unexpected(path, f"{name} has the shape {array.shape} instead of {SHAPE}")
    return datasets


def _boundary_is_rarer(labels: np.ndarray, path: Path) -> np.ndarray:
    """Convert two-valued labels by what they show, not by what their name suggests.

    "labels/membranes" may mark the membrane, or leave it out. Boundaries are 22 % of this
    stack, so the rarer of the two values is the boundary; a share outside 10 % to 40 %
    means that these are other labels.
    """
    values, counts = np.unique(labels, return_counts=True)
    if len(values) != 2:
        raise _unexpected(path, f"{LABELS_DATASET} holds {len(values)} different values instead of two")
    share = counts.min() / labels.size
    if not BOUNDARY_SHARE[0] <= share <= BOUNDARY_SHARE[1]:
        raise _unexpected(
            path, f"{share:.0%} of the pixels in {LABELS_DATASET} are boundary instead of about 22 %"
        )
    return np.where(labels == values[counts.argmin()], BOUNDARY, INTERIOR).astype(np.uint8)


def _unexpected(path: Path, difference: str) -> UserError:
    return UserError(
        f"{path} is not the ISBI 2012 stack as expected: {difference}; delete the file and try again, "
        f"{_BY_HAND}."
    )
