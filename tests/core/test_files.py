import errno
import json
import os
import stat
from pathlib import Path

import pytest

from emseg_napari.core import files, owned_output
from emseg_napari.core.jobs import UserError


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def write_half_of_file(path, error):
    with files.atomic_write(path) as temporary:
        temporary.write_text("half")
        if isinstance(error, OSError):
            error.filename = str(temporary)
        raise error


def add_half_of_files(folder, error):
    with owned_output.adding_files(folder) as temporary:
        (temporary / "a").touch()
        raise error


def write_half_of_folder(path, error):
    with owned_output.replacing_folder(path) as temporary:
        (temporary / "half").touch()
        raise error


def test_a_new_file_appears_whole_under_its_own_name(tmp_path):
    with files.atomic_write(tmp_path / "run.ome.tif") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".tif"
        temporary.write_text("new")
        assert not (tmp_path / "run.ome.tif").exists()
    assert names(tmp_path) == ["run.ome.tif"]
    assert (tmp_path / "run.ome.tif").read_text() == "new"


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "labels.tif"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half_of_file(path, ZeroDivisionError())
    assert names(tmp_path) == ["labels.tif"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "not writable"),
        (errno.EROFS, "not writable"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_what_the_operating_system_refuses_is_said_in_a_sentence_with_the_path(tmp_path, code, reason):
    path = tmp_path / "labels.tif"
    path.write_text("old")
    with pytest.raises(UserError, match=reason) as caught:
        write_half_of_file(path, OSError(code, os.strerror(code)))
    assert str(path) in str(caught.value)
    assert names(tmp_path) == ["labels.tif"]
    assert path.read_text() == "old"


def test_an_error_about_another_file_is_not_blamed_on_this_one(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="elsewhere"),
        files.atomic_write(tmp_path / "a.bin") as temporary,
    ):
        temporary.write_bytes((tmp_path / "elsewhere.bin").read_bytes())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.tif cannot be written: the folder .*nowhere does not exist"):
        files.write_json(tmp_path / "nowhere" / "a.tif", {})


def test_a_folder_is_not_overwritten_by_a_file(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        files.write_json(tmp_path, {})


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_folder_that_is_not_writable_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="not writable"):
        files.write_json(tmp_path / "a.json", {})
    with pytest.raises(UserError, match="not writable"):
        files.writable_folder(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_writing_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.json").write_text("1")
    (tmp_path / "a.json").symlink_to(tmp_path / "real" / "a.json")
    files.write_json(tmp_path / "a.json", 2)
    assert (tmp_path / "a.json").is_symlink()
    assert files.read_json(tmp_path / "real" / "a.json") == 2
    assert names(tmp_path / "real") == ["a.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_a_written_file_has_the_modes_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").touch()
    files.write_json(tmp_path / "ours", 1)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writable_folder_makes_missing_parents_and_leaves_no_file(tmp_path):
    folder = files.writable_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert names(folder) == []


def test_a_file_is_no_writable_folder(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match="is a file, but a folder is needed"):
        files.writable_folder(tmp_path / "a")
    with pytest.raises(UserError, match=r"b cannot be written"):
        files.writable_folder(tmp_path / "a" / "b")


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    (target / "old").touch()
    with owned_output.replacing_folder(target) as temporary:
        (temporary / "new").touch()
        assert names(target) == ["old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["export"]


def test_a_failure_keeps_the_old_folder(tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(UserError, match="disk is full"):
        write_half_of_folder(target, OSError(errno.ENOSPC, "No space left on device"))
    assert names(target) == ["old"]
    assert names(tmp_path) == ["export"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "export"
    target.mkdir()
    (target / "old").touch()
    rename, calls = os.replace, []

    def fail_second(source, destination):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.EACCES, "Permission denied", str(source))
        rename(source, destination)

    monkeypatch.setattr(files.os, "replace", fail_second)
    with pytest.raises(UserError, match="not writable"), owned_output.replacing_folder(target) as temporary:
        (temporary / "new").touch()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["export"]


def test_files_are_added_together_beside_those_that_are_there(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "other").touch()
    with owned_output.adding_files(tmp_path) as temporary:
        (temporary / "a").write_text("new")
        (temporary / "b").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
        assert not (tmp_path / "b").exists()
    assert names(tmp_path) == ["a", "b", "other"]
    assert (tmp_path / "a").read_text() == "new"


def test_a_failure_adds_none_of_the_files(tmp_path):
    with pytest.raises(UserError, match="disk is full"):
        add_half_of_files(tmp_path, OSError(errno.ENOSPC, "No space left on device"))
    assert names(tmp_path) == []


def test_files_and_folders_are_removed_if_they_are_there(tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "a").touch()
    (tmp_path / "b").touch()
    for name in ("folder", "b", "never there"):
        files.remove(tmp_path / name)
    assert names(tmp_path) == []


def test_a_folder_that_is_removed_vanishes_at_once(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").touch()
    monkeypatch.setattr(files.shutil, "rmtree", lambda path, **_: None)  # killed before it
    files.remove(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_removing_a_link_keeps_what_it_points_to(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.remove(tmp_path / "link")
    assert names(tmp_path) == ["real"]


def test_what_cannot_be_removed_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(files.Path, "unlink", refuse)
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=r"a cannot be removed: it is not writable"):
        files.remove(tmp_path / "a")


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    for name in ("a", ".emseg-1.tif", ".emseg-2.tif"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".emseg-1.tif", (0, 0))
    files.remove_leftovers(tmp_path, age_s=3600)
    assert names(tmp_path) == [".emseg-2.tif", "a"]
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be flushed there")
def test_a_new_name_is_flushed_to_the_disk_too(tmp_path, monkeypatch):
    order, flush, replace = [], os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda handle: (order.append(kind(handle)), flush(handle)))
    monkeypatch.setattr(files.os, "replace", lambda *names: (order.append("rename"), replace(*names)))
    files.write_json(tmp_path / "a.json", 1)
    assert order == ["file", "rename", "folder"]


def open_elsewhere(times, code=32):
    """What Windows answers, so many times, about a file that another program has open."""
    real, left = os.replace, [times]

    def replace(source, target):
        if Path(target).name == "a.tif" and left[0]:
            left[0] -= 1
            error = PermissionError(errno.EACCES, "being used by another process", str(source))
            error.winerror = code
            raise error
        real(source, target)

    return replace


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(files, "_RETRIES_S", (0, 0, 0))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("code", [5, 32])
def test_a_file_that_another_program_has_open_for_a_moment_is_replaced(tmp_path, monkeypatch, code):
    (tmp_path / "a.tif").write_text("old")
    monkeypatch.setattr(os, "replace", open_elsewhere(3, code))
    with files.atomic_write(tmp_path / "a.tif") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.tif").read_text() == "new"


@pytest.mark.usefixtures("at_once")
def test_a_file_that_stays_open_elsewhere_is_said_and_the_new_one_kept_beside_it(tmp_path, monkeypatch):
    (tmp_path / "a.tif").write_text("old")
    monkeypatch.setattr(os, "replace", open_elsewhere(100))
    for name in ("a-new.tif", "a-new-2.tif"):
        with pytest.raises(files.OpenElsewhere, match=f"a.tif is open in another program, .* lies in {name}"):
            write_new(tmp_path / "a.tif", keep=True)
        assert (tmp_path / name).read_text() == "new"
    with pytest.raises(files.OpenElsewhere, match="is open in another program"):
        write_new(tmp_path / "a.tif", keep=False)
    assert (tmp_path / "a.tif").read_text() == "old"
    assert names(tmp_path) == ["a-new-2.tif", "a-new.tif", "a.tif"]


def write_new(path, keep):
    with files.atomic_write(path, keep) as temporary:
        temporary.write_text("new")


@pytest.mark.skipif(os.name == "nt", reason="Windows has another way")
@pytest.mark.parametrize("knows_it", [True, False])
def test_on_macos_the_drive_itself_is_flushed_where_the_file_system_can(tmp_path, monkeypatch, knows_it):
    calls, flush = [], os.fsync

    def full(descriptor, command):
        calls.append(command)
        if not knows_it:
            raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(files, "_FULL_FSYNC", 51)
    monkeypatch.setattr(files.fcntl, "fcntl", full)
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(kind(handle)), flush(handle)))
    files.write_json(tmp_path / "a.json", 1)
    assert calls == ([51, "folder"] if knows_it else [51, "file", "folder"])


def kind(handle):
    return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"


def test_json_round_trip(tmp_path):
    value = {"slices": [0, 3], "name": "Küste", "seconds": 0.1, "nothing": None}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path):
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"a": object()})
    assert files.read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00", b"II*\0"])
def test_broken_json_is_said_in_a_sentence_with_the_path(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        files.read_json(tmp_path / "run.json")


def test_missing_json_is_said_in_a_sentence_with_the_path(tmp_path):
    with pytest.raises(UserError, match=r"run\.json does not exist"):
        files.read_json(tmp_path / "run.json")
    with pytest.raises(UserError, match=r"cannot be read"):
        files.read_json(tmp_path)
