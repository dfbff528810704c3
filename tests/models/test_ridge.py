import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.core.jobs import Cancelled, JobContext, Progress
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.ridge import SIGMAS_PX, RidgeFit, boundary, probability, reach_px, strength
from emseg_napari.training.baselines.ridge import Example, fit_ridge


def walls(side_px: int = 96, thickness_px: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Dark walls around square cells, with noise: a normalised image and its labels."""
    wall = (np.arange(side_px) % 24 < thickness_px) | (np.arange(side_px)[:, None] % 24 < thickness_px)
    image = np.where(wall, 60.0, 180.0) + np.random.default_rng(0).normal(0, 25, wall.shape)
    return Normalisation().apply(image), np.where(wall, BOUNDARY, INTERIOR).astype(np.uint8)


# The filter


def test_a_dark_line_is_strong_and_a_bright_one_is_not():
    image = np.zeros((60, 60), np.float32)
    image[:, 18:22], image[:, 38:42] = -1, 1
    dark, bright = strength(image, 1.4)[30, [20, 40]]
    assert dark > 0.5
    assert bright < 0
    dark, bright = strength(image, 1.4, dark=False)[30, [20, 40]]
    assert bright > 0.5
    assert dark < 0


@pytest.mark.parametrize("sigma_px", SIGMAS_PX)
def test_a_filter_looks_no_further_than_it_says(sigma_px):
    image = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    end = 150 + reach_px(sigma_px)
    part = strength(image[:end, :end], sigma_px)
    np.testing.assert_allclose(part[:150, :150], strength(image, sigma_px)[:150, :150], atol=1e-5)


def test_widths_to_try_are_half_octaves():
    np.testing.assert_allclose(np.diff(np.log2(SIGMAS_PX)), 0.5, atol=0.03)


# Hysteresis and clean-up


def test_a_weak_piece_counts_only_where_it_hangs_on_a_strong_one():
    found = np.zeros((9, 9), np.float32)
    found[1, 1:4], found[1, 4] = 0.5, 0.9
    found[7, 1:5] = 0.5
    mask = boundary(found, low=0.4, high=0.8, smallest_px=1)
    assert mask[1, 1:5].all()
    assert mask.sum() == 4


def test_pieces_hang_together_over_corners():
    found = np.diag([0.9, 0.5, 0.5, 0.5]).astype(np.float32)
    assert boundary(found, 0.4, 0.8, 4).sum() == 4
    assert boundary(found, 0.4, 0.8, 5).sum() == 0


def test_small_islands_of_interior_are_filled_and_large_ones_stay():
    found = np.ones((20, 20), np.float32)
    found[2:4, 2:4], found[8:14, 8:14] = 0, 0
    mask = boundary(found, 0.5, 0.5, 5)
    assert mask[2:4, 2:4].all()
    assert not mask[8:14, 8:14].any()


@given(seed=st.integers(0, 1000), smallest_px=st.integers(1, 60), high=st.floats(0.5, 1.5))
def test_the_probability_is_parted_at_one_half_as_the_boundary_is(seed, smallest_px, high):
    noise = np.random.default_rng(seed).normal(0.5, 0.5, (24, 24))
    found = ndimage.gaussian_filter(noise, 1).astype(np.float32)
    fit = RidgeFit(dark=True, sigma_px=2, low=0.5, high=high, smallest_px=smallest_px, spread=0.1)
    result = probability(found, fit)
    assert result.dtype == np.float32
    assert 0 <= result.min() <= result.max() <= 1
    np.testing.assert_array_equal(result >= 0.5, boundary(found, 0.5, high, smallest_px))
    np.testing.assert_array_equal(1 - result > 0.5, ~boundary(found, 0.5, high, smallest_px))


def test_where_nothing_is_cleaned_a_stronger_pixel_is_more_probable():
    found = np.linspace(-1, 2, 100, dtype=np.float32).reshape(1, 100)
    fit = RidgeFit(dark=True, sigma_px=2, low=0.5, high=0.5, smallest_px=1, spread=0.3)
    assert (np.diff(probability(found, fit)) > 0).all()


def test_limits_belong_to_what_they_bound():
    found = np.array([[0.5, 0.75, 0, 0, 0.75, 0, 0.5]], np.float32)
    assert boundary(found, 0.5, 0.75, 1).tolist() == [[True, True, False, False, True, False, False]]
    assert boundary(found, 0.5, 0.75, 2).tolist() == [[True, True, False, False, False, False, False]]
    assert boundary(found, 0.5, 0.75, 3).tolist() == [[False] * 7]
    islands = np.array([[1, 1, 0, 0, 1, 1, 0, 1, 1]], np.float32)
    assert boundary(islands, 0.5, 0.5, 2)[0].tolist() == [True, True, False, False, *[True] * 5]


def test_the_probability_of_the_spread_above_the_limit_is_73_percent():
    fit = RidgeFit(dark=True, sigma_px=2, low=0.5, high=0.5, smallest_px=1, spread=0.25)
    found = probability(np.array([[0.25, 0.5, 0.75, 1.0]], np.float32), fit)
    assert found[0] == pytest.approx([0.269, 0.5, 0.731, 0.881], abs=1e-3)


# The fit


def accuracy(image: np.ndarray, labels: np.ndarray, fit: RidgeFit) -> float:
    found = probability(strength(image, fit.sigma_px, fit.dark), fit) >= 0.5
    return float(np.mean(found == (labels == BOUNDARY)))


def test_the_fit_finds_walls_and_repeats_itself():
    image, labels = walls()
    fit, tried = fit_ridge([Example(image, labels)])
    assert fit.dark
    assert accuracy(image, labels, fit) > 0.9
    assert (fit, tried) == fit_ridge([Example(image, labels)])


def test_bright_walls_are_found_as_well_and_the_fit_says_so():
    image, labels = walls()
    fit, _ = fit_ridge([Example(-image, labels)])
    assert not fit.dark
    assert accuracy(-image, labels, fit) > 0.9


def test_scribbles_are_enough():
    image, labels = walls()
    scribbled = np.zeros_like(labels)
    scribbled[30, :], scribbled[:, 26] = labels[30, :], labels[:, 26]
    fit, _ = fit_ridge([Example(image, scribbled)])
    assert accuracy(image, labels, fit) > 0.85


def test_thicker_walls_get_a_wider_filter():
    thin, thick = (fit_ridge([Example(*walls(192, px))])[0].sigma_px for px in (3, 10))
    assert thin < thick


def test_an_image_of_one_grey_has_a_fit_too():
    _, labels = walls()
    fit, _ = fit_ridge([Example(np.zeros(labels.shape, np.float32), labels)])
    assert np.isfinite(probability(np.zeros((8, 8), np.float32), fit)).all()


def test_progress_rises_and_a_stop_is_obeyed():
    events: list[Progress] = []
    fit_ridge([Example(*walls())], context=JobContext(report=events.append))
    reported = [event.fraction for event in events]
    assert reported == sorted(reported)
    assert 0 < reported[0] < reported[-1] <= 1
    with pytest.raises(Cancelled):
        fit_ridge([Example(*walls())], context=JobContext(should_stop=lambda: True))
