"""Sentences of the command line name the option of each setting."""

import pickle

import pytest

from emseg_napari.cli.sentences import sentence_of
from emseg_napari.core.jobs import BlockFailed, UserError
from emseg_napari.io.chunk_errors import MissingChunk
from emseg_napari.io.resume_check import ChangedChoices, differences

MISSING = MissingChunk("a.zarr", (3, 0, 1), "c/3/0/1")
CHOICE = "choose 'Missing chunks are empty' (--missing-is-empty)."


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        ({"threshold": 0.6}, {"threshold": 0.5}, "'Threshold' (--threshold) was 0.6 and is 0.5"),
        ({"orientations": 8}, {"orientations": 2}, "'Orientations' (--orientations) was 8 and is 2"),
        ({"kind": "labels"}, {"kind": "interior"}, "what is written (--as) was labels and is interior"),
        ({"flips": None}, {"flips": True}, "flips was none and is on"),
    ],
)
def test_a_choice_that_changed_is_named_with_its_option(tmp_path, old, new, clause):
    error = ChangedChoices(tmp_path, differences(old, new))
    assert f"other choices: {clause}. To resume it" in sentence_of(error)
    assert "--" not in str(error)


@pytest.mark.parametrize("problem", [MISSING, BlockFailed((3, 0, 1), str(MISSING), "", MISSING.settings)])
def test_a_missing_chunk_comes_with_the_option_that_takes_it_for_empty(problem):
    assert sentence_of(problem).endswith(CHOICE)


def test_a_sentence_without_settings_stays_as_it_is():
    assert sentence_of(UserError("'Threshold' is another.")) == "'Threshold' is another."


@pytest.mark.parametrize(
    "error", [MISSING, ChangedChoices("a", differences({"link": True}, {"link": False}))]
)
def test_errors_of_settings_survive_another_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.settings) == (type(error), str(error), error.settings)
    assert sentence_of(again) != str(again)
