"""Colours of labels: what they mean, and that everybody can tell them apart."""

import warnings
from itertools import combinations
from unittest.mock import Mock

import numpy as np
import pytest
from napari.layers import Labels
from skimage.color import lab2rgb

from emseg_napari.widgets.layers import label_colours as label_colours_module
from emseg_napari.widgets.layers.label_colours import (
    label_colours,
    prepare_colours,
    proposal_look,
    show_confirmed,
)

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: full severity, of linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
OPACITY = 0.6  # of a managed layer
LEAST_DIFFERENCE = 20.0  # CIE 1976; 2 can just be seen side by side
LEAST_LIGHTNESS = 2.5
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab_over(grey, colour, vision):
    """CIE L*a*b* of a label over a grey level, as somebody sees it."""
    alpha = OPACITY * colour[3]
    mixed = grey * (1 - alpha) + colour[:3] * alpha
    linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(vision @ linear, 0, 1) / (0.9505, 1.0, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("grey", [0.25, 0.5, 0.75])
def test_own_and_proposed_boundary_and_interior_are_told_apart_over_any_grey(grey, vision):
    colours = label_colours().color_dict
    seen = {
        label: lab_over(grey, np.asarray(colours[label], float), VISION[vision]) for label in (1, 2, 3, 4)
    }
    differences = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(seen, 2)}
    assert min(differences.values()) > LEAST_DIFFERENCE, differences
    for own, proposed in ((1, 3), (2, 4)):
        assert seen[proposed][0] - seen[own][0] > LEAST_LIGHTNESS  # proposals are lighter: so in print, too


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("label", [2, 4])
def test_an_interior_is_told_from_no_label(label, vision):
    colour = np.asarray(label_colours().color_dict[label], float)
    bare, labelled = (lab_over(0.5, colour * (1, 1, 1, there), VISION[vision]) for there in (0, 1))
    assert np.linalg.norm(labelled - bare) > LEAST_DIFFERENCE / 2


def test_only_unlabelled_pixels_are_clear_and_in_a_confirmed_slice_all_look_as_own():
    proposed, confirmed = label_colours().color_dict, label_colours(confirmed=True).color_dict
    assert [label for label in range(5) if proposed[label][3] == 0] == [0]
    for label in (1, 2):
        np.testing.assert_array_equal(proposed[label], confirmed[label])
        np.testing.assert_array_equal(confirmed[label + 2], confirmed[label])
        assert (proposed[label + 2] != proposed[label]).any()


def test_a_layer_whose_colours_are_not_by_label_keeps_them():
    layer = Labels(np.zeros((1, 4, 4), np.uint8))
    before = layer.colormap
    show_confirmed(layer, True)
    assert layer.colormap is before


def test_a_probability_that_is_a_proposal_goes_from_clear_to_the_colour_of_a_proposed_boundary():
    nothing, half, boundary = proposal_look()["colormap"].map(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(boundary, label_colours().color_dict[3], atol=1e-6)
    assert nothing[3] == 0
    assert 0.4 < half[3] < 0.6
    np.testing.assert_allclose(half[:3], boundary[:3], atol=1e-6)  # no darker colour on the way


def test_scikit_image_says_nothing_of_the_colours_that_napari_makes(monkeypatch):
    """Napari's own filter is lost where numba changes the filters in another thread meanwhile."""
    monkeypatch.setattr(label_colours_module, "QThreadPool", Mock())
    out_of_gamut = np.array([[[50.0, 0.0, 120.0]]])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        lab2rgb(out_of_gamut)
        prepare_colours.__wrapped__()
        lab2rgb(out_of_gamut)
    assert len(seen) == 1
