import numpy as np
import pytest

from emseg_napari.core.jobs import UserError, never
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume
from emseg_napari.models import resampling
from emseg_napari.models import run as run_module
from emseg_napari.models.earlier_run import opened_start
from emseg_napari.models.imported import Imported
from emseg_napari.models.run import Run
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.dataset import check_data, prepare
from emseg_napari.training.run_record import scale_notes, training_description, with_start
from emseg_napari.training.splits import DataNames
from emseg_napari.training.validation import Validator


@pytest.fixture
def stack() -> tuple[np.ndarray, np.ndarray]:
    """Eight slices of noise, labelled in stripes."""
    image = np.random.default_rng(0).integers(0, 255, (8, 128, 128), np.uint8)
    labels = np.full(image.shape, 2, np.uint8)
    labels[:, np.arange(128) // 8 % 2 == 0] = 1
    return image, labels


class Blind:
    """A network that takes all for interior."""

    def part(self, slice_, window, should_stop=never):
        return np.full(slice_[window].shape, 0.1, np.float32)


def settings(**changes) -> TrainingSettings:
    return TrainingSettings.recipe(**changes)


def begun(tmp_path, image, labels, **changes) -> Run:
    return Run(tmp_path / "run", settings(), prepare(image, labels, settings(**changes)).record)


def test_the_same_slice_on_both_sides_is_refused(stack):
    image, labels = stack
    image[7] = image[2]
    with pytest.raises(UserError, match="is the same as slice 2"):
        prepare(image, labels, settings())
    assert prepare(image, labels, settings(hold_out=False)).record.held_out_slices == []


def test_held_out_slices_of_one_class_are_refused_where_they_were_asked_for(stack):
    image, labels = stack
    labels[6] = 2
    with pytest.raises(UserError, match="held-out slices"):
        prepare(image, labels, settings(validate_slices=(6, 7)))


def test_slices_with_both_classes_are_held_out(stack):
    image, labels = stack
    labels[7] = 2
    record = prepare(image, labels, settings()).record
    assert record.held_out_slices == [6]
    assert record.trained_slices == [0, 1, 2, 3, 4, 5, 7]


def test_a_resumed_run_keeps_its_division_whatever_was_labelled_since(stack, tmp_path):
    image, labels = stack
    few = labels.copy()
    few[4:] = 0
    run = begun(tmp_path, image, few)
    again = prepare(image, labels, settings(), run).record
    for name in ("trained_slices", "held_out_slices", "held_out_tile", "fingerprints"):
        assert getattr(again, name) == getattr(run.record, name)


def test_a_resumed_run_keeps_its_held_out_tile(stack, tmp_path):
    image, labels = stack
    part = np.zeros_like(labels)
    part[0, :, 20:] = labels[0, :, 20:]
    run = begun(tmp_path, image, part)
    assert run.record.held_out_tile
    assert prepare(image, labels, settings(), run).record.held_out_tile == run.record.held_out_tile


def erased(labels: np.ndarray, where: tuple) -> np.ndarray:
    left = labels.copy()
    left[where] = 0
    return left


@pytest.mark.parametrize("side", ["held-out corner", "held-out slices", "all that trains", "a class", "all"])
def test_a_run_whose_labels_of_one_side_were_erased_is_not_resumed_and_it_is_said_why(stack, tmp_path, side):
    image, labels = stack
    known = erased(labels, np.s_[2:]) if "corner" in side else labels
    run = begun(tmp_path, image, known)
    top, bottom, left, right = run.record.held_out_tile or (0, 0, 0, 0)
    where = {
        "held-out corner": np.s_[:, top:bottom, left:right],
        "held-out slices": np.s_[run.record.held_out_slices],
        "all that trains": np.s_[run.record.trained_slices],
        "a class": labels == 1,
        "all": np.s_[:],
    }[side]
    for face in (prepare, lambda i, n, s, r: check_data(i, SparseStack.of(n), s, NAMES, r)):
        with pytest.raises(UserError, match=r"run cannot be resumed .* or train a new run") as refused:
            face(image, erased(known, where), settings(), run)
    if side.startswith("held-out"):
        assert f"truth.tif ({side})" in str(refused.value)


def test_a_run_of_which_single_slices_were_erased_is_resumed_and_scored_on_the_others(stack, tmp_path):
    image, labels = stack
    run = begun(tmp_path, image, labels, validate_slices=(4, 8))
    left = erased(labels, np.s_[[0, 2, 3, 4, 7]])  # among them those that would be scored
    resumed = prepare(image, left, settings(), run)
    assert resumed.record.trained_slices == run.record.trained_slices  # which it has seen
    validator = Validator(resumed.image, resumed.labels, resumed.record, 1.0, never)
    assert validator.trained(Blind()).accuracy == validator.held_out(Blind()).accuracy == 0.5
    assert validator.choose_thresholds(Blind())["kept_accuracy"] == 0.5


def test_slices_with_labels_on_one_side_of_the_corner_only_are_scored_there(stack):
    """Each holds one class, so that no slice can be held out whole."""
    image, labels = stack
    for z in range(8):
        labels[z][labels[z] == 1 + z % 2] = 0
    data = prepare(image, labels, settings())
    top, bottom, left, right = data.record.held_out_tile
    inside = np.zeros(labels.shape, bool)
    inside[:, top:bottom, left:right] = True
    inside[1:7] = ~inside[1:7]
    validator = Validator(image, np.where(inside, labels, 0), data.record, 1.0, never)
    assert validator.trained(Blind()).accuracy is not None
    assert validator.held_out(Blind()).accuracy is not None


def test_a_run_is_compared_with_its_start_on_slices_that_neither_had_been_trained_on(stack):
    image, labels = stack
    record = prepare(image, labels, settings(validate_slices=(6, 8))).record
    assert Validator(image, labels, record, 1.0, never).can_compare_with_start
    labels[7][labels[7] == 1] = 0  # for Blind another cost than slice 6
    costs = {
        seen: Validator(
            image, labels, record.model_copy(update={"start_slices": list(seen)}), 1.0, never
        ).cost_beside_start(Blind())
        for seen in ((6,), (7,), (6, 7))
    }
    assert costs[6,] != costs[7,]
    assert costs[6, 7] == float("inf")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda i: i[:7], "7 x 128 x 128 voxels and not 8 x 128 x 128"),
        (lambda i: np.concatenate([i[:2], i[2:5] + 1, i[5:]]), "other grey values in slices 2-4;"),
        (lambda i: np.concatenate([i[:7], i[7:] + 1]), "other grey values in slice 7;"),
        (lambda i: np.roll(i, 1, 0), "other grey values in slices 0, 7;"),
    ],
)
def test_a_run_is_resumed_on_its_own_image_only_and_what_differs_is_said(stack, tmp_path, change, said):
    image, labels = stack
    run = begun(tmp_path, image, labels)
    assert prepare(image.astype(np.float64), labels, settings(), run).record.held_out_slices == [7]
    with pytest.raises(UserError, match=f"another image: .* {said}"):
        prepare(change(image), labels[: len(change(image))], settings(), run)
    old = run.record.model_copy(update={"held_out_fingerprints": [], "label_fingerprints": {}})
    assert prepare(image, labels, settings(), Run(run.folder, run.settings, old)).notes == []


def test_labels_that_changed_since_a_run_began_are_said_when_it_is_resumed(stack, tmp_path):
    image, labels = stack
    run = begun(tmp_path, image, labels)
    assert prepare(image, labels, settings(), run).notes == []
    labels[[2, 3, 7], :9] = 0
    [note] = prepare(image, labels, settings(), run).notes
    assert note.startswith("The labels of slices 2-3, 7 are not those that run began with")


def test_a_run_knows_held_out_slices_by_their_marks_those_of_its_start_too(stack, tmp_path):
    image, labels = stack
    start = begun(tmp_path, image, labels)
    assert start.record.held_out_fingerprints == [fingerprint(image[7])]
    other = np.random.default_rng(1).integers(0, 255, image.shape, np.uint8)
    found = with_start(prepare(other, labels, settings()).record, start, other)
    assert found.start_mark is None  # it is not finished
    start.folder.mkdir()
    start.network_file.write_bytes(b"network")
    assert with_start(found, start, other).start_mark == start.network_mark
    assert set(found.held_out_fingerprints) == {fingerprint(image[7]), fingerprint(other[7])}


def test_a_start_without_weights_is_refused(stack, tmp_path):
    run = begun(tmp_path, *stack)
    run.folder.mkdir()
    run.save()
    with pytest.raises(UserError, match="has no weights yet"):
        opened_start(settings(start=str(run.folder)))
    assert opened_start(settings()) is None


def test_what_a_training_starts_from_is_said_and_whether_that_had_seen_what_is_held_out(
    stack, monkeypatch, tmp_path
):
    record = prepare(*stack, settings()).record

    def said(network="compact", **changes):
        run = Run(tmp_path, settings(network=network), record.model_copy(update=changes))
        return training_description(run)

    assert said().endswith("1 held-out slice. It starts from nothing: random weights.")
    assert said(start="starter", start_slices=[0]).endswith("1 held-out slice. It starts from 'starter'.")
    assert said(start="starter", start_slices=[6, 7]).endswith(
        "'starter', which had been trained on slices 6-7 of this image, so the score is too good."
    )
    foreign = Imported(file="net.keras", sha256="0", name="net", weights="keras_v3")
    assert said("imported", start="net", imported=foreign).endswith(
        "It starts from 'net'. It is not known on which slices 'net' was trained: scores may be too good."
    )
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    assert said().endswith("random weights; this installation has no starter network.")
    assert said("reference").endswith("random weights.")


def test_a_scale_is_kept_in_the_record_and_refused_where_slices_become_too_small_or_too_large(
    stack, monkeypatch
):
    image, labels = stack
    assert prepare(image, labels, settings(scale=2)).record.scale == (2, 2)
    with pytest.raises(UserError, match=r"128 x 128 pixels 64 x 64, smaller than a patch of 80; .* 0.63 or"):
        prepare(image, labels, settings(scale=0.5, patch_px=80))
    monkeypatch.setattr(resampling, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match="choose a smaller scale"):
        prepare(image, labels, settings(scale=2))


def test_another_scale_than_that_of_the_start_is_said(stack, tmp_path):
    start = Run(tmp_path / "run", settings(scale=2), prepare(*stack, settings(scale=2)).record)
    (note,) = scale_notes(settings(), start)
    assert "works at scale 2, and this training at 1: choose the former unless" in note
    assert scale_notes(settings(scale=2), start) == scale_notes(settings(), None) == []


class Counting:
    """Pixels of a volume that notes which slices are read."""

    def __init__(self, array):
        self.array, self.read_slices, self.chunks = array, [], None
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, window):
        self.read_slices += range(window[0].start, window[0].stop)
        return self.array[window]


def test_of_a_volume_only_slices_with_labels_are_read_and_the_record_is_the_same(stack, tmp_path):
    image, labels = stack
    labels[[0, 3, 4]] = 0
    pixels = Counting(image)
    volume = Volume("cells", "", pixels)
    in_memory = prepare(image, labels, settings()).record
    for some in (labels, SparseStack.of(labels)):
        prepared = prepare(volume, some, settings())
        assert prepared.record == in_memory
        assert prepared.labels.stored_slices == [1, 2, 5, 6, 7]
    assert set(pixels.read_slices) == {1, 2, 5, 6, 7}
    resumed = Run(tmp_path / "run", settings(), in_memory)
    assert prepare(volume, labels, settings(), resumed).record == in_memory
    assert set(pixels.read_slices) == {1, 2, 5, 6, 7}


def test_what_a_start_has_seen_is_looked_for_in_the_slices_of_a_volume_that_are_used(stack, tmp_path):
    image, labels = stack
    start = Run(tmp_path / "run", settings(), prepare(image, labels, settings()).record)
    labels[[0, 3, 4]] = 0
    pixels = Counting(image)
    record = prepare(Volume("cells", "", pixels), labels, settings()).record
    found = with_start(record, start, Volume("cells", "", pixels))
    assert found.start_slices == [1, 2, 5, 6]  # 7 had been held out there, too
    assert set(pixels.read_slices) == {1, 2, 5, 6, 7}
    assert with_start(record, start, image).start_slices == [0, 1, 2, 3, 4, 5, 6]


NAMES = DataNames("cells.tif", "truth.tif", "--slices of cells.tif", "--validate of cells.tif")


@pytest.mark.parametrize(
    ("spoil", "changes", "sentence"),
    [
        (lambda i, n: (i[:, 1:], n), {}, "^truth.tif .* and cells.tif .* differ in size"),
        (lambda i, n: (0 * i, n), {}, "^cells.tif has the same value"),
        (lambda i, n: (i, 0 * n), {}, "^truth.tif has no labels"),
        (lambda i, n: (i, np.minimum(n, 1)), {}, "^truth.tif has no interior"),
        (lambda i, n: (i, n), {"slices": (5, 9)}, "^--slices of cells.tif: 5:9 does not lie"),
        (lambda i, n: (i, n), {"validate_slices": (5, 9)}, "^--validate of cells.tif: 5:9 does not lie"),
    ],
)
def test_errors_name_the_data_as_the_caller_does(stack, spoil, changes, sentence):
    image, labels = spoil(*stack)
    with pytest.raises(UserError, match=sentence):
        check_data(image, SparseStack.of(labels), settings(**changes), NAMES)


def test_checked_data_are_split_as_in_the_record_of_the_run(stack, tmp_path):
    image, labels = stack
    checked = check_data(image, SparseStack.of(labels), settings(), NAMES)
    run = begun(tmp_path, image, labels)
    assert (checked.trained, checked.held_out) == (run.record.trained_slices, run.record.held_out_slices)
    labels[4] = 0
    again = check_data(image, SparseStack.of(labels), settings(), NAMES, run)
    assert (again.trained, again.held_out) == (checked.trained, checked.held_out)
    with pytest.raises(UserError, match="another image"):
        check_data(image + 1, SparseStack.of(labels), settings(), NAMES, run)
