"""Where temporary files lie."""

import tempfile

import pytest

from emseg_napari.io import scratch_array
from emseg_napari.io.scratch_array import scratch_folder

DISK, MEMORY = "/dev/sda1 / ext4 rw 0 0\n", "tmpfs {} tmpfs rw,size=1024k 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "is_elsewhere"),
    [
        (DISK, False),
        (DISK + MEMORY.format("{usual}"), True),
        (MEMORY.format("/") + "/dev/sdb1 {usual} ext4 rw 0 0\n", False),
        (MEMORY.format("{usual}") + "/dev/sdb1 {usual} ext4 rw 0 0\n", False),  # mounted over it
        (DISK + MEMORY.format("{usual}/inside"), False),
        (None, False),
    ],
    ids=["disk", "memory", "disk in memory", "disk over memory", "memory inside", "not Linux"],
)
def test_temporary_files_lie_on_a_disk_where_the_usual_folder_is_memory(
    tmp_path, monkeypatch, mounts, is_elsewhere
):
    usual, disk, table = tmp_path / "usual", tmp_path / "disk", tmp_path / "mounts"
    usual.mkdir()
    disk.mkdir()
    if mounts is not None:
        table.write_text(mounts.replace("{usual}", str(usual)))
    monkeypatch.setattr(tempfile, "tempdir", str(usual))
    monkeypatch.setattr(scratch_array, "_MOUNTS", table)
    monkeypatch.setattr(scratch_array, "_ON_DISK", disk)
    assert scratch_folder() == (disk if is_elsewhere else usual)


def test_where_there_is_no_other_folder_the_usual_one_is_taken(tmp_path, monkeypatch):
    (tmp_path / "mounts").write_text(MEMORY.format(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch_array, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(scratch_array, "_ON_DISK", tmp_path / "none")
    assert scratch_folder() == tmp_path
