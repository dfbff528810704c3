"""Stacks of which only some slices are held, and labels over a file of holes."""

import os
import pickle
import weakref

import numpy as np
import pytest

from emseg_napari.annotation.session import scratch
from emseg_napari.annotation.session.scratch import new_labels, slices_in_use
from emseg_napari.core.jobs import UserError
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices, stacked


@pytest.fixture
def labels():
    array = np.zeros((6, 4, 5), np.uint8)
    array[1, 2, 3], array[4, 0] = 1, 2
    return array


@pytest.mark.parametrize("key", [1, 4, 0, -2, slice(0, 3), slice(None), [1, 4], [-2, 0], [], range(3, 6)])
def test_it_is_asked_for_slices_as_an_array_is(labels, key):
    sparse = SparseStack.of(labels)
    assert sparse.stored_slices == [1, 4]
    expected = labels[list(key)] if isinstance(key, range) else labels[key]
    np.testing.assert_array_equal(sparse[key], expected)


def test_pickled_it_is_as_large_as_what_it_holds():
    big = SparseStack((1000, 2048, 2048), planes={7: np.ones((2048, 2048), np.uint8)})
    pickled = pickle.dumps(big)
    assert len(pickled) < 2048 * 2048 + 10_000
    assert pickle.loads(pickled)[7].all()
    assert not pickle.loads(pickled)[8].any()


def test_only_slices_that_are_named_are_looked_at(labels):
    asked = []

    class Counted:
        shape, dtype = labels.shape, labels.dtype

        def __getitem__(self, z):
            asked.append(z)
            return labels[z]

    assert SparseStack.of(Counted(), [4, 5]).stored_slices == [4]
    assert asked == [4, 5]
    assert labelled_slices(SparseStack.of(labels), range(3)) == labelled_slices(labels, range(3)) == [1]


def test_slices_outside_are_an_index_error(labels):
    for key in (6, [0, 6], [-7]):
        with pytest.raises(IndexError):
            SparseStack.of(labels)[key]


def test_no_more_slices_are_in_memory_than_have_labels():
    alive, most = weakref.WeakSet(), []

    class Plane(np.ndarray):
        __hash__ = object.__hash__

    class Counted:
        shape, dtype = (20, 4, 5), np.dtype(np.uint8)

        def __len__(self):
            return 20

        def __getitem__(self, z):
            plane = np.full((4, 5), z == 3, np.uint8)
            alive.add(kept := plane.view(Plane))
            most.append(len(alive))
            return kept

    assert SparseStack.of(Counted()).stored_slices == [3]
    assert max(most) <= 4


def test_slices_are_replaced_and_changed(labels):
    sparse = SparseStack.of(labels)
    sparse[3] = np.full((4, 5), 2, np.uint8)
    assert sparse.stored_slices == [1, 3, 4]
    np.testing.assert_array_equal(sparse.mapped(lambda plane: plane * 2)[1:4], 2 * sparse[1:4])
    with pytest.raises(ValueError, match="shape"):
        sparse[0] = np.zeros((2, 2), np.uint8)


def test_changed_slices_give_the_stack_their_type(labels):
    wide = SparseStack.of(labels.astype(np.int64)).mapped(lambda plane: plane.astype(np.uint8))
    assert (wide.dtype, wide[0].dtype, wide[1].dtype, wide[:].dtype) == (np.uint8,) * 4
    empty = SparseStack(labels.shape, np.int64).mapped(lambda plane: plane.astype(np.uint8))
    assert (empty.dtype, empty[0].dtype) == (np.uint8, np.uint8)


def test_slices_of_anything_are_stacked(labels):
    for stack in (labels, SparseStack.of(labels)):
        np.testing.assert_array_equal(stacked(stack, [4, 1]), labels[[4, 1]])
        assert stacked(stack, []).shape == (0, 4, 5)


def test_small_labels_are_in_memory_and_large_ones_take_no_room():
    assert type(new_labels((3, 8, 8))) is np.ndarray
    large = new_labels((1000, 4096, 4096))
    assert large.dtype == np.uint8
    assert isinstance(large, np.ndarray)
    assert os.fstat(large.file.fileno()).st_blocks * 512 < 1_000_000
    assert not large[500].any()


def test_the_slices_that_were_written_are_known_without_reading_holes():
    large = new_labels((1000, 4096, 4096))
    if not hasattr(scratch.os, "SEEK_DATA"):
        pytest.skip("this system does not tell holes")
    assert list(slices_in_use(large)) == []
    large[3, 100, 100], large[500, 4095, 4095], large[999, 0] = 1, 2, 3
    assert list(slices_in_use(large)) == [3, 500, 999]
    assert SparseStack.of(large, slices_in_use(large)).stored_slices == [3, 500, 999]
    assert list(slices_in_use(np.zeros((3, 2, 2)))) == [0, 1, 2]


def test_nothing_of_the_file_is_left(data_folder):
    large = new_labels((1000, 4096, 4096))
    large[7] = 1
    del large
    left = [path for path in data_folder.rglob("*") if path.is_file()]
    assert left == []


def test_a_disk_without_room_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match="nearly full"):
        new_labels((1000, 4096, 4096))
    assert new_labels((3, 8, 8)).shape == (3, 8, 8)


def test_a_disk_without_holes_is_said_in_a_sentence(monkeypatch):
    def refuse(**_):
        raise OSError(27, "File too large")

    monkeypatch.setattr(scratch.tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match="no space for labels of 16 GiB"):
        new_labels((1000, 4096, 4096))


def test_little_room_is_told_before_it_is_none(monkeypatch):
    large = new_labels((1000, 4096, 4096))
    assert scratch.low_disk_warning(large) == ""
    assert scratch.low_disk_warning(np.zeros((2, 2, 2))) == ""
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    assert "nearly full" in scratch.low_disk_warning(large)
