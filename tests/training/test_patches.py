import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.core.jobs import UserError
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.resampling import resample
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.patches import REFERENCE_PX, LivePatches, PatchSampler, network_scale

PATCH = 32


def settings(network="compact", **changes) -> TrainingSettings:
    plain = {"patch_px": PATCH, "batch_size": 3, "mirror": "none", "contrast": 0.0}
    return TrainingSettings.recipe(network, **(plain | changes))


def sampler(image: np.ndarray, labels: np.ndarray, **changes) -> PatchSampler:
    return PatchSampler(image, labels, settings(**changes), Normalisation())


def random_stack(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, shape).astype(np.uint8), random.integers(1, 3, shape).astype(np.uint8)


def sparse_stack(shape: tuple[int, int, int], *pixels: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    image, labels = random_stack(shape)
    sparse = np.zeros_like(labels)
    for number, pixel in enumerate(pixels):
        sparse[pixel] = 1 + number % 2
    return image, sparse


def test_batch_has_the_shapes_and_types_that_the_network_wants():
    image, target = sampler(*random_stack((2, 70, 90))).batch(0)
    assert (image.shape, image.dtype) == ((3, PATCH, PATCH, 1), np.float32)
    assert (target.shape, target.dtype) == ((3, PATCH, PATCH, 2), np.float32)


def test_target_says_boundary_and_labelled():
    image, labels = random_stack((1, PATCH, PATCH))
    labels[0, :10] = 0
    _, target = sampler(image, labels).batch(0)
    np.testing.assert_array_equal(target[0, ..., 0], labels[0] == 1)
    np.testing.assert_array_equal(target[0, ..., 1], labels[0] != 0)


def test_patch_is_cut_from_image_and_labels_alike():
    # The labels are the image's parity, so any shift between the two would show.
    image, _ = random_stack((2, 80, 100))
    cut, target = sampler(image, (1 + image % 2).astype(np.uint8)).batch(4)
    normalised = Normalisation().apply(image)
    for patch, boundary in zip(cut[..., 0], target[..., 0], strict=True):
        levels = image.ravel()[np.abs(normalised.ravel()[None] - patch[:, :1]).argmin(1)]
        np.testing.assert_array_equal(boundary[:, 0], levels % 2 == 0)


def test_batch_depends_on_seed_and_number_alone():
    stack = random_stack((3, 80, 70))
    first, second = sampler(*stack, seed=5), sampler(*stack, seed=5)
    second.batch(0)
    second.batch(9)
    for one, other in zip(first.batch(7), second.batch(7), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_seeds_and_other_numbers_give_other_batches():
    stack = random_stack((3, 80, 70))
    images = [sampler(*stack, seed=s).batch(n)[0].tobytes() for s, n in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert len(set(images)) == 4


def test_stream_of_batches_begins_where_it_is_told():
    source = sampler(*random_stack((3, 80, 70)))
    stream = source.batches(5)
    for number in (5, 6, 7):
        np.testing.assert_array_equal(next(stream)[0], source.batch(number)[0])
    stream.close()


@pytest.mark.parametrize("pixel", [(0, 0, 0), (1, 299, 0), (1, 0, 199), (0, 299, 199), (1, 140, 77)])
def test_every_patch_of_a_nearly_unlabelled_stack_holds_the_one_labelled_pixel(pixel):
    source = sampler(*sparse_stack((2, 300, 200), pixel), mirror="flips and turns")
    for number in range(10):
        assert (source.batch(number)[1][..., 1].sum((1, 2)) == 1).all()


def test_every_patch_of_a_half_labelled_slice_holds_labelled_pixels():
    image, labels = random_stack((1, 300, 300))
    labels[0, :, 170:] = 0
    source = sampler(image, labels, batch_size=16)
    for number in range(10):
        assert (source.batch(number)[1][..., 1].sum((1, 2)) > 0).all()


def test_slices_are_drawn_as_often_as_they_are_labelled():
    image = np.zeros((3, 64, 64), np.uint8)
    image[0, ::2], image[1, :, ::2] = 9, 9  # which slice it was shows in the patch
    labels = np.ones(image.shape, np.uint8)
    labels[1, 16:], labels[2] = 0, 0
    source = sampler(image, labels, batch_size=32)
    patches = np.concatenate([source.batch(n)[0] for n in range(10)])
    rows = (patches[:, 1:] != patches[:, :-1]).all((1, 2, 3)).sum()
    columns = (patches[:, :, 1:] != patches[:, :, :-1]).all((1, 2, 3)).sum()
    assert rows + columns == 320
    assert columns / 320 == pytest.approx(0.2, abs=0.06)


def test_strokes_weigh_what_the_settings_say_and_whole_slices_one():
    image, labels = random_stack((2, 40, 40))
    labels[1, :, 20:] = 0  # a slice that has labels only in part
    target = sampler(image, labels, touched_weight=0.25, batch_size=40).batch(0)[1]
    weights = [set(np.unique(one)) for one in target[..., 1]]
    assert all(found <= {0, 0.25} or found <= {0, 1} for found in weights)
    assert {0.25} < set().union(*weights)
    assert 1 in set().union(*weights)
    np.testing.assert_array_equal(sampler(image, labels).batch(0)[1][..., 1] % 1, 0)


def test_a_slice_of_which_nine_tenths_are_labelled_counts_as_whole():
    image, labels = random_stack((1, 32, 40))
    labels.ravel()[:128] = 0  # a tenth
    assert sampler(image, labels, touched_weight=0.25).batch(0)[1][..., 1].max() == 1
    labels.ravel()[128] = 0
    assert sampler(image, labels, touched_weight=0.25).batch(0)[1][..., 1].max() == 0.25


def test_unlabelled_padding_brings_a_small_slice_to_the_patch_size():
    image, labels = random_stack((1, 20, 25))
    _, target = sampler(image, labels).batch(0)
    assert (target[:, :20, :25, 1] == 1).all()
    assert target[..., 1].sum() == 3 * 20 * 25


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (31, 33), (33, 513), (513, 300)])
def test_slices_of_any_size_give_patches(shape):
    source = sampler(*random_stack((2, *shape)))
    for number in range(3):
        image, target = source.batch(number)
        side = min(PATCH, 16 * math.ceil(max(shape) / 16))
        assert image.shape == (3, side, side, 1)
        assert np.isfinite(image).all()
        assert (target[..., 1].sum((1, 2)) > 0).all()


@given(
    rows=st.integers(1, 80), columns=st.integers(1, 80), share=st.floats(0, 1), seed=st.integers(0, 2**31 - 1)
)
def test_any_partly_labelled_slice_gives_labelled_patches(rows, columns, share, seed):
    image, labels = random_stack((1, rows, columns), seed)
    labels[np.random.default_rng(seed).random(labels.shape) > share] = 0
    labels[0, rows // 2, columns // 2] = 1
    image, target = sampler(image, labels, seed=seed).batch(0)
    side = min(PATCH, 16 * math.ceil(max(rows, columns) / 16))
    assert image.shape == (3, side, side, 1)
    assert (target[..., 1].sum((1, 2)) > 0).all()


def test_compact_works_at_native_resolution_unless_another_scale_is_given():
    assert network_scale(settings(), (513, 300)) == (1.0, 1.0)
    assert network_scale(settings(scale=2), (513, 300)) == (2.0, 2.0)


def test_patches_are_cut_at_the_scale_of_the_training():
    image, labels = random_stack((1, 20, 24))
    image, labels = (np.kron(one, np.ones((1, 2, 2), np.uint8)) for one in (image, labels))
    cut, target = sampler(image, labels, scale=0.5).batch(0)
    small = sampler(image[:, ::2, ::2], labels[:, ::2, ::2]).batch(0)
    np.testing.assert_array_equal(target, small[1])
    assert np.corrcoef(cut.ravel(), small[0].ravel())[0, 1] > 0.9
    patches = LivePatches(image, settings(scale=0.5), Normalisation(), 0.5)
    patches.update(0, labels[0])
    assert patches.batch(0)[0].shape == patches.empty_batch()[0].shape == cut.shape


@pytest.mark.parametrize("shape", [(512, 512), (513, 300), (100, 700), (256, 256), (1, 1), (300, 1)])
def test_reference_sees_256_by_256_whatever_the_size(shape):
    slice_ = np.random.default_rng(0).random(shape).astype(np.float32)
    result = resample(slice_, network_scale(settings("reference"), shape))
    assert (result.shape, result.dtype) == ((REFERENCE_PX, REFERENCE_PX), np.float32)
    assert slice_.min() - 1e-5 <= result.min() <= result.max() <= slice_.max() + 1e-5


def test_resampling_keeps_image_and_labels_on_each_other():
    columns = np.arange(600) // 150
    labels = np.tile(1 + columns % 2, (1, 400, 1)).astype(np.uint8)
    image = labels * np.uint8(100)
    cut, target = sampler(image, labels, network="reference", patch_px=256, mirror="none").batch(0)
    grey = cut[0, 128, :, 0]
    dark = grey < (grey.min() + grey.max()) / 2
    recipe_shift = 2  # the affine limits of the recipe move both by the same amount
    assert np.count_nonzero(dark != (target[0, 128, :, 0] == 1)) <= recipe_shift


def test_resampling_smooths_noise_away_instead_of_aliasing_it():
    stripes = np.tile(np.array([0, 1], np.float32), (1024, 512))
    result = resample(stripes, (0.25, 0.25))
    assert np.ptp(result[4:-4, 4:-4]) < 0.2


def test_labels_that_vanish_in_reference_s_resampling_are_refused_with_a_sentence():
    source = {"network": "reference", "patch_px": 256}
    with pytest.raises(UserError, match="resized to 256 x 256; label larger areas"):
        sampler(np.ones((1, 2048, 2048), np.uint8), np.zeros((1, 2048, 2048), np.uint8), **source)


# Labels that change


def live_patches(image: np.ndarray, recent: float = 0.5) -> LivePatches:
    return LivePatches(image, settings(), Normalisation(), recent)


def test_every_patch_weighs_the_same_however_few_labels_it_has():
    image, labels = sparse_stack((2, 80, 70), (0, 9, 9), (0, 60, 60), (0, 60, 61))
    patches = live_patches(image)
    patches.update(0, labels[0])
    patches.update(1, np.full((80, 70), 2, np.uint8))
    for number in range(5):
        _, target = patches.batch(number)
        assert target.shape == (3, PATCH, PATCH, 2)
        np.testing.assert_allclose(target[..., 1].sum(axis=(1, 2)), PATCH**2, rtol=1e-5)


def test_recent_patches_hold_only_what_changed():
    image, labels = random_stack((3, 80, 70))
    patches = live_patches(image, recent=1.0)
    for z in range(3):
        patches.update(z, labels[z])
    changed = np.zeros((80, 70), bool)
    changed[40:43, 20:30] = True
    patches.update(1, labels[1], changed)
    for number in range(5):
        assert (np.count_nonzero(patches.batch(number)[1][..., 1], axis=(1, 2)) <= 30).all()


def test_latest_changes_and_all_labels_share_the_patches():
    image, labels = random_stack((2, 64, 64))
    patches = live_patches(image, recent=0.25)
    patches.update(0, labels[0])
    patches.update(1, labels[1], np.arange(64 * 64).reshape(64, 64) == 2080)
    few = [np.count_nonzero(patches.batch(n)[1][..., 1], axis=(1, 2)) == 1 for n in range(40)]
    assert 0.15 < np.mean(few) < 0.35


def test_what_was_erased_or_changed_again_is_not_cut():
    image, labels = random_stack((1, 80, 70))
    patches = live_patches(image, recent=1.0)
    everything = np.ones((80, 70), bool)
    patches.update(0, labels[0], everything)
    other = np.zeros((80, 70), np.uint8)
    other[3, 5] = 3 - labels[0, 3, 5]
    patches.update(0, other, other != labels[0])
    for number in range(3):
        _, target = patches.batch(number)
        assert (np.count_nonzero(target[..., 1], axis=(1, 2)) == 1).all()
        np.testing.assert_array_equal(target[..., 0].any(axis=(1, 2)), other[3, 5] == 1)
    patches.update(0, np.zeros((80, 70), np.uint8))
    assert not patches


def test_of_changes_the_latest_eight_are_cut():
    image, labels = random_stack((1, 40, 40))
    labels[:] = 2
    patches = live_patches(image, recent=1.0)
    for n in range(9):
        changed = np.zeros((40, 40), bool)
        changed[4 * n, 4 * n] = True
        labels[0, 4 * n, 4 * n] = 1 if n == 0 else 2
        patches.update(0, labels[0], changed)
        cut = [patches.batch(number)[1] for number in range(20)]
        assert all((one[..., 1] > 0).sum() == 3 for one in cut)
        assert any(one[..., 0].any() for one in cut) == (n < 8)


def test_an_empty_batch_has_the_shape_of_the_others():
    image, labels = random_stack((1, 20, 24))
    patches = live_patches(image)
    patches.update(0, labels[0])
    for empty, full in zip(patches.empty_batch(), patches.batch(0), strict=True):
        assert (empty.shape, empty.dtype, empty.any()) == (full.shape, full.dtype, False)


def test_live_batches_depend_on_seed_number_and_labels_alone():
    image, labels = random_stack((2, 80, 70))
    one, other = live_patches(image), live_patches(image)
    for z in range(2):
        one.update(z, labels[z], labels[z] == 1)
    one.batch(0)
    for z in range(2):
        other.update(z, labels[z], labels[z] == 1)
    np.testing.assert_array_equal(one.batch(7)[0], other.batch(7)[0])
    assert not np.array_equal(one.batch(8)[0], one.batch(7)[0])


def test_a_slice_that_is_labelled_as_a_whole_weighs_one_though_it_is_smaller_than_a_patch():
    image, labels = random_stack((1, 20, 60))
    target = sampler(image, labels, touched_weight=0.25, patch_px=64).batch(0)[1]
    assert set(np.unique(target[..., 1])) == {0, 1}  # 0: padding, most of the patch
    assert (target[..., 1] == 0).mean() > 0.5


def test_a_part_has_the_grey_levels_of_its_slice():
    image, labels = random_stack((1, 64, 96))
    image[:, :, 48:] //= 4
    part = np.s_[:, 48:]
    patches = PatchSampler(image, labels, settings(patch_px=64), Normalisation(), part).batch(0)[0]
    assert np.isin(patches[:, :, :48], Normalisation().apply(image[0])[part]).all()


def test_of_small_slices_the_patches_lie_on_the_grid_of_the_network():
    image, labels = random_stack((1, 44, 44))
    patches = PatchSampler(image, labels, settings(patch_px=96), Normalisation(), grid_px=32)
    live = LivePatches(image, settings(patch_px=96), Normalisation(), 0.5, grid_px=32)
    live.update(0, labels[0])
    assert patches.batch(0)[0].shape[1:3] == live.batch(0)[0].shape[1:3] == (64, 64)
