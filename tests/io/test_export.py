import json
import os
import shutil

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.io import export, stacks
from emseg_napari.io.axes import Voxel
from emseg_napari.io.stack_or_volume import place_of_file
from emseg_napari.settings import ExportSettings
from helpers.faults import another_process, kills, needs_fork
from helpers.odd_arrays import odd_arrays

SHAPE = (13, 9, 7)


def settings(**values):
    return ExportSettings(**values)


def png(**values):
    return ExportSettings(file_format="numbered PNGs", **values)


def noise(dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, 256, SHAPE)
    return (values * 257).astype(dtype) if dtype == np.uint16 else values.astype(dtype)


def complete_labels():
    return np.random.default_rng(1).integers(1, 3, SHAPE).astype(np.uint8)


def contents(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("chosen", [[0], [3, 11], list(range(13))])
def test_a_tiff_export_is_read_back_bit_for_bit(tmp_path, dtype, chosen):
    image, labels = noise(dtype), complete_labels()
    export.export_training_labels(image, labels, chosen, settings(), tmp_path / "e")
    assert contents(tmp_path / "e") == ["export.json", "images.tif", "labels.tif"]
    read = stacks.read_image(tmp_path / "e" / "images.tif")
    assert read.dtype == dtype
    assert np.array_equal(read, image[chosen])
    assert np.array_equal(stacks.read_labels(tmp_path / "e" / "labels.tif"), labels[chosen])


@pytest.mark.parametrize(
    ("dtype", "suffix"), [(np.uint8, "png"), (np.uint16, "png"), (np.float32, "tif"), (np.int16, "tif")]
)
def test_numbered_slices_carry_their_number_in_the_image_and_are_read_back_bit_for_bit(
    tmp_path, dtype, suffix
):
    image, labels = noise(dtype), complete_labels()
    export.export_training_labels(image, labels, [11, 2, 2], png(), tmp_path / "e")
    assert contents(tmp_path / "e") == [
        "export.json",
        f"images/0002.{suffix}",
        f"images/0011.{suffix}",
        "labels/0002.png",
        "labels/0011.png",
    ]
    assert np.array_equal(stacks.read_image(tmp_path / "e" / "images"), image[[2, 11]])
    assert np.array_equal(stacks.read_labels(tmp_path / "e" / "labels"), labels[[2, 11]])


def test_labels_are_written_as_isbi_values(tmp_path):
    labels = np.tile(np.array([0, 1, 2], np.uint8), (1, 2, 1))
    image = np.arange(6, dtype=np.uint8).reshape(labels.shape)
    export.export_training_labels(image, labels, [0], settings(allow_unlabelled=True), tmp_path / "e")
    assert tifffile.imread(tmp_path / "e" / "labels.tif").tolist() == [[128, 0, 255]] * 2


@given(
    labels=arrays(np.uint8, (3, 2, 3), elements=st.integers(0, 2)),
    chosen=st.sets(st.integers(0, 2), min_size=1),
    file_format=st.sampled_from(["TIFF stack", "numbered PNGs"]),
)
def test_any_labels_are_read_back_as_they_were(tmp_path_factory, labels, chosen, file_format):
    target = tmp_path_factory.mktemp("export") / "e"
    how = settings(file_format=file_format, allow_unlabelled=True)
    export.export_training_labels(np.zeros(labels.shape, np.uint8), labels, sorted(chosen), how, target)
    written = target / "labels.tif" if file_format == "TIFF stack" else target / "labels"
    assert np.array_equal(stacks.read_labels(written), labels[sorted(chosen)])


def test_a_tif_name_gets_its_image_and_record_beside_it(tmp_path):
    image, labels = noise(), complete_labels()
    (tmp_path / "other.txt").touch()
    record = export.export_training_labels(image, labels, [4], settings(), tmp_path / "cells.tif")
    assert contents(tmp_path) == ["cells-images.tif", "cells.json", "cells.tif", "other.txt"]
    assert np.array_equal(stacks.read_image(tmp_path / "cells-images.tif"), image[[4]])
    assert np.array_equal(stacks.read_labels(tmp_path / "cells.tif"), labels[[4]])
    assert json.loads((tmp_path / "cells.json").read_text()) == record
    export.export_training_labels(image, labels, [5], settings(), tmp_path / "cells.tif")
    assert np.array_equal(stacks.read_image(tmp_path / "cells-images.tif"), image[[5]])


def test_the_record_says_what_was_exported(tmp_path):
    labels = complete_labels()
    labels[3, 0, :2] = 0
    record = export.export_training_labels(
        noise(np.uint16), labels, [3, 5], settings(allow_unlabelled=True), tmp_path / "e"
    )
    assert record == json.loads((tmp_path / "e" / "export.json").read_text())
    assert record["slices"] == [3, 5]
    assert record["convention"] == "isbi"
    assert record["image_dtype"] == "uint16"
    assert record["shape_zyx"] == [2, 9, 7]
    assert record["software"].startswith("emseg-napari ")
    assert record["unlabelled_pixels"] == 2
    assert record["boundary_pixels"] == (labels[[3, 5]] == 1).sum()
    assert record["interior_pixels"] == (labels[[3, 5]] == 2).sum()


def test_slices_with_unlabelled_pixels_are_listed_and_refused(tmp_path):
    labels = complete_labels()
    labels[[2, 7], 3, 3] = 0
    with pytest.raises(UserError, match=r"pixels in slices 2, 7, so .* or allow unlabelled pixels.$"):
        export.export_training_labels(noise(), labels, [1, 2, 7], settings(), tmp_path / "e")
    labels[:] = 0
    with pytest.raises(UserError, match="in slices 0-12, "):
        export.export_training_labels(noise(), labels, range(13), settings(), tmp_path / "e")
    assert contents(tmp_path) == []


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ([], "no slice is chosen"),
        ([13], "no slice 13 to export; choose slices from 0 to 12"),
        ([-1], "no slice -1 to"),
    ],
)
def test_slices_that_are_not_there_are_refused(tmp_path, chosen, sentence):
    with pytest.raises(UserError, match=sentence):
        export.export_training_labels(noise(), complete_labels(), chosen, settings(), tmp_path / "e")


def test_labels_of_another_image_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"the labels \(13 x 9 x 6\) and the image \(13 x 9 x 7\) differ"):
        export.export_training_labels(noise(), complete_labels()[..., 1:], [0], settings(), tmp_path / "e")


def test_pngs_do_not_fit_into_one_file(tmp_path):
    with pytest.raises(UserError, match=r"e\.tif is the name of a file, but numbered PNGs need a folder"):
        export.export_training_labels(noise(), complete_labels(), [0], png(), tmp_path / "e.tif")


@pytest.mark.parametrize("name", ["e.zarr", "e.N5", "e.h5", "e.png"])
def test_names_of_other_formats_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"exported as TIFF or numbered PNG files, not as \.\w+; give the"):
        export.export_training_labels(noise(), complete_labels(), [0], settings(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_earlier_export_is_never_overwritten(tmp_path):
    folder = tmp_path / "e"
    folder.mkdir()
    (folder / "labels.tif").write_text("years of work")
    with pytest.raises(UserError, match=r"e is not an empty folder or an earlier export"):
        export.export_training_labels(noise(), complete_labels(), [0], settings(), folder)
    (tmp_path / "truth.tif").write_text("years of work")
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(UserError, match=r"truth\.tif .* not an earlier export"):
        export.export_training_labels(noise(), complete_labels(), [0], settings(), tmp_path / "truth.tif")
    (tmp_path / "file").write_text("years of work")
    with pytest.raises(UserError, match=r"file is not an empty folder"):
        export.export_training_labels(noise(), complete_labels(), [0], settings(), tmp_path / "file")
    for path in (folder / "labels.tif", tmp_path / "truth.tif", tmp_path / "file"):
        assert path.read_text() == "years of work"


def test_an_empty_folder_and_an_earlier_export_are_replaced(tmp_path):
    folder = tmp_path / "e"
    folder.mkdir()
    export.export_training_labels(noise(), complete_labels(), [0, 5], png(), folder)
    export.export_training_labels(noise(), complete_labels(), [1], settings(), folder)
    assert contents(tmp_path) == ["e/export.json", "e/images.tif", "e/labels.tif"]
    assert np.array_equal(stacks.read_image(folder / "images.tif"), noise()[[1]])


@pytest.mark.parametrize("name", ["e", "e.tif"])
def test_a_disk_that_fills_up_leaves_the_earlier_export(tmp_path, monkeypatch, name):
    export.export_training_labels(noise(), complete_labels(), [0], settings(), tmp_path / name)
    before = {p: (tmp_path / p).read_bytes() for p in contents(tmp_path)}
    write, written = tifffile.imwrite, []

    def fill_up(path, *arguments, **options):
        write(path, *arguments, **options)
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fill_up)
    with pytest.raises(UserError, match="the disk is full"):
        export.export_training_labels(noise(), complete_labels(), [7], settings(), tmp_path / name)
    assert len(written) == 2
    assert {p: (tmp_path / p).read_bytes() for p in contents(tmp_path)} == before


def test_confirmed_labelled_or_all_slices_are_chosen():
    labels = np.zeros(SHAPE, np.uint8)
    labels[[4, 6], 0, 0] = 1
    choose = export.chosen_slices
    assert choose(labels, {9, 3}, settings(which="confirmed")) == [3, 9]
    assert choose(labels, {9, 3}, settings(which="labelled")) == [4, 6]
    assert choose(labels, set(), settings(which="all")) == list(range(13))


def test_nothing_to_export_is_said_with_what_to_do():
    nothing = np.zeros(SHAPE, np.uint8)
    with pytest.raises(UserError, match="no slice is confirmed; confirm"):
        export.chosen_slices(nothing, set(), settings())
    with pytest.raises(UserError, match="no slice has labels; label"):
        export.chosen_slices(nothing, set(), settings(which="labelled"))


@pytest.mark.parametrize("stranger", ["note.txt", "images/note.txt", "images/0099.png"])
def test_an_earlier_export_with_files_of_the_users_is_not_replaced(tmp_path, stranger):
    image, labels = noise(), complete_labels()
    target = tmp_path / "out"
    export.export_training_labels(image, labels, [0, 1], png(which="all"), target)
    (target / stranger).write_text("mine")
    with pytest.raises(UserError, match=r"choose a new or empty folder"):
        export.export_training_labels(image, labels, [0], settings(which="all"), target)
    assert (target / stranger).read_text() == "mine"
    assert (target / "images" / "0000.png").is_file()


@odd_arrays
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int16])
@pytest.mark.parametrize(
    ("how", "name"),
    [(settings(), "e"), (png(), "e"), (settings(), "e.tif")],
    ids=["folder", "slices", "tif"],
)
def test_image_and_labels_are_exported_however_they_lie_in_memory(tmp_path, odd, dtype, how, name):
    image, labels = noise(dtype), complete_labels()
    export.export_training_labels(odd(image), odd(labels), [2, 5], how, tmp_path / name)
    if name == "e.tif":
        images, written = tmp_path / "e-images.tif", tmp_path / "e.tif"
    else:
        suffix = "" if how.file_format == "numbered PNGs" else ".tif"
        images, written = tmp_path / name / f"images{suffix}", tmp_path / name / f"labels{suffix}"
    assert np.array_equal(stacks.read_image(images), image[[2, 5]])
    assert np.array_equal(stacks.read_labels(written), labels[[2, 5]])


def test_numbers_have_as_many_digits_as_the_highest_one_needs(tmp_path):
    record = {"file_format": "numbered PNGs", "image_dtype": "uint8", "slices": [5, 12345]}
    names = [path.name for path in export.export_files(tmp_path, record)]
    assert names == ["00005.png", "12345.png"] * 2


FORMS = pytest.mark.parametrize("name", ["e", "slices", "e.tif"])


def write(target, labels):
    how = png() if target.name == "slices" else settings()
    export.export_training_labels(noise(), labels, [1, 7], how, target)


def read(target):
    """Image and labels, as they are read by who knows their names only."""
    if target.suffix:
        return stacks.read_image(target.with_name("e-images.tif")), stacks.read_labels(target)
    suffix = "" if target.name == "slices" else ".tif"
    return stacks.read_image(target / f"images{suffix}"), stacks.read_labels(target / f"labels{suffix}")


@needs_fork
@pytest.mark.parametrize(
    "name", ["e", *(pytest.param(one, marks=pytest.mark.slow) for one in ("slices", "e.tif"))]
)
def test_an_export_that_is_killed_between_any_two_calls_leaves_the_old_or_the_new_one(tmp_path, name):
    target, older = tmp_path / "here" / name, complete_labels()
    target.parent.mkdir()
    (target.parent / "somebody.txt").write_text("keep")
    newer, seen = (3 - older).astype(np.uint8), []
    write(target, older)
    for _ in kills(lambda: write(target, newer)):
        images, labels = read(target)
        assert np.array_equal(images, noise()[[1, 7]])
        seen.append(bool(np.array_equal(labels, newer[[1, 7]])))
        assert seen[-1] or np.array_equal(labels, older[[1, 7]])
        assert (target.parent / "somebody.txt").read_text() == "keep"
        if seen[-1]:
            write(target, older)
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


@needs_fork
@FORMS
def test_an_export_that_another_process_writes_is_not_written(tmp_path, name):
    target = tmp_path / name
    with another_process(lambda: OutputLock(target)) as process:
        with pytest.raises(UserError, match=rf"is being written by another emseg \(process {process}\)"):
            write(target, complete_labels())
        assert [path.name for path in tmp_path.iterdir()] == [f".{name}.emseg-lock"]
    write(target, complete_labels())


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("inner", ["images", "labels", "images/0001.png", "export.json"])
def test_an_export_in_which_something_is_a_link_is_not_replaced(tmp_path, inner):
    target, outside = tmp_path / "slices", tmp_path / "outside"
    write(target, complete_labels())
    shutil.move(target / inner, outside)
    (target / inner).symlink_to(outside)
    before = contents(tmp_path)
    with pytest.raises(UserError, match="is not an empty folder or an earlier export"):
        write(target, complete_labels())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("stranger", ["mine/images/0001.png", "images/0001.txt"])
def test_files_that_only_look_like_slices_of_an_export_are_not_removed(tmp_path, stranger):
    target = tmp_path / "slices"
    write(target, complete_labels())
    (target / stranger).parent.mkdir(parents=True, exist_ok=True)
    (target / stranger).write_text("mine")
    with pytest.raises(UserError, match="is not an empty folder or an earlier export"):
        write(target, complete_labels())
    assert (target / stranger).read_text() == "mine"


def test_files_beside_the_record_of_something_else_are_not_replaced(tmp_path):
    (tmp_path / "e.tif").write_text("mine")
    (tmp_path / "e.json").write_text(json.dumps({"software": "emseg-napari evaluate"}))
    with pytest.raises(UserError, match="not an earlier export"):
        write(tmp_path / "e.tif", complete_labels())
    assert (tmp_path / "e.tif").read_text() == "mine"


@pytest.mark.parametrize("name", ["e", "e.tif"])
def test_an_export_lies_where_its_first_slice_lies_in_the_image(tmp_path, name):
    voxel = Voxel((40.0, 4.0, 4.0), "nanometer")
    labels = complete_labels()
    where = 100.0, 20.0, 8.0
    export.export_training_labels(noise(), labels, [3, 4, 5], settings(), tmp_path / name, voxel, where)
    files = ("e/images.tif", "e/labels.tif") if name == "e" else ("e-images.tif", "e.tif")
    for file in files:
        assert place_of_file(tmp_path / file) == (voxel, (220.0, 20.0, 8.0))
