from pathlib import Path

import keras
import numpy as np
import pytest
from skimage.transform import resize

from emseg_napari.core.jobs import Cancelled, JobContext, Progress, SlicePredicted, UserError
from emseg_napari.inference import Backend, SlicePredictor, load_predictor, predict
from emseg_napari.inference.tiles import GRID_PX, HALOS, ORIENTATIONS, Halo, tiles
from emseg_napari.models.checkpoints import export_onnx
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.models.unet import build
from emseg_napari.segmentation import watershed
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.training.patches import network_scale
from helpers.slow import slow_case

pytestmark = pytest.mark.keras

SIZES = [(1, 1), (5, 7), (1, 40), (40, 1), (16, 16), (17, 33), (513, 300)]


def record(scale: tuple[float, float] = (1.0, 1.0)) -> RunRecord:
    return RunRecord(
        scale=scale,
        image_shape=(1, 64, 64),
        image_dtype="uint8",
        trained_slices=[0],
        held_out_slices=[],
        label_counts={},
    )


def random_network(name: str) -> keras.Model:
    """He weights, and biases that are not zero, so that nothing hides in the padding."""
    keras.utils.set_random_seed(1)
    model = build(name)
    random = np.random.default_rng(2)
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.normal(0, 0.1, layer.bias.shape))
    return model


def run_of(name: str, model: keras.Model, folder: Path, shape: tuple[int, int]) -> Run:
    settings = TrainingSettings.recipe(name)
    run = Run(folder, settings, record(network_scale(settings, shape)))
    run.save()
    export_onnx(model, run.network_file)
    return run


@pytest.fixture(scope="module")
def compact() -> keras.Model:
    return random_network("compact")


@pytest.fixture(scope="module")
def reference() -> keras.Model:
    return random_network("reference")


@pytest.fixture(scope="module")
def compact_run(compact, tmp_path_factory) -> Run:
    return run_of("compact", compact, tmp_path_factory.mktemp("compact"), (64, 64))


@pytest.fixture
def two_by_two() -> keras.Model:
    """A network of `reference`'s kinds of layers: its whole export would take half a minute."""
    image = x = keras.layers.Input((None, None, 1))
    for _ in range(2):
        x = keras.layers.Conv2D(4, 2, padding="same", activation="relu", bias_initializer="ones")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2DTranspose(4, 2, strides=2, activation="relu")(x)
    x = keras.layers.Conv2D(4, 2, padding="same")(keras.layers.Dropout(0.5)(x))
    return keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def itself(tile: np.ndarray) -> np.ndarray:
    """Stand-in for a network: its probability is its input."""
    return tile


def brighter_below(tile: np.ndarray) -> np.ndarray:
    """Stand-in for a network that knows up from down: the pixel below."""
    return np.concatenate([tile[:, 1:], tile[:, -1:]], axis=1)


# Tiles


def seen_from(model: keras.Model, distances: range, backwards: bool) -> list[int]:
    """Return from which distances, in pixels, something is seen in a tile whose edge lies on the grid.

    Found by impulses before or after the tile, along y and x: with positive weights no two can cancel.
    """
    positive = keras.Model(model.input, model.layers[-2].output)  # before the sigmoid
    weights = model.get_weights()
    for layer in model.layers:
        if getattr(layer, "kernel", None) is not None:
            layer.set_weights([np.full(layer.kernel.shape, 0.05, np.float32), 0 * layer.bias.numpy()])
    edge = GRID_PX * (2 + distances[-1] // GRID_PX)
    seen = set()
    for axis in (1, 2):
        image = np.zeros((len(distances), 2 * edge, GRID_PX, 1), np.float32)
        for impulse, distance in zip(image, distances, strict=True):
            impulse[edge - distance if backwards else edge + distance - 1] = 1e6
        found = positive.predict_on_batch(image if axis == 1 else image.swapaxes(1, 2)) != 0
        lines = found.any((3 - axis, 3))
        inside = lines[:, edge:] if backwards else lines[:, :edge]
        seen |= {distance for distance, line in zip(distances, inside, strict=True) if line.any()}
    model.set_weights(weights)
    return sorted(seen)


@pytest.mark.parametrize("network", ["compact", slow_case("reference")])
def test_halo_is_as_wide_as_the_network_sees_and_no_wider(network, request):
    model, halo = request.getfixturevalue(network), HALOS[network]
    for width, backwards in ((halo.before, True), (halo.after, False)):
        seen = seen_from(model, range(width - GRID_PX + 1, width + 3 * GRID_PX, 3), backwards)
        assert width - GRID_PX < seen[-1] <= width


@pytest.mark.parametrize("window", [(0, 16, 0, 16), (0, 513, 0, 300), (100, 2148, 32, 1200)])
@pytest.mark.parametrize("tile_px", [64, 1024])
def test_tiles_cover_every_pixel_once_and_are_no_larger_than_asked(window, tile_px):
    top, bottom, left, right = window
    count = np.zeros((bottom, right), int)
    for tile in tiles((slice(top, bottom), slice(left, right)), tile_px):
        assert all(0 < part.stop - part.start <= tile_px for part in tile)
        count[tile] += 1
    assert (count[top:, left:] == 1).all()
    assert count.sum() == (bottom - top) * (right - left)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
@pytest.mark.parametrize("shape", [(33, 40), (513, 300), (16, 1)])
def test_what_is_read_for_a_tile_lies_on_the_grid_of_the_turned_slice(orientation, shape):
    """What is read is marked, as the padded turned slice sees it."""
    padding = [(GRID_PX, GRID_PX)] * 2
    for tile in tiles((slice(0, shape[0]), slice(0, shape[1])), 64):
        source = orientation.source(tile, shape, Halo(32, 48))
        mark = np.zeros(np.add(shape, 2 * GRID_PX), bool)
        mark[tuple(slice(part.start + GRID_PX, part.stop + GRID_PX) for part in source)] = True
        assert np.pad(np.ones(shape, bool), padding)[mark].any()
        for lines in (mark.any(1), mark.any(0)) if orientation.turns % 2 == 0 else (mark.any(0), mark.any(1)):
            assert np.count_nonzero(lines) % GRID_PX == 0
        rows, columns = np.nonzero(orientation.turned(mark))
        assert (rows.min() % GRID_PX, columns.min() % GRID_PX) == (0, 0)


# Windows: what is predicted of a part is that part of the whole


def untiled(slice_: np.ndarray, run_record: RunRecord, network, orientations: int) -> np.ndarray:
    """The prediction of a whole slice, said as plainly as can be."""
    shape = [max(1, round(n * s)) for n, s in zip(slice_.shape, run_record.scale, strict=True)]
    image = resize(run_record.normalisation.apply(slice_), shape, order=1, preserve_range=True)
    total = np.zeros(shape)
    for flip in (False, True)[: 1 + orientations // 3]:
        for turns in {1: [0], 2: [0, 2], 4: [0, 2], 8: [0, 1, 2, 3]}[orientations]:
            turned = np.rot90(image[:, ::-1] if flip else image, turns)
            padded = np.pad(turned, [(0, -n % GRID_PX) for n in turned.shape], mode="reflect")
            found = network(padded.astype(np.float32)[None, ..., None])[0, ..., 0]
            back = np.rot90(found[: turned.shape[0], : turned.shape[1]], -turns)
            total += back[:, ::-1] if flip else back
    return resize(total / orientations, slice_.shape, order=1, preserve_range=True)


class OnDisk:
    """A slice of which only windows can be read, and that remembers what was."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels, self.shape, self.read = pixels, pixels.shape, np.zeros(pixels.shape, int)

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        for part, n in zip(window, self.shape, strict=True):
            assert 0 <= part.start < part.stop <= n
        self.read[window] += 1
        return self._pixels[window]


def corners(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Windows at the faces and inside, odd in every respect."""
    height, width = shape
    return [
        (slice(0, 40), slice(0, 33)),
        (slice(height - 37, height), slice(width - 50, width)),
        (slice(height // 2 - 20, height // 2 + 31), slice(width // 3, width // 3 + 41)),
        (slice(0, height), slice(width - 1, width)),
    ]


@pytest.mark.parametrize("orientations", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(513, 300), (340, 333), (64, 450)])
def test_windows_of_compact_are_those_of_the_untiled_prediction(compact, shape, orientations):
    image = noise(*shape)
    method = Backend(compact.predict_on_batch, HALOS["compact"])
    expected = untiled(image, record(), compact.predict_on_batch, orientations)
    predictor = SlicePredictor(record(), method, orientations, tile_px=96)
    assert expected.std() > 0.005
    for window in corners(shape):
        found = predictor.window(OnDisk(image), window, predictor.levels(image))
        np.testing.assert_allclose(found, expected[window], atol=1e-5)


@pytest.mark.parametrize("tile_px", [64, 160, 1024])
def test_tiles_of_compact_leave_no_seam(compact, tile_px):
    image = noise(401, 330)
    method = Backend(compact.predict_on_batch, HALOS["compact"])
    expected = untiled(image, record(), compact.predict_on_batch, 1)
    found = SlicePredictor(record(), method, tile_px=tile_px).probability(image)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(830, 90), (90, 830), (513, 300)])
def test_windows_of_reference_are_those_of_the_untiled_prediction_at_half_the_size(reference, shape):
    image, half = noise(*shape), record((0.5, 0.5))
    method = Backend(reference.predict_on_batch, HALOS["reference"])
    expected = untiled(image, half, reference.predict_on_batch, 1)
    predictor = SlicePredictor(half, method, tile_px=128)
    assert expected.std() > 0.001
    window = (slice(shape[0] // 2 - 41, shape[0] // 2 + 40), slice(shape[1] - 70, shape[1]))
    found = predictor.window(OnDisk(image), window, predictor.levels(image))
    np.testing.assert_allclose(found, expected[window], atol=1e-5)


@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.37, 2.3), (1.7, 0.9), (2, 1)])
@pytest.mark.parametrize("shape", [(513, 300), (100, 71)])
def test_windows_of_resampled_slices_are_those_of_the_whole(scale, shape):
    image = noise(*shape)
    expected = untiled(image, record(scale), itself, 8)
    predictor = SlicePredictor(record(scale), Backend(itself, Halo(16, 16)), 8, tile_px=64)
    np.testing.assert_allclose(predictor.probability(image), expected.clip(0, 1), atol=1e-5)
    for window in corners(shape):
        found = predictor.window(OnDisk(image), window, predictor.levels(image))
        np.testing.assert_allclose(found, expected.clip(0, 1)[window], atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_no_more_is_read_than_the_network_sees(scale):
    slice_ = OnDisk(noise(3000, 3000))
    predictor = SlicePredictor(record((scale, scale)), Backend(itself, Halo(32, 32)), 8)
    levels = record().normalisation.levels(noise(64, 64))
    predictor.window(slice_, (slice(1000, 1512), slice(2000, 2512)), levels)
    rows, columns = (np.flatnonzero(slice_.read.any(axis)) for axis in (1, 0))
    margin = (32 + 2 * GRID_PX) / scale
    assert slice_.read.max() == 1
    assert (rows[0], columns[0]) >= (1000 - margin, 2000 - margin)
    assert (rows[-1], columns[-1]) < (1512 + margin, 2512 + margin)


# Slices of any size, and orientations


@pytest.mark.parametrize("shape", SIZES)
def test_any_size_gives_a_probability_of_that_size(compact_run, shape):
    result = load_predictor(compact_run, PredictionSettings(tile_px=256)).probability(noise(*shape))
    assert (result.shape, result.dtype) == (shape, np.float32)
    assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("orientations", [1, 2, 4, 8])
def test_every_orientation_is_turned_back(orientations):
    image = noise(37, 50)
    result = SlicePredictor(record(), itself, orientations).probability(image)
    np.testing.assert_allclose(result, record().normalisation.apply(image), atol=1e-6)


def test_eight_orientations_are_eight_different_ones():
    assert len({tile.tobytes() for tile in seen_in(8)}) == 8


def test_two_orientations_are_half_a_turn_apart_and_four_add_their_mirror_images():
    tile = seen_in(1)[0]
    two, four = [tile, tile[::-1, ::-1]], [tile, tile[::-1, ::-1], tile[:, ::-1], tile[::-1]]
    for expected in (two, four):
        np.testing.assert_array_equal(seen_in(len(expected)), expected)


def seen_in(orientations: int) -> list[np.ndarray]:
    """What the network sees of a square slice, each (y, x)."""
    seen = []
    predictor = SlicePredictor(record(), lambda tile: (seen.append(tile[0, ..., 0]), tile)[1], orientations)
    predictor.probability(noise(32, 32))
    return seen


def test_where_orientations_disagree_the_spread_says_so():
    """The network sees a step between its left and right half, so four of eight orientations find it."""
    half = np.zeros((32, 32), np.float32)
    half[:, 16:] = 1
    predictor = SlicePredictor(record(), lambda tile: 0 * tile + half[None, ..., None], 8)
    probability, spread = predictor.probability_and_spread(noise(32, 32))
    np.testing.assert_allclose(probability, 0.5, atol=1e-6)
    np.testing.assert_allclose(spread, 0.5, atol=1e-6)


def test_orientations_that_agree_have_no_spread():
    predictor = SlicePredictor(record((0.5, 0.5)), itself, 8)
    probability, spread = predictor.probability_and_spread(noise(64, 48))
    assert spread.shape == probability.shape == (64, 48)
    assert spread.dtype == np.float32
    assert spread.max() < 2e-3


def test_one_orientation_has_no_spread():
    assert SlicePredictor(record(), itself).probability_and_spread(noise(32, 32))[1] is None


def test_averaging_forgets_what_the_network_knows_of_up_and_down():
    image = noise(40, 64)
    once, averaged = (SlicePredictor(record(), brighter_below, n) for n in (1, 8))
    for turn in (np.rot90, np.flipud, np.fliplr, np.transpose):
        turned = turn(image)
        if turn is not np.fliplr:
            assert not np.allclose(once.probability(turned), turn(once.probability(image)), atol=1e-3)
        inner = (slice(8, -24), slice(8, -24))  # the padding to the grid lies below and to the right
        np.testing.assert_allclose(
            averaged.probability(turned)[inner], turn(averaged.probability(image))[inner], atol=1e-5
        )


def test_prediction_of_a_turned_image_is_the_turned_prediction(compact_run):
    image = noise(45, 70)
    predictor = load_predictor(compact_run, PredictionSettings(orientations=8))
    upright = predictor.probability(image)
    for turn in (np.rot90, np.flipud, np.transpose):
        np.testing.assert_allclose(predictor.probability(turn(image)), turn(upright), atol=1e-5)


@pytest.mark.parametrize("network", ["compact", "reference"])
def test_compact_is_averaged_when_asked_and_reference_never(compact_run, network):
    run = Run(compact_run.folder, TrainingSettings.recipe(network), record())
    once, averaged = (
        load_predictor(run, PredictionSettings(orientations=n)).probability(noise(64, 64)) for n in (1, 2)
    )
    assert np.array_equal(once, averaged) == (network == "reference")


@pytest.mark.parametrize("shape", [(513, 300), (100, 700), (256, 256), (5, 7), (1, 1), (64, 1)])
def test_reference_answers_at_full_size(shape):
    seen = []
    settings = TrainingSettings.recipe("reference")
    predictor = SlicePredictor(
        record(network_scale(settings, shape)), lambda tile: (seen.append(tile.shape), 0 * tile + 0.25)[1]
    )
    result = predictor.probability(noise(*shape))
    assert seen == [(1, 256, 256, 1)]
    assert (result.shape, result.dtype) == (shape, np.float32)
    np.testing.assert_allclose(result, 0.25, atol=1e-6)


def test_reference_s_resampling_puts_things_back_where_they_were():
    image = np.zeros((600, 450), np.uint8)
    image[200:320, 90:240] = 200
    scale = network_scale(TrainingSettings.recipe("reference"), image.shape)
    result = SlicePredictor(record(scale), lambda tile: (tile > 0.5).astype(np.float32)).probability(image)
    wrong = (result > 0.5) != (image > 0)
    rows, columns = np.nonzero(wrong)
    assert wrong.mean() < 0.01
    assert (np.minimum(abs(rows - 199.5), abs(rows - 319.5)) < 3)[(columns > 95) & (columns < 235)].all()


# The networks of runs


def test_onnx_runtime_answers_as_keras_does_for_compact(compact, compact_run):
    image = noise(90, 130)
    settings = PredictionSettings(orientations=1)
    expected = SlicePredictor(compact_run.record, compact.predict_on_batch).probability(image)
    np.testing.assert_allclose(load_predictor(compact_run, settings).probability(image), expected, atol=1e-5)


def test_onnx_runtime_pads_two_by_two_convolutions_as_keras_does(two_by_two, tmp_path):
    # They pad on one side only, which an export could get wrong.
    image = noise(48, 32)
    run = run_of("reference", two_by_two, tmp_path, (256, 256))
    expected = SlicePredictor(run.record, two_by_two.predict_on_batch).probability(image)
    assert expected.std() > 0.01
    result = load_predictor(run, PredictionSettings()).probability(image)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_unfinished_run_gets_a_sentence(tmp_path):
    Run(tmp_path, TrainingSettings(), record()).save()
    with pytest.raises(UserError, match=r"has no finished network .*resume it"):
        predict(noise(1, 20, 20), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no network", None], ids=["empty", "text", "half"])
def test_damaged_network_gets_a_sentence(compact_run, tmp_path, content):
    run = Run(tmp_path, TrainingSettings(), record())
    run.save()
    whole = compact_run.network_file.read_bytes()
    run.network_file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UserError, match=r"network\.onnx cannot be loaded .*it is damaged") as error:
        predict(noise(1, 20, 20), run)
    assert "\n" not in str(error.value)


# The job


class Story:
    def __init__(self, stop_after: float = float("inf")) -> None:
        self.events, self.left = [], stop_after

    def __call__(self, event) -> None:
        self.events.append(event)

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left < 0


FAST = {"orientations": 1}


def test_chosen_slices_are_predicted_and_told_one_by_one(compact_run):
    image, story = noise(6, 40, 30), Story()
    result = predict(
        image, compact_run, PredictionSettings(slices=(2, 5), **FAST), context=JobContext(report=story)
    )
    assert (result.shape, result.dtype) == ((3, 40, 30), np.float32)
    told = [event for event in story.events if isinstance(event, SlicePredicted)]
    assert [event.z for event in told] == [2, 3, 4]
    np.testing.assert_array_equal(np.stack([event.probability for event in told]), result)
    progress = [event.fraction for event in story.events if isinstance(event, Progress)]
    assert progress == pytest.approx([1 / 3, 2 / 3, 1])


def test_slice_alone_is_predicted_as_in_its_stack(compact_run):
    image = noise(3, 40, 30)
    image[1] //= 3
    together = predict(image, compact_run, PredictionSettings(**FAST))
    for z in range(3):
        alone = predict(image[z], compact_run.folder, PredictionSettings(**FAST))
        np.testing.assert_array_equal(alone[0], together[z])


@pytest.mark.parametrize("dtype", ["uint16", ">u2", "float32", "int32"])
def test_type_of_the_image_does_not_matter(compact_run, dtype):
    image = noise(1, 40, 30)
    expected = predict(image, compact_run, PredictionSettings(**FAST))
    np.testing.assert_allclose(
        predict(image.astype(dtype) * 2, compact_run, PredictionSettings(**FAST)), expected, atol=1e-4
    )


@pytest.mark.parametrize("questions", [0, 1, 5])
def test_cancel_ends_between_any_two_tiles(compact_run, questions):
    story = Story(questions)
    settings = PredictionSettings(tile_px=64, **FAST)
    with pytest.raises(Cancelled):
        predict(
            noise(2, 100, 180),
            compact_run,
            settings,
            context=JobContext(report=story, should_stop=story.should_stop),
        )
    assert len([e for e in story.events if isinstance(e, SlicePredicted)]) == 0


@pytest.mark.parametrize(
    ("image", "settings", "sentence"),
    [
        (noise(3, 20, 20), {"slices": (2, 5)}, "2:5 does not lie inside the stack"),
        (np.full((2, 20, 20), np.nan, np.float32), {}, "not finite numbers"),
        (np.zeros((2, 20, 20), np.uint8), {}, "same value"),
        (np.zeros((2, 20, 20), bool), {}, "bool"),
        (noise(20, 20, 3), {}, "colour"),
        (noise(2, 2, 20, 20), {}, "4 axes"),
    ],
)
def test_what_cannot_be_predicted_gets_a_sentence(compact_run, image, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        predict(image, compact_run, PredictionSettings(**settings))


def test_a_slice_in_which_gaps_cannot_be_closed_is_refused_before_it_is_predicted(compact_run, monkeypatch):
    monkeypatch.setattr(watershed, "_MOST_PX", 20 * 20)
    events = []
    with pytest.raises(UserError, match="A slice of 20 x 20 pixels is too large to close its gaps"):
        predict(noise(2, 20, 20), compact_run, context=JobContext(report=events.append))
    assert not events
    predict(noise(2, 20, 20), compact_run, PredictionSettings(close_gaps=False, **FAST))
