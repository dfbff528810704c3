"""Sentences of the window say where it has each setting; threads keep nothing."""

import gc
import weakref
from functools import partial

import pytest

from emseg_napari.core.jobs import BlockFailed, Failed, UserError
from emseg_napari.io.chunk_errors import MissingChunk
from emseg_napari.widgets.base.threads import in_thread, sentence_of, with_field_locations

MISSING = MissingChunk("a.zarr", (3, 0, 1), "c/3/0/1")
CHOICE = "choose 'Missing chunks are empty' under 'Advanced'."


def test_an_advanced_setting_is_named_with_its_place():
    assert sentence_of(MISSING).endswith(CHOICE)
    assert with_field_locations(Failed(str(MISSING), settings=MISSING.settings)).endswith(CHOICE)
    assert with_field_locations(BlockFailed((3, 0, 1), str(MISSING), "", MISSING.settings)).endswith(CHOICE)


def test_a_setting_in_view_is_named_by_its_title():
    error = UserError("'Threshold' was 0.6 and is 0.5.", ("threshold", "kind"))
    assert sentence_of(error) == "'Threshold' was 0.6 and is 0.5."


class Pixels:
    """What a layer knows."""


@pytest.mark.parametrize("fails", [True, False])
def test_a_thread_forgets_what_it_worked_on_though_napari_keeps_its_worker(qtbot, fails):
    pixels, outcomes = Pixels(), []
    known = weakref.ref(pixels)

    def work(given):
        return 1 / 0 if fails else id(given)

    def done(given, result, error):
        outcomes.append((id(given), result, type(error)))

    worker = in_thread(partial(work, pixels), partial(done, pixels))
    qtbot.waitUntil(lambda: bool(outcomes))
    expected = (None, ZeroDivisionError) if fails else (id(pixels), type(None))
    assert outcomes == [(id(pixels), *expected)]
    del pixels
    gc.collect()
    assert known() is None
    assert worker is not None
