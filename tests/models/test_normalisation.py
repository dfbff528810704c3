import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.core.jobs import UserError
from emseg_napari.models import normalisation
from emseg_napari.models.normalisation import Normalisation

NORMALISATION = Normalisation()


@pytest.fixture
def picture(rng) -> np.ndarray:
    """A membrane-like slice: bright cytoplasm, dark lines, noise."""
    slice_ = rng.normal(170, 25, (120, 90))
    slice_[::15] -= 90
    return np.clip(slice_, 0, 255).astype(np.uint8)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(lambda p: p.astype(np.uint16), id="uint16 of the same values"),
        pytest.param(lambda p: p.astype(np.uint16) * 257, id="uint16 over its whole range"),
        pytest.param(lambda p: p.astype(np.uint16) * 16 + 32768, id="12 bits above an offset"),
        pytest.param(lambda p: p.astype(np.int16) * 7 - 900, id="int16 with negative values"),
        pytest.param(lambda p: p / 255, id="float64 from 0 to 1"),
        pytest.param(lambda p: p.astype(np.float32) / 255, id="float32 from 0 to 1"),
        pytest.param(lambda p: (p / 255).astype(np.float64) * 2 - 1, id="float64 from -1 to 1"),
    ],
)
def test_every_copy_of_an_image_is_the_same_network_input(picture, copy):
    expected = NORMALISATION.apply(picture)
    np.testing.assert_allclose(NORMALISATION.apply(copy(picture)), expected, atol=1e-4)


@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-100, 100))
def test_gain_and_offset_of_the_microscope_do_not_matter(gain, offset):
    ramp = np.linspace(0, 1, 400).reshape(20, 20)
    changed = NORMALISATION.apply((ramp + offset) * gain)
    np.testing.assert_allclose(changed, NORMALISATION.apply(ramp), atol=1e-3)


@pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4", ">i2"])
def test_byte_order_does_not_matter(picture, dtype):
    result = NORMALISATION.apply(picture.astype(dtype))
    assert result.dtype == np.float32
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, NORMALISATION.apply(picture))


def test_median_becomes_zero_and_the_percentiles_distance_one(rng):
    result = NORMALISATION.apply(rng.normal(1000, 50, (200, 200)))
    low, middle, high = np.percentile(result, (5, 50, 95))
    assert middle == pytest.approx(0, abs=1e-4)
    assert high - low == pytest.approx(1, abs=1e-4)


def test_dirt_does_not_flatten_the_rest(picture):
    dirty = picture.astype(np.uint16)
    dirty[5:9, 5:9] = 65535
    clean = np.ones(picture.shape, bool)
    clean[5:9, 5:9] = False
    difference = NORMALISATION.apply(dirty) - NORMALISATION.apply(picture)
    assert np.abs(difference[clean]).max() < 0.05


def test_slice_alone_equals_itself_in_a_stack(picture):
    stack = np.stack([picture, picture // 3, picture[::-1]])
    for together, alone in zip(NORMALISATION.apply(stack), stack, strict=True):
        np.testing.assert_array_equal(together, NORMALISATION.apply(alone))


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_constant_slice_becomes_zero(value, dtype):
    assert not NORMALISATION.apply(np.full((3, 8, 9), value, dtype)).any()


def test_slice_with_few_bright_pixels_keeps_them_apart():
    slice_ = np.zeros((100, 100), np.uint8)
    slice_[40, 40] = 200
    result = NORMALISATION.apply(slice_)
    assert result[40, 40] == 1
    assert np.count_nonzero(result) == 1


def test_large_slice_is_measured_on_a_sample_that_is_good_enough(rng):
    large = rng.normal(100, 10, (2100, 1900)).astype(np.float32)
    low, high = np.percentile(NORMALISATION.apply(large), (5, 95))
    assert high - low == pytest.approx(1, abs=0.02)


def test_levels_are_those_of_a_regular_grid_of_enough_pixels(rng):
    grid = rng.normal(100, 10, (512, 512)).astype(np.float32)  # 2^18 pixels
    slice_ = np.zeros((1024, 1024), np.float32)
    slice_[::2, ::2] = grid
    assert NORMALISATION.levels(slice_) == NORMALISATION.levels(grid)
    assert NORMALISATION.levels(slice_[:1023]) != NORMALISATION.levels(grid)


def test_image_itself_is_left_alone(picture):
    image = picture.astype(np.float32)
    before = image.copy()
    NORMALISATION.apply(image)
    np.testing.assert_array_equal(image, before)


class OnDisk:
    """A slice that is read window by window; some rows of it may be unreadable."""

    def __init__(self, pixels: np.ndarray, broken: tuple[int, int] = (0, 0)) -> None:
        self._pixels, self._broken, self.shape, self.read = pixels, broken, pixels.shape, 0

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        if window[0].start < self._broken[1] and window[0].stop > self._broken[0]:
            raise UserError("Rows are damaged.")
        self.read += self._pixels[window].size
        return self._pixels[window]


@pytest.fixture
def large(rng, monkeypatch) -> np.ndarray:
    """Of a size that counts as too large to be read as a whole."""
    monkeypatch.setattr(normalisation, "_WHOLE_PIXELS", 1 << 18)
    monkeypatch.setattr(normalisation, "_WINDOW_PX", 32)
    return rng.normal(170, 25, (900, 700)).clip(0, 255).astype(np.uint8)


def test_of_a_large_slice_only_windows_are_read_and_they_are_enough(large):
    slice_ = OnDisk(large)
    levels = NORMALISATION.levels(slice_)
    assert slice_.read == 64 * 32 * 32
    whole = NORMALISATION.levels(large[:600, :400])
    assert levels.middle == pytest.approx(whole.middle, abs=1)
    assert levels.scale == pytest.approx(whole.scale, rel=0.03)


def test_windows_of_a_large_slice_reach_from_edge_to_edge_and_all_their_pixels_count(large, monkeypatch):
    monkeypatch.setattr(normalisation, "_SAMPLED_PIXELS", 1 << 8)
    rows, columns = (np.linspace(0, n - 32, 8).astype(int) for n in large.shape)
    pixels = [large[y : y + 32, x : x + 32] for y in rows for x in columns]
    low, middle, high = np.percentile(pixels, (5, 50, 95))
    levels = NORMALISATION.levels(large)
    assert (levels.middle, levels.scale) == (middle, pytest.approx(1 / (high - low)))


def test_a_large_slice_on_disk_has_the_levels_that_it_has_in_memory(large):
    assert NORMALISATION.levels(OnDisk(large)) == NORMALISATION.levels(large)


def test_a_slice_that_fits_has_on_disk_the_levels_that_it_has_in_memory(picture):
    assert NORMALISATION.levels(OnDisk(picture)) == NORMALISATION.levels(picture)
    assert np.array_equal(NORMALISATION.levels(picture).apply(picture), NORMALISATION.apply(picture))


@pytest.mark.parametrize("height", [300, 900])
def test_a_slice_whose_sampled_pixels_cannot_be_read_has_no_levels(large, height):
    with pytest.raises(UserError, match="damaged"):
        NORMALISATION.levels(OnDisk(large[:height], (0, 20)))


def test_what_lies_between_the_windows_of_a_large_slice_does_not_matter(large):
    assert NORMALISATION.levels(OnDisk(large, (40, 120))) == NORMALISATION.levels(large)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_do_not_count(picture, value):
    holed = picture.astype(np.float32)
    holed[::7] = value
    levels, plain = NORMALISATION.levels(holed), NORMALISATION.levels(np.delete(picture, np.s_[::7], 0))
    assert levels == plain


def bordered(picture: np.ndarray, value: float, share: float = 0.35) -> tuple[np.ndarray, np.s_]:
    """A picture on a larger canvas of one value, which is that share of it, and where it lies."""
    height, width = (round(n / (1 - share) ** 0.5) for n in picture.shape)
    canvas = np.full((height, width), value, picture.dtype)
    y, x = (height - picture.shape[0]) // 3, (width - picture.shape[1]) // 2
    inside = np.s_[y : y + picture.shape[0], x : x + picture.shape[1]]
    canvas[inside] = picture
    return canvas, inside


@pytest.mark.parametrize("share", [0.06, 0.35, 0.6, 0.95])
@pytest.mark.parametrize("value", [0, 255, 128])
def test_constant_borders_count_for_no_grey_level(picture, value, share):
    canvas, inside = bordered(picture, value, share)
    levels, plain = NORMALISATION.levels(canvas), NORMALISATION.levels(picture)
    assert (levels.middle, levels.scale) == (plain.middle, plain.scale)
    np.testing.assert_array_equal(canvas[levels.inside], picture)
    np.testing.assert_array_equal(NORMALISATION.apply(canvas)[inside], NORMALISATION.apply(picture))


def test_a_bordered_slice_that_is_sampled_has_the_sample_of_its_picture(rng):
    picture = rng.normal(170, 25, (900, 700)).clip(0, 255).astype(np.uint8)
    levels, plain = NORMALISATION.levels(bordered(picture, 0, 0.6)[0]), NORMALISATION.levels(picture)
    assert (levels.middle, levels.scale) == (plain.middle, plain.scale)


def test_black_on_one_side_and_white_on_another_are_borders(picture):
    canvas = np.pad(np.pad(picture, ((40, 0), (0, 0))), ((0, 0), (0, 30)), constant_values=255)
    assert NORMALISATION.levels(canvas).box == (40, 160, 0, 90)
    assert NORMALISATION.levels(canvas).middle == NORMALISATION.levels(picture).middle


def test_corners_that_a_turned_picture_leaves_are_borders(rng):
    slice_ = rng.normal(170, 25, (200, 200)).clip(0, 255).astype(np.uint8)
    y, x = np.indices(slice_.shape)
    turned = np.abs(y - x) < 140
    slice_[~turned] = 0
    levels = NORMALISATION.levels(slice_)
    assert levels.middle == np.median(slice_[turned])
    assert levels.box is None  # no row or column is nothing but border


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda p, g: np.where(g.random(p.shape) < 0.4, np.uint8(255), p), id="scattered"),
        pytest.param(lambda p, g: np.where(np.arange(90) % 15 // 3 == 2, np.uint8(0), p), id="thin lines"),
        pytest.param(lambda p, g: _with(p, np.s_[20:70, 20:70], 255), id="a bright blob inside"),
        pytest.param(lambda p, g: _with(p, np.s_[:10, :10], 0), id="a small dark blob at the edge"),
        pytest.param(lambda p, g: np.where(p > p.mean(), np.uint8(255), np.uint8(0)), id="two values"),
    ],
)
def test_saturated_pixels_of_a_picture_count(picture, rng, spoil):
    spoiled = spoil(np.roll(picture, 7, axis=0), rng)
    assert NORMALISATION.levels(spoiled) == Normalisation(borders="counted").levels(spoiled)


def _with(picture: np.ndarray, where: object, value: int) -> np.ndarray:
    copy = picture.copy()
    copy[where] = value
    return copy


@pytest.mark.parametrize("value", [0, 255])
def test_a_large_slice_that_is_read_in_windows_loses_its_borders_too(large, value):
    canvas, _ = bordered(large, value, 0.6)
    slice_ = OnDisk(canvas)
    levels, plain = NORMALISATION.levels(slice_), NORMALISATION.levels(large)
    assert slice_.read == 64 * 32 * 32
    assert levels.middle == pytest.approx(plain.middle, abs=1)
    assert levels.scale == pytest.approx(plain.scale, rel=0.03)


def test_runs_that_counted_borders_go_on_to(picture):
    canvas, _ = bordered(picture, 0)
    low, middle, high = np.percentile(canvas, (5, 50, 95))
    levels = Normalisation(borders="counted").levels(canvas)
    assert (levels.middle, levels.scale, levels.box) == (middle, 1 / (high - low), None)
