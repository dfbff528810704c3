"""Phantoms: what the settings promise, and that the truth is one."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from helpers.paths import BENCHMARKS

sys.path.append(str(BENCHMARKS))

from phantoms import KINDS, draw, render
from phantoms.microscope import compressed
from phantoms.smooth_noise import SmoothNoise

SHAPE = (2, 160, 144)
BOUNDARY, INTERIOR = 0, 255
# Nothing that makes a boundary hard to see.
CLEAR = {
    "faint_share": 0.0,
    "folds": 0,
    "dirt_spots": 0,
    "charging": 0.0,
    "local_contrast": 0.0,
    "jpeg_quality": 100,
}


@pytest.fixture(scope="module", params=KINDS)
def phantom(request):
    return render(replace(draw(3, request.param), **CLEAR), SHAPE, 3)


def thickness(labels) -> float:
    """Mean distance from a boundary's pixels to the interior."""
    boundary = np.pad(labels[0] == BOUNDARY, 1)
    return ndimage.distance_transform_edt(boundary)[boundary].mean()


def test_same_seed_gives_the_same_bytes():
    first, second = (render(draw(5), SHAPE, 7) for _ in range(2))
    assert all(one.tobytes() == other.tobytes() for one, other in zip(first, second, strict=True))


def test_another_seed_gives_another_phantom_of_the_same_kind():
    first, second = (render(draw(5), SHAPE, seed) for seed in (7, 8))
    assert (first.labels != second.labels).mean() > 0.1


def test_image_labels_and_cells_have_shape_and_values(phantom):
    assert phantom.image.shape == phantom.labels.shape == phantom.cells.shape == SHAPE
    assert phantom.image.dtype == phantom.labels.dtype == np.uint8
    assert phantom.cells.dtype == np.int32
    assert set(np.unique(phantom.labels)) == {BOUNDARY, INTERIOR}
    assert ((phantom.cells > 0) == (phantom.labels == INTERIOR)).all()


def test_grey_levels_use_their_range_and_boundaries_are_dark(phantom):
    assert phantom.image.std() > 15
    boundary = phantom.labels == BOUNDARY
    assert phantom.image[boundary].mean() + 12 < phantom.image[~boundary].mean()


def test_no_two_cells_touch_not_even_by_a_corner(phantom):
    for labels, cells in zip(phantom.labels, phantom.cells, strict=True):
        pieces, count = ndimage.label(labels == INTERIOR, np.ones((3, 3)))
        assert count > 4
        inside = pieces > 0
        assert len(np.unique(np.stack([pieces[inside], cells[inside]]), axis=1).T) == count


def test_a_cell_has_one_number_in_all_slices(phantom):
    both = (phantom.cells > 0).all(0)
    assert (phantom.cells[0] == phantom.cells[1])[both].mean() > 0.6


def test_boundaries_are_as_much_wider_as_pixels_are_smaller():
    settings = replace(draw(1, "fly"), membrane_nm=14.0, slope=0.0, in_plane_share=0.0, section_nm=8.0)
    fine, coarse = (render(replace(settings, pixel_nm=nm), (1, 192, 192), 1).labels for nm in (3.0, 7.0))
    assert thickness(fine) > 1.4 * thickness(coarse)


def test_more_room_between_cells_is_drawn_as_boundary():
    settings = replace(draw(1, "cortex"), myelin_share=0.0)
    apart, close = (render(replace(settings, extracellular_nm=nm), SHAPE, 1).labels for nm in (24.0, 0.0))
    assert (apart == BOUNDARY).mean() > 1.15 * (close == BOUNDARY).mean()


def test_myelin_is_boundary():
    settings = replace(draw(1, "cortex"), axon_radius_nm=170.0, dendrite_share=0.0, bundle_share=0.0)
    wrapped, bare = (render(replace(settings, myelin_share=share), SHAPE, 1).labels for share in (1.0, 0.0))
    assert (wrapped == BOUNDARY).mean() > 1.5 * (bare == BOUNDARY).mean()
    assert ((wrapped == INTERIOR) <= (bare == INTERIOR)).mean() > 0.99


def test_contents_of_cells_are_seen_and_are_not_boundary():
    full = replace(
        draw(2, "between"), **CLEAR, mitochondria_share=1.0, vesicles_per_um2=150.0, reticulum_share=0.2
    )
    empty = replace(
        full, mitochondria_share=0.0, vesicles_per_um2=0.0, reticulum_share=0.0, granules_per_um2=0.0
    )
    first, second = (render(settings, SHAPE, 4) for settings in (full, empty))
    assert (first.labels == second.labels).all()
    assert (first.image != second.image).mean() > 0.5


def test_settings_are_drawn_by_seed_and_every_kind_is():
    assert draw(4) == draw(4) != draw(5)
    assert {draw(seed).kind for seed in range(30)} == set(KINDS)
    assert [draw(0, kind).kind for kind in KINDS] == list(KINDS)
    with pytest.raises(ValueError, match="'mouse' is not one of fly, cortex, between"):
        draw(0, "mouse")


def test_drawn_settings_cover_what_microscopes_do():
    drawn = [draw(seed) for seed in range(300)]
    for name, least in {"folds": 5, "dirt_spots": 20, "charging": 20, "local_contrast": 20}.items():
        assert least < sum(getattr(settings, name) > 0 for settings in drawn) < 100, name
    assert 40 < sum(settings.jpeg_quality < 100 for settings in drawn) < 120
    assert all(3 <= settings.pixel_nm <= 10 for settings in drawn)
    assert not any(draw(seed, "fly").myelin_share for seed in range(20))


@pytest.mark.parametrize(
    "damage", [{"folds": 2}, {"dirt_spots": 5}, {"charging": 1.0}, {"local_contrast": 0.02}]
)
def test_damage_changes_the_image_and_not_the_truth(damage):
    settings = replace(draw(6), **CLEAR)
    first, second = render(settings, (1, 96, 96), 6), render(replace(settings, **damage), (1, 96, 96), 6)
    assert (first.labels == second.labels).all()
    assert (first.image != second.image).mean() > 0.02


def test_compression_loses_more_at_lower_quality_and_keeps_flat_areas():
    levels = np.random.default_rng(0).integers(60, 200, (37, 50)).astype(np.float32)
    loss = [abs(compressed(levels, quality) - levels).mean() for quality in (95, 60, 20)]
    assert loss[0] < 6 < loss[1] < loss[2]
    assert (compressed(np.full((16, 16), 128.0), 20) == 128).all()


def test_smooth_noise_has_mean_zero_and_unit_deviation_and_its_slope_is_its_change():
    noise = SmoothNoise(np.random.default_rng(1), 40, (64, 64), 6, depth=2)
    assert noise.at(0.3).std() == pytest.approx(1, abs=0.1)
    change = (noise.at(0.51) - noise.at(0.49)) / 0.02
    assert np.allclose(change, noise.slope(0.5), atol=0.02)


def test_boundary_has_no_islands_that_a_person_would_not_draw():
    for seed in range(3):
        labels = render(replace(draw(seed, "fly"), pixel_nm=4.0), (1, 192, 192), seed).labels[0]
        pieces, _ = ndimage.label(labels == BOUNDARY, np.ones((3, 3)))
        at_edge = np.unique([*pieces[[0, -1]].ravel(), *pieces[:, [0, -1]].ravel()])
        sizes = np.delete(np.bincount(pieces.ravel()), at_edge)
        assert sizes[sizes > 0].min(initial=1000) > 40  # 700 square nanometres
