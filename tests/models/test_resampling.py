"""Resampling against that of scikit-image, which works on whole slices."""

import numpy as np
import pytest
from skimage.transform import resize

from emseg_napari.models.resampling import read_mirrored, resample, resample_labels


@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.3, 1.7), (2.0, 0.77), (0.01, 1.0)])
def test_a_whole_slice_is_resampled_as_scikit_image_does_it(scale):
    image = np.random.default_rng(0).random((31, 44), np.float32)
    ours = resample(image, scale)
    theirs = resize(image, ours.shape, order=1, mode="reflect", anti_aliasing=True)
    assert ours.shape == tuple(max(1, round(n * s)) for n, s in zip(image.shape, scale, strict=True))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("window", "values"), [((-2, 6), [2, 1, 0, 1, 2, 1, 0, 1]), ((1, 3), [1, 2])])
def test_beyond_its_edges_a_slice_is_mirrored_without_repeating_them(window, values):
    row = np.array([[0, 1, 2]])
    assert read_mirrored(row, np.s_[0:1, slice(*window)]).tolist() == [values]
    assert read_mirrored(row.T, np.s_[slice(*window), 0:1]).T.tolist() == [values]
    assert read_mirrored(row, np.s_[-1:2, 0:3]).tolist() == [[0, 1, 2]] * 3


@pytest.mark.parametrize("scale", [0.25, 0.3, 0.5, 0.71])
def test_thin_boundaries_stay_whole_where_labels_shrink(scale):
    labels = np.full((96, 120), 2, np.uint8)
    labels[33] = labels[:, 51] = 1
    found = resample_labels(labels, (scale, scale))
    assert found.shape == (round(96 * scale), round(120 * scale))
    assert (found == 1).any(axis=0).all()
    assert (found == 1).any(axis=1).all()
    assert np.mean(found == 1) < 0.12


def test_thin_boundaries_may_be_left_to_the_nearest_pixel():
    labels = np.full((32, 32), 2, np.uint8)
    labels[:, 1::4] = 1  # no pixel of the result has its middle there
    assert not (resample_labels(labels, (0.25, 0.25), keep_thin=False) == 1).any()


def test_thick_boundaries_keep_their_width_where_labels_shrink():
    labels = np.full((64, 64), 2, np.uint8)
    labels[20:28] = 1
    assert (resample_labels(labels, (0.5, 0.5)) == 1).sum(axis=0).tolist() == [4] * 32


def test_a_thin_stroke_stays_where_nothing_else_is_labelled():
    labels = np.zeros((64, 64), np.uint8)
    labels[21, 5:60] = 2
    labels[:, 40:48] = 1
    found = resample_labels(labels, (0.25, 0.25))
    assert (found[:, 10:12] == 1).all()
    assert (found[5, [2, 8, 13]] == 2).all()


def test_enlarged_labels_are_those_of_the_nearest_pixel():
    labels = np.random.default_rng(0).integers(0, 3, (9, 7)).astype(np.uint8)
    np.testing.assert_array_equal(resample_labels(labels, (2, 2)), np.kron(labels, np.ones((2, 2))))
    assert resample_labels(labels, (1.0, 1.0)) is labels
