"""Whatever is done in any order, what was reported as saved is there again."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.store import load_session
from emseg_napari.core.jobs import UserError
from emseg_napari.io import stacks
from helpers.sessions import SHAPE, a_session
from helpers.timing import PATIENCE_S

STEPS = st.one_of(
    st.tuples(st.just("paint"), st.integers(0, SHAPE[0] - 1), st.integers(0, 4)),
    st.tuples(st.just("confirm"), st.integers(0, SHAPE[0] - 1)),
    st.tuples(st.just("rename"), st.sampled_from(["one", "two"])),
    st.tuples(st.just("save"), st.sampled_from(["a", "b"]), st.booleans()),
    st.tuples(st.just("image"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["reopen", "kill", "other window"])),
)


class Window:
    """What a person does with sessions, and what was reported as saved."""

    def __init__(self, folder):
        self.folder, self.saver, self.kills = folder, Autosave(), 0
        self.session = a_session(folder / "1.tif")
        self.saver.start_session(folder / "begun.emseg", self.session)

    def do(self, kind, *given):
        getattr(self, f"do_{kind.replace(' ', '_')}")(*given)

    def do_paint(self, z, value):
        self.session.labels[z, z] = value
        self.saver.record_edit(z, self.session.labels[z])

    def do_confirm(self, z):
        self.session.confirmed ^= {z}
        self.saver.record_state(confirmed=set(self.session.confirmed))

    def do_rename(self, name):
        self.session.name = name
        self.saver.record_state(name=name)

    def do_save(self, name, copy):
        session = replace(self.session, image_path=None) if copy else self.session
        self.saver.save_as(self.folder / f"{name}.emseg", session)
        self.check(load_session(self.folder / f"{name}.emseg"))

    def do_image(self, number):
        """Another image is open; it counts from the next save on."""
        path = self.folder / f"{number}.tif"
        if not path.exists():
            stacks.write_stack(path, np.full(SHAPE, number, np.uint16))
        self.session = replace(self.session, image_path=path, image=stacks.read_image(path))
        self.do_save("a", False)

    def do_other_window(self):
        """A second writer of this session is refused, and changes nothing."""
        if self.flushed() and (self.saver.folder / "session.json").exists():
            second = Autosave()
            with pytest.raises(UserError, match="another emseg"):
                second.save_as(self.saver.folder, a_session(self.folder / "1.tif"))
            assert second.close(PATIENCE_S)
            self.check(load_session(self.saver.folder))

    def do_reopen(self):
        folder = self.saver.folder
        assert self.saver.close(PATIENCE_S)
        self.read_again(folder)

    def do_kill(self):
        """What lies on the disk goes on elsewhere, as another process finds it."""
        if self.flushed() and (self.saver.folder / "session.json").exists():
            self.kills += 1
            left = self.folder / f"killed-{self.kills}.emseg"
            shutil.copytree(self.saver.folder, left)
            assert self.saver.close(PATIENCE_S)
            self.read_again(left)

    def flushed(self):
        assert self.saver.flush(PATIENCE_S)
        return self.saver.trouble == ""

    def read_again(self, folder):
        self.saver = Autosave()
        if (folder / "session.json").exists():
            read = load_session(folder)
            self.check(read)
            self.session = read
        self.saver.start_session(folder, self.session)

    def check(self, read):
        assert np.array_equal(read.labels, self.session.labels)
        assert np.array_equal(read.image, self.session.image)
        assert (read.confirmed, read.name) == (self.session.confirmed, self.session.name)
        assert read.warnings == []

    def end(self):
        folder = self.saver.folder
        assert self.saver.close(PATIENCE_S)
        if (folder / "session.json").exists():
            self.check(load_session(folder))


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=10))
def test_whatever_is_done_what_was_reported_as_saved_is_there_again(steps):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMSEG_DATA_DIR", folder)
        window = Window(Path(folder).resolve())
        try:
            for step in steps:
                window.do(*step)
        finally:
            window.end()
