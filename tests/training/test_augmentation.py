import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.settings import TrainingSettings, validated
from emseg_napari.training.augmentation import augment

SIDE = 32
STILL = {"mirror": "none", "contrast": 0.0}
AFFINE = st.fixed_dictionaries(
    {
        "rotation_degrees": st.floats(0, 180),
        "shift_fraction": st.floats(0, 1),
        "shear_degrees": st.floats(0, 45),
        "zoom_fraction": st.floats(0, 0.9),
        "elastic_px": st.sampled_from([0.0, 1.0]),
    }
)
MIRRORS = st.sampled_from(["none", "horizontal", "flips and turns"])
SEEDS = st.integers(0, 10_000)


def settings(**changes) -> TrainingSettings:
    return validated(TrainingSettings, **(STILL | changes))


def random_labels(seed: int) -> np.ndarray:
    """Blocks of boundary, interior and nothing, uint8 (y, x)."""
    blocks = np.random.default_rng(seed).integers(0, 3, (SIDE // 8, SIDE // 8))
    return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)


def spot(y: int, x: int) -> np.ndarray:
    image = np.zeros((SIDE, SIDE), np.float32)
    image[y, x] = 1
    return image


def centre_of(image: np.ndarray) -> np.ndarray:
    """Centre of mass (y, x), measured from the centre of the patch."""
    weights = image / image.sum()
    grid = np.indices(image.shape) - (SIDE - 1) / 2
    return (grid * weights).sum((1, 2))


@given(affine=AFFINE, mirror=MIRRORS, seed=SEEDS)
def test_labels_go_where_the_image_goes(affine, mirror, seed):
    labels = random_labels(seed)
    changed = augment(
        labels.astype(np.float32), labels, settings(mirror=mirror, **affine), np.random.default_rng(seed)
    )
    # The nearest pixel has at least a quarter of the interpolated value: 0.75 * (2 - 0) is the worst case.
    assert np.abs(changed[0] - changed[1]).max() <= 1.5 + 1e-5


@given(affine=AFFINE, mirror=MIRRORS, seed=SEEDS)
def test_smooth_image_and_its_own_labels_stay_consistent(affine, mirror, seed):
    # A ramp, and the label of the ramp's upper half: off by less than a pixel's step after any change.
    ramp = np.indices((SIDE, SIDE)).sum(0).astype(np.float32)
    labels = np.where(ramp > 30.5, 2, 1).astype(np.uint8)
    image, labels = augment(ramp, labels, settings(mirror=mirror, **affine), np.random.default_rng(seed))
    assert (labels[image > 32.5] == 2).all()
    assert (labels[image < 28.5] == 1).all()


@given(affine=AFFINE, mirror=MIRRORS, contrast=st.floats(0, 1), seed=SEEDS)
def test_shape_type_and_label_values_are_kept(affine, mirror, contrast, seed):
    labels = random_labels(seed)
    image, changed = augment(
        labels.astype(np.float32),
        labels,
        settings(mirror=mirror, contrast=contrast, **affine),
        np.random.default_rng(seed),
    )
    assert (image.shape, image.dtype) == ((SIDE, SIDE), np.float32)
    assert (changed.shape, changed.dtype) == ((SIDE, SIDE), np.uint8)
    assert set(np.unique(changed)) <= set(np.unique(labels))
    assert np.isfinite(image).all()


@given(affine=AFFINE, contrast=st.floats(0, 1), seed=SEEDS)
def test_same_chances_give_the_same_patch(affine, contrast, seed):
    patch, labels = spot(9, 20), random_labels(seed)
    first, second = (
        augment(patch, labels, settings(contrast=contrast, **affine), np.random.default_rng(seed))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_nothing_allowed_changes_nothing():
    patch, labels = spot(3, 5), random_labels(1)
    image, unchanged = augment(patch, labels, settings(), np.random.default_rng(0))
    np.testing.assert_array_equal(image, patch)
    np.testing.assert_array_equal(unchanged, labels)


@pytest.mark.parametrize(("mirror", "count"), [("none", 1), ("horizontal", 2), ("flips and turns", 8)])
def test_mirroring_gives_each_of_its_orientations(mirror, count):
    patch = np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    random = np.random.default_rng(0)
    chosen = settings(mirror=mirror)
    seen = {augment(patch, patch > 9, chosen, random)[0].tobytes() for _ in range(100)}
    assert len(seen) == count


def test_horizontal_mirroring_leaves_up_and_down():
    image, _ = augment(spot(3, 5), random_labels(0), settings(mirror="horizontal"), np.random.default_rng(0))
    assert np.argwhere(image)[0][0] == 3


@given(limit=st.floats(0, 0.3), seed=SEEDS)
def test_shift_stays_inside_its_limit(limit, seed):
    image, _ = augment(
        spot(16, 16), random_labels(0), settings(shift_fraction=limit), np.random.default_rng(seed)
    )
    assert np.abs(centre_of(image) - 0.5).max() <= limit * SIDE + 1e-3


@given(limit=st.floats(0, 180), seed=SEEDS)
def test_rotation_stays_inside_its_limit_and_keeps_the_distance(limit, seed):
    # A blob, since a single pixel's interpolation pulls its centre of mass about.
    blob = np.exp(-((np.indices((SIDE, SIDE)) - np.array([16, 24])[:, None, None]) ** 2).sum(0) / 8)
    before = centre_of(blob)
    image, _ = augment(
        blob.astype(np.float32),
        random_labels(0),
        settings(rotation_degrees=limit),
        np.random.default_rng(seed),
    )
    after = centre_of(image)
    turned = np.rad2deg(np.arctan2(*after) - np.arctan2(*before))
    assert abs((turned + 180) % 360 - 180) <= limit + 1
    assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), abs=0.3)


@given(limit=st.floats(0, 0.4), seed=SEEDS)
def test_zoom_stays_inside_its_limit(limit, seed):
    disc = (np.hypot(*(np.indices((SIDE, SIDE)) - 15.5)) < 8).astype(np.float32)
    image, _ = augment(disc, random_labels(0), settings(zoom_fraction=limit), np.random.default_rng(seed))
    for axis in (0, 1):
        width = image.sum(axis).max()
        assert 16 / (1 + limit) - 1.5 <= width <= 16 / (1 - limit) + 1.5


@given(limit=st.floats(0.01, 1), seed=SEEDS)
def test_contrast_stays_inside_its_limit(limit, seed):
    patch = np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32)
    image, labels = augment(patch, random_labels(seed), settings(contrast=limit), np.random.default_rng(seed))
    gain, shift = np.polyfit(patch.ravel(), image.ravel(), 1)
    assert abs(gain - 1) <= limit + 1e-4
    assert abs(shift) <= limit + 1e-4
    np.testing.assert_array_equal(labels, random_labels(seed))


def test_the_published_recipe_moves_a_patch_by_little():
    recipe = TrainingSettings.recipe("reference", mirror="none")
    random = np.random.default_rng(0)
    for _ in range(50):
        image, _ = augment(spot(16, 16), random_labels(0), recipe, random)
        assert np.abs(centre_of(image) - 0.5).max() <= 0.05 * SIDE + 0.5


def test_what_comes_in_from_outside_repeats_the_nearest_pixel():
    ramp = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))
    image, _ = augment(ramp, random_labels(0), settings(shift_fraction=1.0), np.random.default_rng(3))
    assert image.min() >= 0
    assert image.max() <= SIDE - 1
    assert (image == ramp[0, 0]).any() or (image == ramp[0, -1]).any()


def test_a_turned_patch_is_filled_with_the_tissue_around_it():
    # Grey values are positions, so a repeated edge pixel would be a repeated value.
    slice_ = np.add.outer(100.0 * np.arange(96), np.arange(96)).astype(np.float32)
    window = np.s_[32:64, 32:64]
    for seed in range(10):
        patch, _ = augment(
            slice_,
            np.zeros((96, 96), np.uint8),
            settings(rotation_degrees=180.0),
            np.random.default_rng(seed),
            window,
        )
        assert patch.shape == (32, 32)
        assert len(np.unique(patch.round(2))) == patch.size


def test_elastic_bending_stays_near_its_limit_and_is_smooth():
    ramp = np.tile(np.arange(192, dtype=np.float32), (192, 1))
    moved, _ = augment(
        ramp, np.zeros((192, 192), np.uint8), settings(elastic_px=4.0), np.random.default_rng(2)
    )
    shift = moved[:, 20:-20] - ramp[:, 20:-20]
    assert 1 < np.abs(shift).max() < 4 * 4  # normal deviates, so hardly ever beyond four times the limit
    assert np.abs(np.diff(shift, axis=0)).max() < 1.0


def test_thickening_widens_the_dark_membrane_and_its_label_alike():
    image = np.ones((SIDE, SIDE), np.float32)
    labels = np.full((SIDE, SIDE), 2, np.uint8)
    image[:, 15:17], labels[:, 15:17], labels[:4] = 0, 1, 0
    widths = set()
    for seed in range(20):
        dark, known = augment(image, labels, settings(thickness_px=2), np.random.default_rng(seed))
        widths.add(int((dark[10] == 0).sum()))
        np.testing.assert_array_equal(known[10] == 1, dark[10] == 0)
        assert (known[:4] == 0).all()  # what nobody labelled stays unlabelled
    assert widths == {2, 4, 6}


@pytest.mark.parametrize(("limit", "measured"), [({"noise": 0.5}, np.std), ({"smudge": 1.0}, np.ptp)])
def test_noise_and_smudges_change_grey_values_alone(limit, measured):
    patch, labels = np.ones((SIDE, SIDE), np.float32), random_labels(0)
    image, known = augment(patch, labels, settings(**limit), np.random.default_rng(1))
    assert 0 < measured(image) < 1
    assert image.dtype == np.float32
    np.testing.assert_array_equal(known, labels)


def test_blur_spreads_a_spot_and_keeps_its_sum():
    image, _ = augment(spot(16, 16), random_labels(0), settings(blur_px=2.0), np.random.default_rng(1))
    assert 0 < image.max() < 0.9
    assert image.sum() == pytest.approx(1, abs=1e-3)


class Chance:
    """Random numbers that all lie at one share of their range."""

    def __init__(self, share: float) -> None:
        self._share = share

    def uniform(self, low=0.0, high=1.0, size=None):
        value = low + self._share * (high - low)
        return value if size is None else np.full(size, value)

    def integers(self, end):
        return int(self._share * (end - 1))

    def standard_normal(self, shape, dtype=float):
        return np.ones(shape, dtype)


MOST, MIDDLE = Chance(1.0), Chance(0.5)
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float32)
CENTRE = (SIDE - 1) / 2


def at_most(image: np.ndarray, **changes) -> np.ndarray:
    """The image after as much of a change as its limit allows."""
    return augment(image.astype(np.float32), random_labels(0), settings(**changes), MOST)[0]


def test_a_patch_is_moved_turned_zoomed_and_sheared_by_its_limit_around_its_centre():
    image = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    np.testing.assert_allclose(at_most(image, shift_fraction=0.25)[:24, :24], image[8:, 8:], atol=1e-5)
    turned = at_most(image, rotation_degrees=90.0)
    np.testing.assert_allclose(turned, np.rot90(image, -1), atol=1e-4)
    for ramp, along in ((Y, Y), (X, X)):
        zoomed = np.clip(CENTRE + 1.5 * (along - CENTRE), 0, SIDE - 1)
        np.testing.assert_allclose(at_most(ramp, zoom_fraction=0.5), zoomed, atol=1e-3)
    sheared = np.clip(CENTRE + (Y - CENTRE) - 0.5 * (X - CENTRE), 0, SIDE - 1)
    np.testing.assert_allclose(at_most(Y, shear_degrees=30.0), sheared, atol=1e-3)
    sheared = CENTRE + 0.75**0.5 * (X - CENTRE)
    np.testing.assert_allclose(at_most(X, shear_degrees=30.0), sheared, atol=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_a_patch_of_a_slice_is_moved_and_bent_as_far_as_its_own_size_says(shift):
    slice_ = np.random.default_rng(0).random((96, 110)).astype(np.float32)
    labels = (3 * slice_).astype(np.uint8)
    chosen, px = settings(elastic_px=3.0, shift_fraction=shift), 3 + round(32 * shift)
    image, known = augment(slice_, labels, chosen, MOST, np.s_[30:62, 40:72])
    np.testing.assert_allclose(image, slice_[30 + px : 62 + px, 40 + px : 72 + px], atol=1e-3)
    np.testing.assert_array_equal(known, labels[30 + px : 62 + px, 40 + px : 72 + px])
    image, known = augment(slice_, labels, settings(shift_fraction=0.25), MOST, np.s_[30:62, 40:72])
    np.testing.assert_allclose(image, slice_[38:70, 48:80], atol=1e-4)
    np.testing.assert_array_equal(known, labels[38:70, 48:80])


def test_grey_values_change_by_their_limits():
    image = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    np.testing.assert_allclose(at_most(image, contrast=0.5), 1.5 * image + 0.5, atol=1e-6)
    np.testing.assert_allclose(at_most(image, noise=0.5), image + 0.5, atol=1e-6)
    blurred = at_most(spot(16, 16), blur_px=2.0)
    assert blurred[16, 16] == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)
    assert blurred[16, 20] / blurred[16, 16] == pytest.approx(np.exp(-16 / 8), rel=0.01)
    assert (at_most(image, smudge=1.0) == image).all()  # where chance does not want it


def test_a_smudge_takes_nine_tenths_of_the_contrast_in_its_middle():
    image, labels = np.ones((SIDE, SIDE), np.float32), random_labels(0)
    smudged, _ = augment(image, labels, settings(smudge=0.6), MIDDLE)
    squares = (Y - 16) ** 2 + (X - 16) ** 2
    np.testing.assert_allclose(smudged, 1 - 0.9 * np.exp(-squares / (0.125 * SIDE) ** 2), atol=1e-5)
    assert (augment(image, labels, settings(smudge=0.5), MIDDLE)[0] == 1).all()


def test_patches_are_mirrored_and_thickened_as_chance_has_it():
    image, labels = spot(3, 5), random_labels(0)
    for mirror, expected in (
        ("horizontal", image[:, ::-1]),
        ("flips and turns", np.rot90(image[:, ::-1], 3)),
    ):
        np.testing.assert_array_equal(augment(image, labels, settings(mirror=mirror), MOST)[0], expected)
        np.testing.assert_array_equal(augment(image, labels, settings(mirror=mirror), Chance(0.0))[0], image)
    dark, labels = 1 - spot(16, 16), np.full((SIDE, SIDE), 2, np.uint8)
    labels[16, 16], labels[16, 17] = 1, 0
    thick, known = augment(dark, labels, settings(thickness_px=2), MOST)
    diamond = np.abs(Y - 16) + np.abs(X - 16) <= 2
    np.testing.assert_array_equal(thick == 0, diamond)
    np.testing.assert_array_equal(known, np.where(labels == 0, 0, np.where(diamond, 1, 2)))
