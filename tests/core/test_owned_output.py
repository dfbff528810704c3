"""Outputs that one writer owns: two writers, kills between any two calls, full disks, links."""

import errno
import json
import os
import shutil
import sys
import threading

import pytest

from emseg_napari.core import files, locks
from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import Occupied, OutputLock, in_use
from emseg_napari.core.owned_output import (
    adding_files,
    finish_replacing,
    owned,
    refuse_links,
    replacing_folder,
    writing_file,
)
from helpers.faults import another_process, at_call, full_disk, kills, needs_fork

OLD, NEW = {"a": "old", "b": "old"}, {"a": "new", "b": "new", "c": "new"}


def fill(folder, content):
    for name, text in content.items():
        (folder / name).write_bytes(text.encode())


def found(folder):
    """What is in a folder under names that are not ours."""
    finish_replacing(folder / "a")
    return {p.name: p.read_text() for p in folder.iterdir() if not files.is_temporary(p.name)}


def fresh(place):
    """A folder that was written before, beside somebody's file."""
    place.mkdir()
    (place / "somebody.txt").write_text("keep")
    target = place / "export"
    target.mkdir()
    fill(target, OLD)
    return target


def replace_all(target):
    with replacing_folder(target) as new:
        fill(new, NEW)


def add_all(target):
    with adding_files(target) as new:
        fill(new, NEW)


def replace_one(target):
    with writing_file(target / "a") as new:
        new.write_bytes(b"new")


WRITERS = [(replace_all, NEW), (add_all, NEW), (replace_one, OLD | {"a": "new"})]


@needs_fork
@pytest.mark.parametrize(("write", "new"), WRITERS)
def test_a_writer_killed_between_any_two_calls_leaves_the_old_or_the_new_whole(tmp_path, write, new):
    target, seen = fresh(tmp_path / "here"), []
    for _ in kills(lambda: write(target)):
        seen.append(found(target))
        assert seen[-1] in (OLD, new)
        assert (target.parent / "somebody.txt").read_text() == "keep"
        assert not in_use(target)
        write(target)  # nothing stands in the way of the next writer
        assert found(target) == new
        files.remove(target)
        target.mkdir()
        fill(target, OLD)
    assert {json.dumps(one, sort_keys=True) for one in seen} == {
        json.dumps(one, sort_keys=True) for one in (OLD, new)
    }


@pytest.mark.parametrize(("write", "new"), WRITERS)
def test_a_disk_that_is_full_at_any_call_leaves_the_old_or_the_new_whole(tmp_path, write, new):
    for number in range(100):
        target = fresh(tmp_path / str(number))
        with at_call(number, full_disk) as calls:
            try:
                write(target)
            except UserError as error:
                said = str(error)
            else:
                said = "the disk is full"  # where nothing depends on it
        assert "the disk is full" in said
        assert found(target) in (OLD, new)
        assert (target.parent / "somebody.txt").read_text() == "keep"
        write(target)
        assert found(target) == new
        if len(calls) <= number:
            return
    raise AssertionError("it never ended")


@needs_fork
def test_a_folder_lost_between_its_two_renames_is_there_for_who_reads_below_it(tmp_path):
    target = fresh(tmp_path / "here")
    os.rename(target, target.with_name(".export.emseg-old"))
    finish_replacing(target / "a" / "never there")
    assert found(target) == OLD


def test_what_a_killed_writer_had_begun_is_not_left_for_ever(tmp_path):
    target = fresh(tmp_path / "here")
    (tmp_path / "here" / ".export.emseg-new").mkdir()
    replace_all(target)
    assert sorted(p.name for p in target.parent.iterdir()) == ["export", "somebody.txt"]


def test_an_older_folder_does_not_come_back_where_the_user_has_removed_the_new_one(tmp_path):
    target = fresh(tmp_path / "here")
    shutil.copytree(target, target.with_name(".export.emseg-old"))  # left by a killed writer
    with owned(target):
        fill(target, NEW)
    shutil.rmtree(target)
    finish_replacing(target / "a")
    assert not target.exists()


def test_a_file_whose_name_leaves_no_room_for_that_of_a_lock_is_written(tmp_path):
    with writing_file(tmp_path / ("n" * 250)) as new:
        new.write_bytes(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


# -- two writers ------------------------------------------------------------------------


@needs_fork
def test_a_second_process_is_told_who_writes_and_may_write_when_that_is_killed(tmp_path):
    target = fresh(tmp_path / "here")
    with another_process(lambda: OutputLock(target)) as process:
        assert in_use(target)
        with pytest.raises(Occupied, match=rf"export is being written by .*\(process {process}\); wait"):
            replace_all(target)
        assert found(target) == OLD
    assert not in_use(target)
    replace_all(target)
    assert found(target) == NEW
    assert sorted(p.name for p in target.parent.iterdir()) == ["export", "somebody.txt"]


def test_a_second_job_of_the_same_process_is_refused_and_the_same_job_is_not(tmp_path):
    refused = []

    def other():
        try:
            replace_all(tmp_path / "out")
        except Occupied as error:
            refused.append(str(error))

    with owned(tmp_path / "out"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        replace_all(tmp_path / "out")
    assert found(tmp_path / "out") == NEW
    assert f"(process {os.getpid()})" in refused[0]


def test_of_many_that_begin_at_once_one_writes_at_a_time(tmp_path):
    inside, most = [], []

    def write():
        with owned(tmp_path / "out"):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    def insist():
        for _ in range(20):
            try:
                write()
            except Occupied:
                continue

    threads = [threading.Thread(target=insist) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_leaves_no_file_and_no_folder(tmp_path):
    with owned(tmp_path / "a" / "b" / "out"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="there others' files are not protected by their mode")
def test_an_output_that_another_user_writes_is_known_to_be_in_use(tmp_path, monkeypatch):
    target, real = fresh(tmp_path / "here"), locks.Path.open
    lock = OutputLock(target)

    def of_another_user(path, mode="r", **named):
        if path == locks.lock_path(target) and mode != "r":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, mode, **named)

    monkeypatch.setattr(locks.Path, "open", of_another_user)
    assert in_use(target)
    with pytest.raises(Occupied, match=rf"\(process {os.getpid()}\)"):
        OutputLock(target)
    lock.release()
    assert not in_use(target)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_and_what_it_names_are_one_output(tmp_path):
    target = fresh(tmp_path / "here")
    (tmp_path / "link").symlink_to(target)
    lock = OutputLock(target)
    with pytest.raises(Occupied):
        replace_all(tmp_path / "link")
    lock.release()
    replace_all(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert found(target) == NEW


@pytest.mark.skipif(os.name == "nt", reason="it is done otherwise there")
def test_where_the_file_system_has_no_locks_outputs_are_written_all_the_same(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    replace_all(tmp_path / "out")
    assert not in_use(tmp_path / "out")
    assert found(tmp_path / "out") == NEW


def test_a_folder_beside_which_nothing_can_be_written_is_locked_inside(tmp_path, monkeypatch):
    target, real = fresh(tmp_path / "here"), locks.Path.open

    def read_only(path, mode="r", **named):
        if path.parent == target.parent and mode == "a+":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, mode, **named)

    monkeypatch.setattr(locks.Path, "open", read_only)
    lock = OutputLock(target)
    with pytest.raises(Occupied, match="being written"):
        OutputLock(target)
    assert in_use(target)
    lock.release()
    assert found(target) == OLD
    assert len(list(target.iterdir())) == len(OLD)


# -- links ------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_that_leads_out_of_an_output_is_refused_and_one_inside_is_not(tmp_path):
    target = fresh(tmp_path / "here")
    (target / "inner").symlink_to(target / "a")
    refuse_links(target)
    (tmp_path / "link to all").symlink_to(target)
    refuse_links(tmp_path / "link to all")
    (target / "outer").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"outer lies in .*export but leads by a link to"):
        refuse_links(target)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_replaced_folder_takes_a_link_away_and_not_what_it_leads_to(tmp_path):
    target = fresh(tmp_path / "here")
    (target / "outer").symlink_to(tmp_path / "here", target_is_directory=True)
    replace_all(target)
    assert found(target) == NEW
    assert (tmp_path / "here" / "somebody.txt").read_text() == "keep"


def fail_to_add(folder, error):
    with adding_files(folder) as new:
        raise error(new / "a.tif")


@pytest.mark.parametrize(
    "error",
    [
        lambda path: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)),
        lambda path: UserError(f"{path} is damaged."),
    ],
)
def test_of_files_that_could_not_be_added_the_user_hears_the_names_that_they_were_to_have(tmp_path, error):
    with pytest.raises(UserError) as caught:
        fail_to_add(tmp_path, error)
    assert str(caught.value).startswith(str(tmp_path))
    assert ".emseg-" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of file sizes")
def test_a_full_disk_does_not_fail_a_lock_but_the_writing_that_names_its_file(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with (
            pytest.raises(UserError, match=r"o\.tif cannot be written"),
            owned(tmp_path / "o.tif") as output,
            files.atomic_write(output) as temporary,
        ):
            temporary.write_bytes(b"1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
