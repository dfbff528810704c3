"""Commands on addresses: the same as on files, and every failure a sentence."""

from pathlib import Path

import numpy as np
import pytest

from emseg_napari.io import object_store
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.io.samples import phantom
from emseg_napari.io.volume import Voxel
from helpers.command_desk import assert_sentence, emseg
from helpers.stores import Store

SHAPE = (4, 96, 96)


def write(folder: Path, values: np.ndarray, *, labels: bool = False) -> Path:
    layout = Layout(SHAPE, "uint8", (1, 32, 32), None, Voxel((40.0, 4.0, 4.0), "nanometer"), labels=labels)
    output = VolumeOutput.prepare(folder, layout, {})
    for block in output.blocks:
        output.write(block, values[block.window])
    output.finish()
    return folder


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Path:
    """An image on the disk, which is in the store, too; its labels are in the store only."""
    grey, truth = (one[: SHAPE[0], : SHAPE[1], : SHAPE[2]] for one in phantom())
    folder = write(tmp_path / "image.zarr", grey.astype(np.uint8))
    store.upload(folder, "image.zarr")
    store.upload(write(tmp_path / "labels.zarr", truth.astype(np.uint8), labels=True), "labels.zarr")
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "zarr.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def objects_below(store: Store, name: str) -> dict[str, bytes]:
    return {key: one for key, one in store.below(name).items() if not key.endswith("zarr.json")}


def test_info_on_an_address(store: Store, image: Path) -> None:
    for base in (store.web, store.s3):
        result = emseg("info", f"{base}/image.zarr")
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{base}/image.zarr: 4 slices of 96 x 96, 8 bit, 40 x 4 x 4 nm (z, y, x)\n"


def test_a_prediction_of_an_address_has_the_bytes_of_one_of_its_files(
    store: Store, image: Path, tmp_path: Path
) -> None:
    done = [
        emseg("predict", "starter", source, "--output", output, "--as", "probability")
        for source, output in [
            (image, tmp_path / "local.zarr"),
            (f"{store.web}/image.zarr", tmp_path / "fetched.zarr"),
            (f"{store.s3}/image.zarr", f"{store.s3}/there.zarr"),
        ]
    ]
    assert [one.exit_code for one in done] == [0, 0, 0], done[-1].stderr
    local = files_below(tmp_path / "local.zarr")
    assert local
    assert files_below(tmp_path / "fetched.zarr") == local
    assert objects_below(store, "there.zarr") == local


@pytest.mark.parametrize("output", ["https://server.invalid/o.zarr", "gs://bucket/o.zarr"])
def test_an_output_where_nothing_is_written_is_refused_before_any_store_is_asked(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(object_store, "_bucket", asked.append)
    result = emseg("predict", "starter", "https://server.invalid/in.zarr", "--output", output)
    assert_sentence(result, f"{output} is ")
    assert "where nothing is written; choose a folder, or for predictions an s3:// address" in result.stderr
    assert asked == []


def test_a_prediction_that_a_store_cut_short_is_resumed_with_the_same_bytes(
    store: Store, image: Path
) -> None:
    words = ("predict", "starter", f"{store.s3}/image.zarr", "--output", f"{store.s3}/out.zarr")
    assert emseg(*words).exit_code == 0
    whole = store.below("out.zarr")
    for key in [key for key in store.objects if "/out.zarr/" in key]:
        del store.objects[key]
    left = iter(range(2))
    store.fault = lambda m, key: 403 if m == "PUT" and "/0/c/" in key and next(left, None) is None else None
    assert_sentence(emseg(*words), "out.zarr/0/c/2/0/0 may not be written (403)", "AWS_ACCESS_KEY_ID")
    store.fault = lambda method, key: None
    store.requests.clear()
    resumed = emseg(*words)
    assert resumed.exit_code == 0, resumed.stderr
    assert "2 there before" in resumed.stdout
    assert store.below("out.zarr") == whole
    put = [key for method, key in store.requests if method == "PUT" and "/0/c/" in key]
    assert len(put) == len(set(put)) == 2


def test_an_image_that_breaks_off_stops_the_prediction_once_and_says_so(
    store: Store, image: Path, tmp_path: Path
) -> None:
    store.fault = lambda method, key: "break off" if "image.zarr/0/c/2" in key else None
    words = ("predict", "starter", f"{store.web}/image.zarr?sig=secret", "--output", tmp_path / "out.zarr")
    result = emseg(*words)
    assert_sentence(result, "image.zarr/0/c/2/", "the connection broke off")
    assert "secret" not in result.stderr
    store.fault = lambda method, key: None
    assert emseg(*words).exit_code == 0
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.rglob("zarr.json"))


def test_cells_scores_and_training_of_addresses(store: Store, image: Path, tmp_path: Path) -> None:
    there = f"{store.s3}/p.zarr"
    done = emseg("predict", "starter", f"{store.web}/image.zarr", "--output", there, "--as", "probability")
    assert done.exit_code == 0, done.stderr
    for output in ("cells.tif", "cells.zarr"):
        done = emseg("segment", there, "--output", tmp_path / output)
        assert done.exit_code == 0, done.stderr
    done = emseg("evaluate", there, f"{store.web}/labels.zarr")
    assert done.exit_code == 0, done.stderr
    pair = (f"{store.web}/image.zarr", f"{store.s3}/labels.zarr")
    done = emseg("train", *pair, "--network", "ridge", "--output", tmp_path / "run")
    assert done.exit_code == 0, done.stderr
    done = emseg("predict", "starter", f"{store.web}/image.zarr", "--output", tmp_path / "p.tif")
    assert done.exit_code == 0, done.stderr


def test_labels_that_are_the_image_are_refused(store: Store, image: Path, tmp_path: Path) -> None:
    address = f"{store.web}/image.zarr"
    result = emseg("train", address, address, "--network", "ridge", "--output", tmp_path / "run")
    assert_sentence(result, "is the image itself")


def test_an_address_that_nothing_is_written_to_is_refused(
    store: Store, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    at = store.s3
    for words in (
        ("segment", f"{at}/image.zarr", "--as", "probability", "--output", f"{at}/cells.zarr"),
        ("predict", "starter", image, "--output", f"{at}/p.tif"),
        ("train", image, f"{at}/labels.zarr", "--output", f"{at}/run"),
        ("export", f"{at}/labels.zarr", "--image", image, "--output", f"{at}/folder"),
        ("predict", "starter", image, "--output", f"{store.web}/p.zarr"),
    ):
        assert_sentence(emseg(*words), words[-1])
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("s3")]


def test_an_address_with_a_password_is_refused_without_repeating_it(store: Store) -> None:
    result = emseg("info", "https://me:secret@127.0.0.1/a.zarr")
    assert_sentence(result, "An address https://... was given with a name or password")
    assert "secret" not in result.stderr


SIGNED = "https://server/run?sig=secret"


def test_the_demo_of_an_address_says_where_it_is_opened() -> None:
    result = emseg("demo", SIGNED)
    assert_sentence(result, "https://server/run is an address", "Open an address...")
    assert "secret" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("predict", SIGNED, "https://server/a.zarr", "--output", "out.zarr"),
        ("evaluate", "p.tif", "l.tif", "--run", SIGNED),
        ("train", "i.tif", "l.tif", "--output", "run", "--from", SIGNED),
        ("train", "i.tif", "l.tif", "--output", "run", "--replay", SIGNED),
    ],
)
def test_a_run_at_an_address_is_refused_and_no_signature_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = emseg(*words)
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("\u2502", " ").split())
    assert (
        "https://server/run is an address, but a run lies on a disk; choose the folder that a training"
        in said
    )
    assert "secret" not in result.output
