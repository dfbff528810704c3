import contextlib
import functools
import hashlib
import importlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import ndimage

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.evaluation.metrics import v_rand
from emseg_napari.io import samples
from emseg_napari.io.samples import isbi2012, phantom, sample_folder

SMALL = (3, 20, 20)


class _SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path):
    """Yield the address of a folder that is served on this machine only."""
    handler = functools.partial(_SilentHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, SMALL, np.uint8)


@pytest.fixture
def boundary() -> np.ndarray:
    """Boundary on a fifth of the pixels."""
    boundary = np.zeros(SMALL, bool)
    boundary[:, :, ::5] = True
    return boundary


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Return a function that writes a file to be served and makes it the known one."""

    def publish(**datasets: np.ndarray) -> Path:
        folder = tmp_path / "published"
        folder.mkdir()
        with h5py.File(folder / "file", "w") as file:
            for name, array in datasets.items():
                file[name.replace("__", "/")] = array
        known = hashlib.sha256((folder / "file").read_bytes()).hexdigest()
        monkeypatch.setattr(samples, "SHA256", known)
        monkeypatch.setattr(samples, "SHAPE", SMALL)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        return folder

    return publish


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def refusal(folder: Path, cache: Path) -> str:
    """Return the sentence that a user reads when what is served is not the stack."""
    with serving(folder) as server, pytest.raises(UserError) as error:
        isbi2012(f"{server}/file", cache)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "try again" in sentence
    return sentence


@pytest.mark.parametrize("marked", [1, 255], ids=["membrane is 1", "membrane is 255"])
def test_download_finds_the_boundary_when_it_is_marked(published, cache, image, boundary, marked):
    folder = published(raw=image, labels__membranes=(boundary * marked).astype(np.uint8))
    with serving(folder) as server:
        got_image, labels = isbi2012(f"{server}/file", cache)
    np.testing.assert_array_equal(got_image, image)
    np.testing.assert_array_equal(labels, np.where(boundary, 1, 2))
    assert labels.dtype == np.uint8


def test_download_finds_the_boundary_when_the_interior_is_marked(published, cache, image, boundary):
    folder = published(raw=image, labels__membranes=np.where(boundary, 0, 255).astype(np.uint8))
    with serving(folder) as server:
        labels = isbi2012(f"{server}/file", cache)[1]
    np.testing.assert_array_equal(labels, np.where(boundary, 1, 2))


def test_second_call_needs_no_network(published, cache, image, boundary):
    folder = published(raw=image, labels__membranes=boundary)
    with serving(folder) as server:
        first = isbi2012(f"{server}/file", cache)
    second = isbi2012(f"{server}/file", cache)
    np.testing.assert_array_equal(first, second)


def test_damaged_download_is_refused_and_not_kept(published, cache, image, boundary):
    folder = published(raw=image, labels__membranes=boundary)
    with (folder / "file").open("ab") as file:
        file.write(b"!")
    assert "SHA256" in refusal(folder, cache)
    assert not list(cache.iterdir())


def test_without_network_the_user_learns_what_to_do(published, cache):
    with serving(published()) as server:
        pass
    with pytest.raises(UserError, match=r"could not be downloaded .* check the network connection"):
        isbi2012(f"{server}/file", cache)


def test_address_that_holds_nothing_is_named(published, cache):
    with serving(published()) as server, pytest.raises(UserError, match="/nothing"):
        isbi2012(f"{server}/nothing", cache)


def test_folder_that_is_a_file_is_named(published, cache, image, boundary):
    folder = published(raw=image, labels__membranes=boundary)
    cache.touch()
    with serving(folder) as server, pytest.raises(UserError, match="choose another folder"):
        isbi2012(f"{server}/file", cache)


def test_file_that_is_no_hdf5_is_refused(published, cache, monkeypatch):
    folder = published()
    (folder / "file").write_bytes(b"<html>")
    monkeypatch.setattr(samples, "SHA256", hashlib.sha256(b"<html>").hexdigest())
    assert "not an HDF5 file" in refusal(folder, cache)


def test_missing_dataset_is_named_with_what_is_there(published, cache, image):
    sentence = refusal(published(raw=image), cache)
    assert "labels/membranes is missing" in sentence
    assert "there are: raw" in sentence


def test_other_shape_is_refused(published, cache, image, boundary):
    folder = published(raw=image[:2], labels__membranes=boundary)
    assert "raw has the shape (2, 20, 20) instead of (3, 20, 20)" in refusal(folder, cache)


def test_image_that_is_not_uint8_is_refused(published, cache, image, boundary):
    folder = published(raw=image.astype(np.uint16), labels__membranes=boundary)
    assert "uint16 values instead of uint8" in refusal(folder, cache)


def test_labels_with_more_than_two_values_are_refused(published, cache, image):
    assert "different values instead of two" in refusal(published(raw=image, labels__membranes=image), cache)


def test_labels_whose_boundary_share_is_impossible_are_refused(published, cache, image):
    half = np.zeros(SMALL, np.uint8)
    half[:, :, ::2] = 1
    assert "50% of the pixels" in refusal(published(raw=image, labels__membranes=half), cache)


def test_phantom_is_a_stack_with_labels_for_every_pixel():
    image, labels = phantom()
    assert image.shape == labels.shape == (16, 384, 384)
    assert image.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == {BOUNDARY, INTERIOR}


def test_phantom_has_as_much_boundary_as_real_neuropil_and_it_is_dark():
    image, labels = phantom()
    boundary = labels == BOUNDARY
    assert 0.19 < boundary.mean() < 0.25
    assert all(image[z][boundary[z]].mean() + 30 < image[z][~boundary[z]].mean() for z in range(16))


def test_phantom_is_not_solved_by_smoothing_and_thresholding():
    image, labels = phantom()
    slices = [2, 13]
    for sigma in (1, 2, 3):
        smoothed = ndimage.gaussian_filter(image[slices].astype(np.float32), (0, sigma, sigma))
        darkest, brightest = np.percentile(smoothed, (1, 99))
        probability = np.clip((smoothed - darkest) / (brightest - darkest), 0, 1)
        assert v_rand(labels[slices] == INTERIOR, probability).best < 0.8


def test_phantom_is_small_enough_to_be_packaged():
    files = list(sample_folder().glob("*.tif"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 3_000_000


@pytest.mark.slow
def test_phantom_is_what_its_script_draws(monkeypatch):
    monkeypatch.syspath_prepend(str(sample_folder()))
    script = importlib.import_module("make_phantom")
    drawn_image, drawn_labels = next(script.make_slices())
    image, labels = phantom()
    # Another version of numpy or scipy may round differently, here and there.
    assert np.abs(drawn_image.astype(int) - image[0]).mean() < 0.5
    assert ((drawn_labels == 0) == (labels[0] == BOUNDARY)).mean() > 0.999


def test_sample_folder_prefers_the_packaged_one(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "__file__", str(tmp_path / "package" / "io" / "samples.py"))
    beside, packaged = tmp_path / "sample_data", tmp_path / "package" / "sample_data"
    for folder in (beside, packaged):
        folder.mkdir(parents=True)
    (beside / "phantom.tif").touch()
    assert sample_folder() == beside
    (packaged / "phantom.tif").touch()
    assert sample_folder() == packaged


def test_missing_sample_files_are_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "__file__", str(tmp_path / "package" / "io" / "samples.py"))
    with pytest.raises(UserError, match="install emseg-napari again"):
        phantom()
