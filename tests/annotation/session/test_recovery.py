"""Where work without a name is kept."""

import pytest

from emseg_napari.annotation.session import recovery


@pytest.fixture(autouse=True)
def new_process(monkeypatch):
    """As in a process that has not chosen a folder yet."""
    monkeypatch.setattr(recovery, "_chosen", [])


def test_unsaved_work_stays_in_the_folder_that_was_chosen_first(tmp_path, monkeypatch):
    monkeypatch.delenv("EMSEG_DATA_DIR")
    recovery.keep_unsaved_in(tmp_path / "first")
    recovery.keep_unsaved_in(tmp_path / "second")  # what is open is marked in the first
    assert recovery.recovery_folder() == tmp_path / "first" / "recovery"
    assert recovery.new_recovery().parent == recovery.recovery_folder()


def test_the_environment_counts_before_what_was_chosen(tmp_path, data_folder):
    recovery.keep_unsaved_in(tmp_path)
    assert recovery.recovery_folder() == data_folder / "recovery"
