"""Unusual stacks that are no mistake. Every mistake is one sentence."""

import numpy as np
import pytest
import tifffile

from helpers.command_desk import QUICK, SHAPE, Desk

pytestmark = pytest.mark.keras


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
    words = ("--slices", "1:2", "--orientations", "1")
    assert desk.predict(*words, image=image, run=desk.folder / "new-run").exit_code == 0
    assert tifffile.imread(desk.folder / "out.tif").shape == (513, 300)
