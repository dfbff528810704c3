"""Nine patches in a grid: their labels, their colours, and the data that they are cut from."""

from types import SimpleNamespace

import numpy as np
import pytest

from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.train import augmented_samples
from emseg_napari.widgets.train.augmented_samples import AugmentedSamples, patches, picture, sampler_of
from helpers.window import striped

NINE = np.arange(9, dtype=np.float32)[:, None, None] * np.ones((9, 5, 6), np.float32)


def test_patches_lie_in_rows_of_three_with_gaps_between_and_none_around():
    shown = picture(NINE, None)
    assert shown.dtype == np.uint8
    assert shown.shape == (3 * 5 + 2 * 4, 3 * 6 + 2 * 4, 3)
    middles = shown[2::9, 3::10, 0]
    np.testing.assert_allclose(middles.ravel(), 255 * np.arange(9) / 8, atol=1)
    assert not shown[5:9].any()
    assert not shown[:, 6:10].any()
    assert shown[-1, -1, 0] == 255


def test_labels_are_veils_of_their_colours_over_the_grey_levels():
    grey = np.full((9, 5, 6), 0.5, np.float32)
    grey[:, 0], grey[:, 4] = 0, 1
    labels = np.zeros((9, 5, 6), np.uint8)
    labels[0], labels[1] = 1, 2
    veiled = picture(grey, labels)
    for x, label in ((3, 1), (13, 2)):
        colour = np.array(label_colours().color_dict[label])
        veil = 0.6 * colour[3]
        np.testing.assert_allclose(veiled[2, x], 255 * ((1 - veil) * 0.5 + veil * colour[:3]), atol=1)
    np.testing.assert_allclose(veiled[2, 23], 127.5, atol=1)
    assert veiled[2, 3, 0] > veiled[2, 3, 2]  # orange
    assert veiled[2, 13, 2] > veiled[2, 13, 0]  # blue


def test_a_flat_image_is_shown_without_a_warning():
    assert picture(np.ones((9, 5, 6), np.float32), None).max() == 0


def test_patches_have_the_labels_that_count():
    image = np.zeros((9, 2, 2, 1), np.float32)
    target = np.zeros((9, 2, 2, 2), np.float32)
    target[..., 0, 0, :] = 1, 1
    target[..., 0, 1, :] = 0, 1
    target[..., 1, 0, :] = 1, 0
    asked = []
    sampler = SimpleNamespace(batch=lambda number: asked.append(number) or (image, target))
    found, labels = patches(sampler, 7)
    assert asked == [7]
    assert found.shape == (9, 2, 2)
    assert (labels.dtype, labels[4].tolist()) == (np.uint8, [[1, 2], [0, 0]])


@pytest.mark.parametrize(("network", "part"), [("compact", 16), ("reference", 64)])
def test_of_large_slices_a_part_is_cut_but_not_for_a_network_that_sees_all(monkeypatch, network, part):
    monkeypatch.setattr(augmented_samples, "_SIDE_PX", 16)
    sides = []
    real = augmented_samples.PatchSampler
    monkeypatch.setattr(augmented_samples, "PatchSampler", lambda *given: sides.append(given) or real(*given))
    image, labels = striped((8, 64, 64))
    settings = TrainingSettings.recipe(network, patch_px=16, batch_size=2)
    sampler_of(image, labels, settings)
    ((some, chosen, nine, _, window),) = sides
    assert len(some) == len(chosen) == 4
    assert nine.batch_size == 9
    assert (window is None) is (part == 64)


@pytest.fixture
def dialog(qtbot):
    dialog = AugmentedSamples(None)
    qtbot.addWidget(dialog)
    return dialog


def test_other_samples_are_the_next_ones_and_a_new_sampler_begins_again(dialog):
    asked = []

    def batch(number):
        asked.append(number)
        target = np.ones((9, 8, 8, 2), np.float32)
        return np.random.default_rng(number).random((9, 8, 8, 1)).astype(np.float32), target

    dialog.show_sampler(SimpleNamespace(batch=batch))
    assert dialog.isVisible()
    assert dialog.with_labels.isChecked()
    with_labels = dialog.grid.pixmap().toImage()
    assert max(with_labels.width(), with_labels.height()) == 690
    dialog.with_labels.click()
    assert dialog.grid.pixmap().toImage() != with_labels
    dialog.others.click()
    dialog.others.click()
    dialog.show_sampler(SimpleNamespace(batch=batch))
    assert asked == [0, 1, 2, 0]
