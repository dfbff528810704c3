"""Losses on targets of a few pixels; no network is trained."""

import numpy as np
import pytest

from emseg_napari.settings import TrainingSettings
from emseg_napari.training.losses import anchored_loss, masked_loss

pytestmark = pytest.mark.keras


@pytest.fixture
def target() -> np.ndarray:
    """Boundary and labelled, float32 (2, 6, 6, 2); a third is unlabelled."""
    random = np.random.default_rng(5)
    return np.stack([random.random((2, 6, 6)) > 0.5, random.random((2, 6, 6)) > 0.3], -1).astype(np.float32)


@pytest.fixture
def probability() -> np.ndarray:
    return np.random.default_rng(6).random((2, 6, 6, 1)).astype(np.float32)


def loss_and_gradient(target: np.ndarray, probability: np.ndarray) -> tuple[float, np.ndarray]:
    import tensorflow as tf

    given = tf.Variable(probability)
    with tf.GradientTape() as tape:
        loss = masked_loss(TrainingSettings(boundary_weight=3.0))(tf.constant(target), given)
    return float(loss), tape.gradient(loss, given).numpy()


def test_unlabelled_pixels_change_neither_loss_nor_gradient(target, probability):
    other = target.copy()
    unlabelled = target[..., 1] == 0
    other[..., 0][unlabelled] = 1 - other[..., 0][unlabelled]
    loss, gradient = loss_and_gradient(target, probability)
    assert loss_and_gradient(other, probability)[0] == loss
    np.testing.assert_array_equal(loss_and_gradient(other, probability)[1], gradient)
    assert not gradient[..., 0][unlabelled].any()
    assert gradient[..., 0][~unlabelled].all()


def test_probability_of_unlabelled_pixels_does_not_matter(target, probability):
    other = np.where(target[..., 1:] == 0, np.float32(0.99), probability)
    assert loss_and_gradient(target, other)[0] == pytest.approx(
        loss_and_gradient(target, probability)[0], rel=1e-6
    )


def test_patch_without_labels_pulls_nowhere(target, probability):
    target[..., 1] = 0
    loss, gradient = loss_and_gradient(target, probability)
    assert loss == 0
    assert not gradient.any()


def test_loss_can_be_counted_by_hand():
    # One boundary pixel at 0.5 and one interior pixel at 0.5; means are over pixels + 1.
    target = np.array([[[[1, 1], [0, 1]]]], np.float32)
    probability = np.full((1, 1, 2, 1), 0.5, np.float32)
    without_dice = TrainingSettings(boundary_weight=3.0, dice_weight=0.0)
    entropy = float(masked_loss(without_dice)(target, probability))
    assert entropy == pytest.approx(4 * np.log(2) / 3)
    both = float(masked_loss(TrainingSettings(boundary_weight=3.0, dice_weight=2.0))(target, probability))
    assert both - entropy == pytest.approx(2 * (1 - (2 * 0.5 + 1) / (2 + 1)))


def test_the_anchor_holds_unlabelled_pixels_alone_to_what_the_start_said():
    # Two pixels are labelled boundary; the last is not, and the start said 0.2 of it.
    target = np.array([[[[1, 1, 0.9], [1, 1, 0.9], [0, 0, 0.2]]]], np.float32)
    probability = np.array([[[[0.5], [0.5], [0.4]]]], np.float32)
    settings = TrainingSettings(boundary_weight=3.0, dice_weight=0.0, anchor_weight=7.0)
    plain = float(masked_loss(settings)(target[..., :2], probability))
    apart = 0.2 * np.log(0.2 / 0.4) + 0.8 * np.log(0.8 / 0.6)
    assert plain == pytest.approx(2 * 3 * np.log(2) / 3)
    assert float(anchored_loss(settings)(target, probability)) == pytest.approx(
        plain + 7 * apart / 3, rel=1e-5
    )


def test_sure_answers_give_a_finite_loss(target):
    for value in (0.0, 1.0):
        loss, gradient = loss_and_gradient(target, np.full((2, 6, 6, 1), value, np.float32))
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
