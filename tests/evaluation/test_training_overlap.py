"""What a run has seen of the slices that are scored: by their grey values first."""

from hashlib import sha256

import numpy as np
import pytest

from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.models.run import Run
from helpers.seen_runs import ALL, IMAGE, OTHER, a_run, scored


@pytest.fixture
def run(tmp_path) -> Run:
    """A run that was trained on slices 0 and 1, and held 5 out."""
    return a_run(tmp_path / "first", [0, 1], [5])


def test_slices_are_recognised_wherever_they_lie_and_the_same_numbers_of_another_stack_are_not(run):
    found = scored(IMAGE, run).overlap
    assert (found.trained, found.held_out, found.assumed) == ([0, 1], [5], [])
    found = scored(IMAGE[::-1], run).overlap
    assert (found.trained, found.held_out) == ([4, 5], [0])
    found = scored(OTHER, run)
    assert (found.overlap.trained, found.overlap.held_out, found.notes) == ([], [], [])


def test_held_out_slices_in_a_file_of_their_own_are_recognised(run):
    found = scored(IMAGE[[5, 3]], run, [5, 3])
    assert (found.overlap.trained, found.overlap.held_out) == ([], [0])
    assert "On slice 0 the run chose its threshold and weights: scores there are too high." in found.notes


def test_an_image_is_asked_where_the_record_has_no_marks(run):
    found = scored(None, run, image=IMAGE[::-1].astype(np.float64)).overlap
    assert (found.trained, found.held_out) == ([4, 5], [0])


def test_marks_of_an_earlier_version_are_recognised_in_the_image(run):
    run.update(
        fingerprints=[sha256(IMAGE[z].astype(np.float32).tobytes()).hexdigest()[:16] for z in (0, 1)],
        held_out_fingerprints=[],
    )
    found = scored(None, run, image=IMAGE).overlap
    assert (found.trained, found.held_out) == ([0, 1], [5])
    found = scored(None, run, image=OTHER).overlap
    assert (found.trained, found.held_out) == ([], [])  # another stack, so its numbers mean nothing


def test_held_out_slices_of_which_an_earlier_version_kept_no_marks_are_not_said_to_be_new(run):
    run.update(held_out_fingerprints=[])
    said = "is of an earlier version, which kept no marks of the slices by which it chose its threshold"
    found = scored(IMAGE[[5, 3]], run, [5, 3])  # in a file of their own, so their numbers mean nothing
    assert any(said in note for note in found.notes)
    assert found.overlap.assumed == [0, 1]
    found = scored(IMAGE, run)  # its own stack, as the trained slices show
    assert (found.overlap.held_out, found.overlap.assumed) == ([5], [])
    assert not any(said in note for note in found.notes)


def test_a_slice_of_the_image_is_read_once(run):
    read = []

    class Image:
        def __getitem__(self, z):
            read.append(z)
            return IMAGE[z]

    scored(None, run, image=Image())
    assert sorted(read) == ALL


def test_slices_without_marks_are_known_by_number_and_that_is_said(run):
    found = scored(None, run)
    assert (found.overlap.trained, found.overlap.held_out) == ([0, 1], [5])
    assert found.overlap.assumed == ALL
    assert any("slices of the same number are assumed to be the same" in note for note in found.notes)


def test_some_marks_are_enough_to_tell_another_stack(run):
    marks = [fingerprint(OTHER[0]), *[""] * 5]
    assert scored(None, run, fingerprints=marks).overlap.trained == []
    marks = [fingerprint(IMAGE[0]), *[""] * 5]
    assert scored(None, run, fingerprints=marks).overlap.trained == [0, 1]


@pytest.mark.parametrize("kind", ["labels", "probability"])
def test_each_slice_counts_for_the_run_that_predicted_it(run, tmp_path, kind):
    second = a_run(tmp_path / "second", [3], [4], threshold=0.2)
    runs = {z: str((run if z < 3 else second).folder) for z in range(5)}
    found = scored(IMAGE, run, kind=kind, runs=runs)
    assert (found.overlap.trained, found.overlap.held_out) == ([0, 1, 3], [4])
    assert found.overlap.unknown == [5]
    assert (found.overlap.run, found.overlap.run_names) == (None, "first, second")
    said = "p was predicted by several runs: slices 0-2 by first; slices 3-4 by second; slice 5 by a run"
    assert found.notes[0].startswith(said)
    assert any("p names no run" in note for note in found.notes)
    threshold = "The threshold of first counts for all of them."
    assert (threshold in found.notes) == (kind == "probability")


def test_a_layer_that_one_run_filled_counts_for_it_whatever_the_record_names(run, tmp_path):
    second = a_run(tmp_path / "second", [3], [4], threshold=0.2)
    runs = dict.fromkeys(ALL, str(second.folder))
    found = scored(IMAGE, run, runs=runs, run_folder=str(run.folder))
    assert (found.overlap.trained, found.overlap.run.folder) == ([3], second.folder)
    assert found.settings.threshold == pytest.approx(0.8)


@pytest.mark.parametrize("of_cells", [False, True])
def test_a_run_that_was_trained_anew_in_the_same_folder_is_not_taken_for_the_one_that_predicted(
    run, of_cells
):
    run.network_file.write_bytes(b"first")
    network = {"network": run.network_mark}
    said = {"run_folder": str(run.folder), **({"predicted_by": network} if of_cells else network)}
    assert scored_by_record(IMAGE, said).unknown == []
    run.network_file.write_bytes(b"second")
    assert scored_by_record(IMAGE, said).unknown == ALL
    found = scored(IMAGE, run, **said)  # the user says so
    assert found.overlap.trained == [0, 1]
    assert "p says that another network made it than that of first." in found.notes
    run.network_file.unlink()
    assert scored_by_record(IMAGE, said).unknown == ALL


def scored_by_record(shown, record):
    return scored(shown, None, **record).overlap
