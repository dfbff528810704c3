"""What people really pass to a program; every mistake is one sentence, and nothing is written."""

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.core.labels import to_isbi
from emseg_napari.io import stack_or_volume
from emseg_napari.io.samples import phantom
from emseg_napari.models import unet
from emseg_napari.training import learner
from helpers.small_network import small_network

pytestmark = pytest.mark.keras

SHAPE = (6, 40, 50)  # smaller than a patch
# From nothing, since the small network of some tests cannot start from the starter.
QUICK = ("--patch-px", 64, "--batch-size", 1, "--epochs", 1, "--steps-per-epoch", 1, "--from", "nothing")


def emseg(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def assert_sentence(result: Result, *parts: object) -> None:
    """One sentence on stderr that has these parts, and the exit code of a mistake."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("emseg: ")
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for part in parts:
        assert str(part) in result.stderr


def state(folder: Path) -> dict[Path, bytes | None]:
    """Everything below a folder, with its contents."""
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


class Desk:
    """A folder with a stack, its labels and a run, where commands are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image, labels = phantom()
        crop = np.s_[: SHAPE[0], 40 : 40 + SHAPE[1], 60 : 60 + SHAPE[2]]
        self.image_array, self.labels_array = image[crop], to_isbi(labels[crop])
        self.image = self.write("image.tif", self.image_array)
        self.labels = self.write("labels.tif", self.labels_array)

    def write(self, name: str, array: np.ndarray) -> Path:
        tifffile.imwrite(self.folder / name, array, photometric="minisblack")
        return self.folder / name

    def train(self, *options: object, image: Path | None = None, labels: Path | None = None) -> Result:
        output = () if "--output" in options else ("--output", self.folder / "new-run")
        return emseg("train", image or self.image, labels or self.labels, *output, *options)

    def predict(self, *options: object, image: Path | None = None, run: Path | None = None) -> Result:
        output = () if "--output" in options else ("--output", self.folder / "out.tif")
        return emseg("predict", run or self.folder / "run", image or self.image, *output, *options)

    def export(self, *options: object, image: Path | None = None, labels: Path | None = None) -> Result:
        output = () if "--output" in options else ("--output", self.folder / "exported")
        return emseg("export", labels or self.labels, "--image", image or self.image, *output, *options)

    def refuses(self, command: Callable[[], Result], *parts: object) -> None:
        """Check that a command ends with a sentence and leaves the folder as it was."""
        before = state(self.folder)
        assert_sentence(command(), *parts)
        assert state(self.folder) == before


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train and export a small network."""
    monkeypatch.setattr(unet, "build", small_network)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one real training."""
    desk = Desk(tmp_path_factory.mktemp("training"))
    result = desk.train(*QUICK)
    assert result.exit_code == 0, result.output
    return desk.folder / "new-run"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def run(desk: Desk, finished_run: Path) -> Path:
    """A run on the desk, to be spoilt at will."""
    return Path(shutil.copytree(finished_run, desk.folder / "run"))


@pytest.fixture
def begun(run: Path) -> Path:
    """The same, as it was left before its end."""
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"finished": False}))
    return run


# Files


def cut_off(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "cut.tif"
    path.write_bytes(desk.image.read_bytes()[:-3000])
    return path, "copy it again"


def empty(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "empty.tif"
    path.touch()
    return path, "empty"


def no_image(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "notes.tif"
    path.write_text("slice 3 is torn\n" * 20)
    return path, "not an image"


def other_format(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "notes.docx"
    path.write_text("slice 3 is torn")
    return path, "has a format that cannot be read"


def coloured(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path.write_bytes(imagecodecs.png_encode(pixels))
    return path, "save it as greyscale"


def missing(desk: Desk) -> tuple[Path, str]:
    return desk.folder / "gone.tif", "check the name"


def empty_folder(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "slices"
    path.mkdir()
    return path, "choose a folder of numbered slices"


SPOILT = (cut_off, empty, no_image, other_format, coloured, missing, empty_folder)


@pytest.mark.parametrize("spoil", SPOILT)
def test_an_image_that_cannot_be_read(
    desk: Desk, run: Path, spoil: Callable[[Desk], tuple[Path, str]]
) -> None:
    path, advice = spoil(desk)
    desk.refuses(lambda: desk.train(image=path), path.name, advice)
    desk.refuses(lambda: desk.predict(image=path), path.name, advice)
    desk.refuses(lambda: desk.export(image=path), path.name, advice)


@pytest.mark.parametrize("spoil", SPOILT)
def test_labels_that_cannot_be_read(desk: Desk, spoil: Callable[[Desk], tuple[Path, str]]) -> None:
    path, advice = spoil(desk)
    desk.refuses(lambda: desk.train(labels=path), path.name, advice)
    desk.refuses(lambda: desk.export(labels=path), path.name, advice)


@pytest.mark.parametrize("part", [np.s_[:5], np.s_[:, :39], np.s_[:, :, 1:]])
def test_image_and_labels_of_different_shapes(desk: Desk, part: tuple[slice, ...]) -> None:
    path = desk.write("part.tif", desk.labels_array[part])
    advice = ("part.tif", "image.tif", "6 x 40 x 50", "choose labels")
    desk.refuses(lambda: desk.train(labels=path), *advice)
    desk.refuses(lambda: desk.export(labels=path), *advice)


# Values


def test_labels_outside_the_convention(desk: Desk) -> None:
    path = desk.write("odd.tif", np.where(desk.labels_array == 255, 77, 3).astype(np.uint8))
    desk.refuses(lambda: desk.train(labels=path), "odd.tif", "(3, 77)", "allowed are")
    desk.refuses(lambda: desk.export(labels=path), "odd.tif", "(3, 77)", "allowed are")


def test_labels_that_another_convention_than_the_given_has(desk: Desk) -> None:
    desk.refuses(
        lambda: desk.train("--convention", "napari"), "labels.tif", "255", "choose another convention"
    )


def test_labels_of_0_and_1_need_the_convention(desk: Desk) -> None:
    path = desk.write("mask.tif", (desk.labels_array > 0).astype(np.uint8))
    advice = ("mask.tif", "--convention binary", "--convention napari")
    desk.refuses(lambda: desk.train(labels=path), *advice)
    desk.refuses(lambda: desk.export(labels=path), *advice)
    assert desk.export("--convention", "binary", labels=path).exit_code == 0
    exported = tifffile.imread(desk.folder / "exported" / "labels.tif")
    np.testing.assert_array_equal(exported, desk.labels_array)


def two_cells(unlabelled: int = 0) -> np.ndarray:
    """An instance map of two cells, with a strip that belongs to none."""
    cells = np.ones(SHAPE, np.int32)
    cells[:, :, 24], cells[:, :, 25:], cells[:, :8] = 0, 2, unlabelled
    return cells


@pytest.mark.parametrize("limit", [1000, 2**30])
def test_two_cells_and_inverted_masks_are_asked_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    cells, mask = desk.write("cells.tif", two_cells()), desk.write("mask.tif", 255 - desk.labels_array)
    desk.refuses(
        lambda: desk.train(labels=cells), "cells.tif", "--convention napari or --convention instances"
    )
    desk.refuses(lambda: desk.export(labels=mask), "mask.tif", "--convention isbi or --convention inverted")
    assert desk.export("--convention", "inverted", labels=mask).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(desk.folder / "exported" / "labels.tif"), desk.labels_array)


def test_labels_that_look_exchanged_are_said_to_be(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    mask = desk.write("mask.tif", 255 - desk.labels_array)
    said = "may be inverted ("
    words = ("--convention", "isbi")
    desk.train("--network", "ridge", *words, labels=mask)
    assert said in capfd.readouterr().err
    assert said in desk.export(*words, labels=mask).stderr
    probability = desk.write("probability.tif", (desk.labels_array == 0).astype(np.float32))
    assert said in emseg("evaluate", probability, mask, *words).stderr
    assert said in emseg("evaluate", mask, desk.labels).stderr
    assert said in emseg("segment", mask, "--output", desk.folder / "segmented.tif").stderr
    assert said not in emseg("evaluate", probability, desk.labels).stderr


@pytest.mark.parametrize("limit", [1000, 2**30])
@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.float32])
def test_what_is_no_cell_of_an_instance_map_is_unlabelled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int, dtype: type
) -> None:
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    cells = desk.write("cells.tif", two_cells(-1).astype(np.int64).astype(dtype))
    exported = desk.export("--convention", "instances", "--allow-unlabelled", labels=cells)
    assert exported.exit_code == 0, exported.output
    written = tifffile.imread(desk.folder / "exported" / "labels.tif")
    assert (written[:, :8] == 128).all()
    np.testing.assert_array_equal(written[:, 8:], np.where(two_cells()[:, 8:] == 0, 0, 255))


@pytest.mark.parametrize("limit", [1000, 2**30])
def test_a_container_of_image_and_labels_is_both(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    path = desk.folder / "c.hdf"
    with h5py.File(path, "w") as file:
        file["volumes/raw"], file["volumes/labels/neuron_ids"] = desk.image_array, two_cells()
    exported = desk.export("--convention", "instances", image=path, labels=path)
    assert exported.exit_code == 0, exported.output
    written = tifffile.imread(desk.folder / "exported" / "labels.tif")
    np.testing.assert_array_equal(written[:, 8:], np.where(two_cells()[:, 8:] == 0, 0, 255))
    raw = path / "volumes/raw"
    for image, labels in ((path, raw), (desk.image, desk.image)):
        words = ("--convention", "instances")
        desk.refuses(lambda: desk.train(*words, image=image, labels=labels), "is the image itself")  # noqa: B023


@pytest.fixture
def instance_map(desk: Desk) -> Path:
    """Four cells a slice, each with a number of its own, that touch each other."""
    cells = np.zeros(SHAPE, np.uint16)
    cells[:, :20, :25], cells[:, :20, 25:], cells[:, 20:, :25], cells[:, 20:, 25:] = 11, 12, 13, 14
    return desk.write("cells.tif", cells)


def test_an_instance_map_gets_a_hint(desk: Desk, instance_map: Path) -> None:
    desk.refuses(
        lambda: desk.train(labels=instance_map), "cells.tif", "instance map", "--convention instances"
    )


@pytest.mark.usefixtures("small")
def test_an_instance_map_is_accepted_when_it_is_called_so(desk: Desk, instance_map: Path) -> None:
    result = desk.train(*QUICK, "--convention", "instances", labels=instance_map)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(("value", "word"), [(0, "interior"), (255, "boundary")])
def test_labels_of_one_class(desk: Desk, value: int, word: str) -> None:
    path = desk.write("one.tif", np.full(SHAPE, value, np.uint8))
    desk.refuses(lambda: desk.train("--convention", "isbi", labels=path), "one.tif", f"no {word}", "label")


def test_no_labels_at_all(desk: Desk) -> None:
    path = desk.write("blank.tif", np.full(SHAPE, 128, np.uint8))
    desk.refuses(lambda: desk.train(labels=path), "blank.tif", "no labels", "label some")
    desk.refuses(lambda: desk.export(labels=path), "blank.tif", "no labels", "label some")


def test_export_of_unlabelled_pixels(desk: Desk) -> None:
    desk.labels_array[3, 0] = 128
    path = desk.write("holes.tif", desk.labels_array)
    desk.refuses(lambda: desk.export(labels=path), "holes.tif", "slice 3", "--allow-unlabelled")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_images_without_contrast_or_with_values_that_are_no_numbers(
    desk: Desk, run: Path, value: float
) -> None:
    image = np.zeros(SHAPE, np.float32) if value == 0 else desk.image_array.astype(np.float32)
    image[4, 5, 6] = value
    path = desk.write("strange.tif", image)
    advice = "choose another image" if value == 0 else "the first in slice 4"
    desk.refuses(lambda: desk.train(image=path), "strange.tif", advice)
    desk.refuses(lambda: desk.predict(image=path), "strange.tif", advice)
    desk.refuses(lambda: desk.predict("--slices", "3:6", image=path), "strange.tif", advice)


def test_slices_that_are_not_used_may_hold_anything(desk: Desk, run: Path) -> None:
    image = desk.image_array.astype(np.float32)
    image[4] = np.nan
    path = desk.write("torn.tif", image)
    assert desk.predict("--slices", "0:2", image=path).exit_code == 0


# Ranges and numbers


@pytest.mark.parametrize("flag", ["--slices", "--validate"])
@pytest.mark.parametrize("given", ["0:7", "6:9", "100:200"])
def test_ranges_outside_the_stack(desk: Desk, run: Path, flag: str, given: str) -> None:
    advice = (flag, "image.tif", given, "choose a range inside 0:6")
    desk.refuses(lambda: desk.train(flag, given), *advice)
    if flag == "--slices":
        desk.refuses(lambda: desk.predict(flag, given), *advice)
        desk.refuses(lambda: desk.export(flag, given), flag, "labels.tif", "choose a range inside 0:6")


@pytest.mark.parametrize("given", ["3", "3:", ":3", "a:b", "1-3", "3:3", "4:2", "-1:3", "1:2:3", "", "1.5:3"])
@pytest.mark.parametrize("command", ["train", "predict", "export"])
def test_ranges_that_are_none(desk: Desk, run: Path, command: str, given: str) -> None:
    desk.refuses(lambda: getattr(desk, command)(f"--slices={given}"), f"'{given}'", "write FIRST:END")


def test_all_slices_held_out(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--validate", "0:6"), "held out")


def test_minutes_and_epochs_together(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--minutes", 1, "--epochs", 1), "--minutes", "--epochs", "one of them")


def test_steps_without_epochs(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--steps-per-epoch", 10), "--steps-per-epoch", "--epochs")


@pytest.mark.parametrize(
    ("words", "name", "limit"),
    [
        (("--batch-size", 0), "Batch size", "1"),
        (("--learning-rate", 0), "Learning rate", "greater than 0"),
        (("--learning-rate", "nan"), "Learning rate", "1"),
        (("--patch-px", 100), "Patch size", "multiple of 16"),
        (("--minutes", -1), "Minutes", "greater than 0"),
        (("--epochs", 0), "Epochs", "1"),
    ],
)
def test_numbers_outside_their_limits(desk: Desk, words: tuple[str, object], name: str, limit: str) -> None:
    desk.refuses(lambda: desk.train(*words), name, limit, f"given: {words[1]}")


@pytest.mark.parametrize(
    "words", [("--batch-size", "many"), ("--network", "huge"), ("--wrong", 1), ("--as", "labels")]
)
def test_words_that_are_no_options_or_values(desk: Desk, words: tuple[str, object]) -> None:
    before = state(desk.folder)
    assert_sentence(desk.train(*words), words[0], "see 'emseg train --help'")
    assert state(desk.folder) == before


def test_a_command_that_is_none_or_lacks_a_file() -> None:
    assert_sentence(emseg("trian"), "No such command 'trian' (Did you mean 'train'?); see 'emseg --help'")
    assert_sentence(emseg("evaluate"), "Missing argument 'PREDICTION'; see 'emseg evaluate --help'")
    assert "Usage:" in emseg().output


# Unusual stacks that are no mistake


@pytest.mark.usefixtures("small")
def test_a_stack_of_one_slice_trains_and_says_that_none_is_held_out(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    image, labels = (
        desk.write(f"one-{name}.tif", array[0])
        for name, array in (("image", desk.image_array), ("labels", desk.labels_array))
    )
    result = desk.train(*QUICK, image=image, labels=labels)
    assert result.exit_code == 0, result.output
    assert "none is held out" in capfd.readouterr().err
    assert desk.predict(image=image, run=desk.folder / "new-run").exit_code == 0
    assert tifffile.imread(desk.folder / "out.tif").shape == SHAPE[1:]


@pytest.mark.usefixtures("small")
def test_slices_of_odd_size_train_and_are_predicted(desk: Desk) -> None:
    random = np.random.default_rng(0)
    image = desk.write("image-513.tif", random.integers(0, 60_000, (2, 513, 300), np.uint16))
    labels = desk.write("labels-513.tif", random.choice(np.array([0, 255], np.uint8), (2, 513, 300)))
    assert desk.train(*QUICK, image=image, labels=labels).exit_code == 0
    words = ("--slices", "1:2", "--no-average-orientations")
    assert desk.predict(*words, image=image, run=desk.folder / "new-run").exit_code == 0
    assert tifffile.imread(desk.folder / "out.tif").shape == (513, 300)


# Runs


def test_training_never_overwrites_a_run(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.train("--output", run), run, "--resume")


def test_training_never_writes_among_other_files(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--output", desk.folder), desk.folder, "not empty", "new or empty folder")


def test_resume_needs_a_run(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--resume"), "new-run", "leave out --resume")


def test_a_finished_run_is_not_resumed_and_stays_as_it_is(desk: Desk, run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    desk.refuses(lambda: desk.train("--output", run, "--resume"), run, "is finished", "--from")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_resume_keeps_the_settings(desk: Desk, begun: Path) -> None:
    words = ("--output", begun, "--resume", "--epochs", 50)
    desk.refuses(lambda: desk.train(*words), "--epochs", begun, "leave it out")


def test_what_is_no_run(desk: Desk) -> None:
    desk.refuses(lambda: desk.predict(run=desk.folder), desk.folder, "not a run folder", "choose")
    desk.refuses(lambda: desk.predict(run=desk.folder / "gone"), "gone", "not a run folder", "choose")


def test_a_run_of_another_version(desk: Desk, run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"format": 99}))
    advice = (run, "another version", "99", "train again")
    desk.refuses(lambda: desk.predict(run=run), *advice)
    desk.refuses(lambda: desk.train("--output", run, "--resume"), *advice)


@pytest.mark.parametrize("name", ["run.json", "settings.json", "history.json"])
def test_a_run_with_a_damaged_file(desk: Desk, run: Path, name: str) -> None:
    (run / name).write_text('{"format": 1, "trai')
    desk.refuses(lambda: desk.predict(run=run), name, "damaged")
    desk.refuses(lambda: desk.train("--output", run, "--resume"), name, "damaged")


def test_a_run_without_its_network(desk: Desk, run: Path) -> None:
    (run / "network.onnx").unlink()
    desk.refuses(lambda: desk.predict(run=run), run, "network.onnx", "resume it")


def test_a_run_with_a_damaged_network(desk: Desk, run: Path) -> None:
    (run / "network.onnx").write_bytes(b"\x08\x07" + os.urandom(1000))
    desk.refuses(lambda: desk.predict(run=run), run / "network.onnx", "damaged", "train again")


def test_a_run_without_its_checkpoint(desk: Desk, begun: Path) -> None:
    (begun / "last.keras").unlink()
    desk.refuses(lambda: desk.train("--output", begun, "--resume"), begun / "last.keras", "train again")


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_a_run_with_a_damaged_checkpoint(desk: Desk, begun: Path, keep: int) -> None:
    (begun / "last.keras").write_bytes((begun / "last.keras").read_bytes()[:keep])
    desk.refuses(
        lambda: desk.train("--output", begun, "--resume"), begun / "last.keras", "damaged", "train again"
    )


@pytest.mark.parametrize(
    ("module", "name"), [("keras.layers", "Lambda"), ("evil", "Layer"), ("keras.layers", "TFSMLayer")]
)
def test_a_checkpoint_that_could_run_code_is_refused(desk: Desk, begun: Path, module: str, name: str) -> None:
    add_layer(begun / "last.keras", {"module": module, "class_name": name, "config": {}})
    desk.refuses(lambda: desk.train("--output", begun, "--resume"), begun / "last.keras", name, "refused")


def add_layer(path: Path, layer: dict[str, object]) -> None:
    """Put a layer into the description of the network in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"].append(layer)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


# Places to write to


def test_places_below_a_file(desk: Desk, run: Path) -> None:
    below = desk.image / "below"
    desk.refuses(lambda: desk.train("--output", below), below, "choose another")
    desk.refuses(lambda: desk.predict("--output", below / "out.tif"), below, "make it first")
    desk.refuses(lambda: desk.export("--output", below), desk.image, "choose another")


def test_names_that_are_no_tiff(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.predict("--output", desk.folder / "out.jpg"), "out.jpg", "end in .tif")


def test_predictions_need_a_folder_that_is_there(desk: Desk, run: Path) -> None:
    output = desk.folder / "gone" / "out.tif"
    desk.refuses(lambda: desk.predict("--output", output), output, "make it first")


def test_the_input_is_never_overwritten(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.predict("--output", desk.image), desk.image, "choose another")
    desk.refuses(lambda: desk.export("--output", desk.labels), desk.labels, "choose another")
    desk.refuses(lambda: desk.export("--output", desk.folder), desk.folder, "choose another")


def test_labels_of_a_person_are_never_overwritten_by_a_prediction(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.predict("--output", desk.labels), desk.labels, "choose another name")


def test_an_earlier_prediction_may_be_replaced(desk: Desk, run: Path) -> None:
    assert desk.predict().exit_code == 0
    assert desk.predict("--slices", "0:1").exit_code == 0
    assert tifffile.imread(desk.folder / "out.tif").shape == SHAPE[1:]


PROBLEMS = [(errno.EACCES, "not writable"), (errno.ENOSPC, "the disk is full")]


@pytest.mark.parametrize(("number", "reason"), PROBLEMS)
@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_disk_that_is_full_or_protected(
    desk: Desk, run: Path, monkeypatch: pytest.MonkeyPatch, command: str, number: int, reason: str
) -> None:
    def fail(path: object, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(tifffile, "imwrite", fail)
    output = desk.folder / ("out.tif" if command == "predict" else "exported")
    desk.refuses(lambda: getattr(desk, command)(), output, reason, "choose another")


@pytest.mark.parametrize(("number", "reason"), PROBLEMS)
def test_a_training_whose_disk_is_full_or_protected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "touch", fail)
    desk.refuses(desk.train, "new-run", reason, "choose another")


def test_a_disk_that_fills_up_in_mid_training(
    desk: Desk, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = (begun / "last.keras").read_bytes()

    def fail(model: object, path: Path) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(learner.keras.Model, "save", fail)
    assert_sentence(
        desk.train("--output", begun, "--resume"), begun / "last.keras", "the disk is full", "free some space"
    )
    assert (begun / "last.keras").read_bytes() == checkpoint
    assert not [p for p in begun.iterdir() if p.name.startswith(".")]


def test_an_error_of_the_system_that_nobody_foresaw(
    desk: Desk, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/dev/sda")

    monkeypatch.setattr("emseg_napari.inference.predict", fail)
    desk.refuses(desk.predict, "/dev/sda", os.strerror(errno.EIO), "check")
