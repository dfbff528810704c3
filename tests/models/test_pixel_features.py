import numpy as np
import pytest

from emseg_napari.models.pixel_features import FEATURES_PER_SCALE, FeatureRecipe, pixel_features

SIGMAS = FeatureRecipe().sigmas_px
SMOOTH, DIFFERENCE, GRADIENT, LAPLACIAN = range(4)


def noise(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (1, 40), (17, 33)])
def test_every_pixel_of_a_slice_of_any_size_has_its_features(shape):
    found = pixel_features(noise(shape), SIGMAS)
    assert found.shape == (*shape, FEATURES_PER_SCALE * len(SIGMAS))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_features_turn_and_flip_with_the_image():
    image = noise((40, 40))
    found = pixel_features(image, SIGMAS)
    np.testing.assert_allclose(pixel_features(np.rot90(image), SIGMAS), np.rot90(found), atol=1e-5)
    np.testing.assert_allclose(pixel_features(image[::-1], SIGMAS), found[::-1], atol=1e-5)


def test_a_slope_has_its_gradient_and_no_curvature():
    ramp = np.tile(np.arange(60, dtype=np.float32) * 2, (60, 1))
    middle = pixel_features(ramp, (1.0,))[30, 30]
    assert middle[SMOOTH] == pytest.approx(60, abs=1e-4)
    assert middle[GRADIENT] == pytest.approx(2, abs=1e-4)
    assert middle[LAPLACIAN] == pytest.approx(0, abs=1e-4)
    hessian, structure = middle[4:6], middle[6:8]
    assert hessian == pytest.approx([0, 0], abs=1e-4)
    assert structure == pytest.approx([4, 0], abs=1e-3)


def test_a_dark_line_has_one_large_eigenvalue_and_one_of_nought():
    image = np.ones((41, 41), np.float32)
    image[:, 20] = 0
    large, small = pixel_features(image, (1.6,))[20, 20, 4:6]
    assert large > 10 * abs(small)


def test_features_look_no_further_than_the_halo_of_a_tile():
    image = noise((260, 260))
    part = pixel_features(image[:200, :200], SIGMAS)
    np.testing.assert_allclose(part[:128, :128], pixel_features(image, SIGMAS)[:128, :128], atol=1e-6)


def test_a_saddle_has_the_eigenvalues_that_can_be_counted_by_hand():
    y, x = np.mgrid[-30:31, -30:31].astype(np.float32)
    middle = pixel_features(y * y - 2 * x * y + 3 * x * x, (1.0, 2.0))[30, 30].reshape(2, -1)
    # Second slopes 2, -2 and 6; a Gaussian of sigma adds half of each square's, times sigma squared.
    for features, sigma, finer in zip(middle, (1.0, 2.0), (0.0, 1.0), strict=True):
        assert features[SMOOTH] == pytest.approx(4 * sigma**2, rel=0.03)
        assert features[DIFFERENCE] == pytest.approx(4 * (sigma**2 - finer**2), rel=0.05)
        assert features[GRADIENT] == pytest.approx(0, abs=1e-4)
        assert features[LAPLACIAN] == pytest.approx(8, abs=1e-3)
        assert features[4:6] == pytest.approx([4 + 8**0.5, 4 - 8**0.5], abs=1e-3)


def test_the_reach_is_that_of_the_widest_feature_and_of_the_smoothing():
    # A Gaussian of sigma 2 reaches 6 pixels, twice for the structure tensor, and its slopes 2; smoothing 4.
    assert FeatureRecipe(sigmas_px=(0.7, 2.0), smoothing_px=1.0).reach_px == 2 * 6 + 2 + 4
