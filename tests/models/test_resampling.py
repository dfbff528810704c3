"""Resampling against that of scikit-image, which works on whole slices."""

import numpy as np
import pytest
from skimage.transform import resize

from emseg_napari.models.resampling import read_mirrored, resample


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
