"""Sentences of the window say where it has each setting."""

from emseg_napari.core.jobs import BlockFailed, Failed, UserError
from emseg_napari.io.chunk_errors import MissingChunk
from emseg_napari.widgets.base.threads import sentence_of, with_field_locations

MISSING = MissingChunk("a.zarr", (3, 0, 1), "c/3/0/1")
CHOICE = "choose 'Missing chunks are empty' under 'Advanced'."


def test_an_advanced_setting_is_named_with_its_place():
    assert sentence_of(MISSING).endswith(CHOICE)
    assert with_field_locations(Failed(str(MISSING), settings=MISSING.settings)).endswith(CHOICE)
    assert with_field_locations(BlockFailed((3, 0, 1), str(MISSING), "", MISSING.settings)).endswith(CHOICE)


def test_a_setting_in_view_is_named_by_its_title():
    error = UserError("'Threshold' was 0.6 and is 0.5.", ("threshold", "kind"))
    assert sentence_of(error) == "'Threshold' was 0.6 and is 0.5."
