import pickle
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.core.blockwise import Scheduler
from emseg_napari.core.jobs import (
    BlockDone,
    BlockFailed,
    Cancelled,
    Event,
    JobContext,
    Message,
    Progress,
    UserError,
)
from emseg_napari.core.locks import OutputLock
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.volume import BrokenChunk, Volume, Voxel, volume_of
from emseg_napari.segmentation import intermediate, volume
from emseg_napari.segmentation.agglomeration import outlined
from emseg_napari.segmentation.boundary import Boundary
from emseg_napari.segmentation.intermediate import IntermediateFiles
from emseg_napari.segmentation.linking import link
from emseg_napari.segmentation.stack import cells_of_slice, segment_stack
from emseg_napari.segmentation.tiles import CUT, Cut
from emseg_napari.segmentation.volume import Destination, VolumeCells, segment_volume
from emseg_napari.settings import CellSettings
from helpers.slow import slow_case

SMALL = CellSettings(size_px=12, neck_px=1.0)
# Every slice of 60 x 72 pixels in six tiles.
TILES = Cut(whole_px=400, tile_px=24, margin_px=16)


def field(shape: tuple[int, ...], seed: int, sigma: float = 2.0) -> np.ndarray:
    """Smooth random boundary probability: uint8 (z, y, x)."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), (0.7, sigma, sigma))
    low, high = noise.min(), noise.max()
    return np.round(255 * (noise - low) / max(high - low, 1e-9)).astype(np.uint8)


def segmented(source: Any, path: Path, how: CellSettings = SMALL, cut: Cut = CUT, **more: Any) -> VolumeCells:
    boundary = source if isinstance(source, Boundary) else Boundary(volume_of(source))
    return segment_volume(boundary, Destination(path, {"probability": "p"}, cut=cut), how, **more)


def cells(*arguments: Any, **more: Any) -> np.ndarray:
    return segmented(*arguments, **more).output[:]


def in_memory(probability: np.ndarray, how: CellSettings, cut: Cut) -> np.ndarray:
    """The cells of slices that are cut, by the functions for arrays."""
    slices = [cells_of_slice(slice_ / np.float32(255), how, cut=cut) for slice_ in probability]
    before = np.cumsum([0, *(one.max() for one in slices)])
    numbered = np.stack([one + last for one, last in zip(slices, before[:-1], strict=True)])
    numbered = link(numbered, how) if how.link else numbered
    return np.stack([outlined(one) for one in numbered]) if how.outlines else numbered


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class Broken:
    """An array of which some slices, or parts of them, cannot be read."""

    def __init__(self, array: np.ndarray, *broken: tuple[int, int, int]) -> None:
        self.array, self.broken = array, broken
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, (1, 24, 24)

    def read(self, window: tuple[slice, slice, slice]) -> np.ndarray:
        for index in self.broken:
            starts = [i * c for i, c in zip(index, self.chunks, strict=True)]
            inside = zip(starts, self.chunks, window, strict=True)
            if all(s < w.stop and w.start < s + c for s, c, w in inside):
                raise BrokenChunk(f"chunk {index} of it is damaged.", index)
        return self.array[window]


# -- the same as in memory -----------------------------------------------------------------

some_settings = st.builds(
    CellSettings,
    size_px=st.integers(0, 40),
    neck_px=st.floats(0.25, 3),
    merge_threshold=st.floats(0.2, 0.9),
    link=st.booleans(),
    outlines=st.booleans(),
    overlap=st.sampled_from([0.01, 0.1, 0.25, 0.5]),
    gap_slices=st.integers(0, 2),
)


@st.composite
def stacks(draw: st.DrawFn) -> np.ndarray:
    """Small stacks with few distinct values, so that many overlaps and borders are equal."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(5, 20)))
    steps = draw(st.sampled_from([1, 51, 85]))
    return field(shape, draw(st.integers(0, 999)), draw(st.sampled_from([0.0, 1.0, 2.0]))) // steps * steps


@settings(max_examples=40)
@given(stacks(), some_settings)
def test_cells_are_those_of_the_same_array_in_memory(tmp_path_factory, probability, how):
    path = tmp_path_factory.mktemp("out") / "cells.zarr"
    np.testing.assert_array_equal(cells(probability, path, how), segment_stack(probability, how))


@settings(max_examples=12)
@given(stacks(), some_settings, st.integers(0, 12))
def test_slices_that_are_cut_have_the_cells_that_they_have_in_memory(
    tmp_path_factory, probability, how, margin_px
):
    cut = Cut(whole_px=30, tile_px=7, margin_px=margin_px)
    path = tmp_path_factory.mktemp("out") / "cells.zarr"
    found = cells(probability, path, how, cut)
    np.testing.assert_array_equal(found, in_memory(probability, how, cut))


@pytest.mark.parametrize("link_", [False, True])
def test_float_probability_and_labels_give_what_they_give_in_memory(tmp_path, link_):
    how = SMALL.model_copy(update={"link": link_})
    probability = field((3, 60, 72), 1)
    expected = segment_stack(probability, how)
    as_float = probability / np.float32(255)
    np.testing.assert_array_equal(cells(as_float, tmp_path / "f.zarr", how), expected)
    inverted = Boundary(volume_of(255 - probability), "interior")
    np.testing.assert_array_equal(cells(inverted, tmp_path / "i.zarr", how), expected)
    labels = np.where(probability > 128, 0, 255).astype(np.uint8)
    expected = segment_stack(255 - labels, how)
    found = cells(Boundary(volume_of(labels), "labels"), tmp_path / "l.zarr", how)
    np.testing.assert_array_equal(found, expected)


# -- slices that are cut -------------------------------------------------------------------


def test_tiles_and_what_they_see_can_be_counted_by_hand():
    cut = Cut(whole_px=20, tile_px=3, margin_px=1)
    assert list(cut.tiles((4, 5)).values()) == [np.s_[0:4, 0:5]]
    tiles = cut.tiles((3, 7))
    assert tiles == {(0, 0): np.s_[0:3, 0:3], (0, 1): np.s_[0:3, 3:6], (0, 2): np.s_[0:3, 6:7]}
    seen = [cut.seen(tile, (3, 7)) for tile in tiles.values()]
    assert seen == [np.s_[0:3, 0:4], np.s_[0:3, 2:7], np.s_[0:3, 5:7]]


@pytest.mark.parametrize("seed", range(4))
def test_tiles_that_see_enough_give_the_cells_of_the_slice_as_a_whole(seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((120, 150)), 3.0)
    probability = np.clip((noise - 0.4) / 0.2, 0, 1).astype(np.float32)
    how = SMALL.model_copy(update={"seed_below": 0.45, "merge_threshold": 0.5})
    whole = cells_of_slice(probability, how)
    assert whole.max() > 20
    for tile_px in (30, 47):
        cut = Cut(whole_px=400, tile_px=tile_px, margin_px=60)
        np.testing.assert_array_equal(cells_of_slice(probability, how, cut=cut), whole)


@settings(max_examples=20)
@given(stacks(), some_settings, st.integers(0, 3))
def test_cells_of_tiles_hang_together_whatever_the_margin(probability, how, margin_px):
    cut = Cut(whole_px=20, tile_px=5, margin_px=margin_px)
    for slice_ in probability:
        found = cells_of_slice(slice_ / np.float32(255), how, cut=cut)
        assert set(np.unique(found)) == set(range(1, found.max() + 1))
        for number in range(1, found.max() + 1):
            assert ndimage.label(found == number)[1] == 1


def test_an_interior_larger_than_tile_and_margin_stays_one_cell():
    probability = np.zeros((200, 300), np.float32)
    probability[:, 140:143] = 0.9
    found = cells_of_slice(probability, CellSettings(), cut=Cut(whole_px=99, tile_px=32, margin_px=8))
    assert (found[:, :140] == 1).all()
    assert (found[:, 143:] == 2).all()


def test_a_real_slice_cut_into_tiles_has_its_own_cells(tissue):
    labels = tissue[1]
    blurred = ndimage.gaussian_filter((labels[0] == 1).astype(np.float32), 1.0)
    whole = cells_of_slice(blurred, CellSettings())
    cut = Cut(whole_px=0, tile_px=60, margin_px=32)
    found = cells_of_slice(blurred, CellSettings(), cut=cut)
    np.testing.assert_array_equal(found, whole)


# -- interrupted and resumed -----------------------------------------------------------


@pytest.fixture(params=[CUT, TILES], ids=["whole", "tiles"])
def cut(request: pytest.FixtureRequest) -> Cut:
    return request.param


LINKED = SMALL.model_copy(update={"link": True, "outlines": True})


def stopping_after(events: int) -> JobContext:
    seen: list[Event] = []
    return JobContext(report=seen.append, should_stop=lambda: len(seen) >= events)


def broken_off(probability: np.ndarray, path: Path, cut: Cut) -> Iterator[int]:
    """Go on with a segmentation, and break it off again and again, later every time."""
    for events in (1, 4, 9, 15, 24, 40):
        try:
            segmented(probability, path, LINKED, cut, context=stopping_after(events))
        except Cancelled:
            yield events


def test_a_segmentation_that_was_broken_off_goes_on_to_the_same_bytes(tmp_path, cut):
    probability = field((4, 60, 72), 2)
    unbroken, broken = tmp_path / "a" / "cells.zarr", tmp_path / "b" / "cells.zarr"
    unbroken.parent.mkdir()
    broken.parent.mkdir()
    segmented(probability, unbroken, LINKED, cut)
    assert len(list(broken_off(probability, broken, cut))) >= 2
    segmented(probability, broken, LINKED, cut)
    assert files_of(unbroken) == files_of(broken)
    assert [p.name for p in broken.parent.iterdir()] == ["cells.zarr"]


def test_empty_files_that_a_crash_left_are_done_again(tmp_path, cut):
    probability = field((4, 60, 72), 2)
    unbroken, broken = tmp_path / "a" / "cells.zarr", tmp_path / "b" / "cells.zarr"
    unbroken.parent.mkdir()
    broken.parent.mkdir()
    segmented(probability, unbroken, LINKED, cut)
    emptied = set()
    for _ in broken_off(probability, broken, cut):
        for path in broken.parent.rglob("*"):
            is_new = path.parent.name + path.name not in emptied and "zarr.json" not in path.name
            if is_new and path.is_file() and not path.name.startswith("."):
                emptied.add(path.parent.name + path.name)
                path.write_bytes(b"")
    assert len(emptied) > 8
    segmented(probability, broken, LINKED, cut)
    assert files_of(unbroken) == files_of(broken)


def test_what_was_done_is_not_done_again(tmp_path, cut):
    path = tmp_path / "cells.zarr"
    probability = field((12, 60, 72), 2)
    with pytest.raises(Cancelled):
        segmented(probability, path, cut=cut, context=stopping_after(1))
    fragments = VolumeOutput(tmp_path / ".cells.zarr.cells" / "fragments.zarr")
    left, stamps = len(fragments.missing()), {p: p.stat().st_mtime_ns for p in fragments.path.rglob("*")}
    assert 0 < left < len(fragments.blocks)
    with pytest.raises(Cancelled):
        segmented(probability, path, cut=cut, context=stopping_after(1))
    assert len(fragments.missing()) < left
    blocks = [p for p in stamps if p.is_file() and p.parent != fragments.path and "zarr" not in p.name]
    assert blocks
    assert all(p.stat().st_mtime_ns == stamps[p] for p in blocks)


def test_a_finished_output_is_left_as_it_is(tmp_path):
    path, probability = tmp_path / "cells.zarr", field((2, 30, 30), 3)
    segmented(probability, path)
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    assert segmented(probability, path).cells is None
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


def test_cells_of_a_probability_that_was_changed_are_not_mixed_with_earlier_ones(tmp_path):
    path, probability = tmp_path / "cells.zarr", field((2, 30, 30), 3)
    segmented(probability, path)
    with pytest.raises(UserError, match="the probability has other values than then"):
        segmented(np.concatenate([probability[:1], 255 - probability[1:]]), path)


def test_a_probability_that_is_changed_while_it_is_segmented_is_reported(tmp_path):
    probability = field((2, 30, 30), 3)

    def report(event: Event) -> None:
        if isinstance(event, Progress):
            probability[:] = 255 - field((2, 30, 30), 3)

    with pytest.raises(UserError, match=r"was changed while it was read, so that .*cells.zarr is made of"):
        segmented(probability, tmp_path / "cells.zarr", context=JobContext(report=report))
    shutil.rmtree(tmp_path / "cells.zarr")  # as the sentence says
    segmented(probability, tmp_path / "cells.zarr")


def test_other_settings_for_an_earlier_output_are_refused_by_name(tmp_path):
    segmented(field((2, 30, 30), 3), tmp_path / "cells.zarr")
    with pytest.raises(UserError, match=r"'Link through the slices' was off and is on; 'Outlines' was off"):
        segmented(field((2, 30, 30), 3), tmp_path / "cells.zarr", LINKED)


# -- bad input -----------------------------------------------------------------------------


def volume_with(array: np.ndarray, *broken: tuple[int, int, int]) -> Boundary:
    return Boundary(Volume("p.zarr", "", Broken(array, *broken)))


@pytest.mark.parametrize("link_", [False, True])
def test_slices_that_cannot_be_read_are_told_and_the_rest_is_finished(tmp_path, link_):
    how, probability = SMALL.model_copy(update={"link": link_}), field((4, 24, 24), 4)
    events: list[Event] = []
    result = segmented(
        volume_with(probability, (1, 0, 0)),
        tmp_path / "c.zarr",
        how,
        context=JobContext(report=events.append),
    )
    assert [failure.index for failure in result.failures] == [(1, 0, 0)]
    assert "chunk (1, 0, 0)" in result.failures[0].text
    assert [e.index for e in events if isinstance(e, BlockFailed)] == [(1, 0, 0)]
    known = segment_stack(np.delete(probability, 1, axis=0), SMALL)
    expected = np.insert(known, 1, 0, axis=0)
    np.testing.assert_array_equal(result.output[:], link(expected, how) if link_ else expected)
    assert [block.index for block in result.output.missing()] == [(1, 0, 0)]


def test_a_broken_tile_costs_its_blocks_only_and_is_done_when_it_can_be_read(tmp_path):
    probability, path = field((3, 60, 72), 5), tmp_path / "cells.zarr"
    cut = Cut(whole_px=400, tile_px=24, margin_px=0)
    first = segmented(volume_with(probability, (1, 1, 2)), path, LINKED, cut)
    assert [failure.index for failure in first.failures] == [(1, 1, 2)]
    assert first.output[0].any()
    assert first.output[2].any()
    assert first.output.missing()  # a block holds all tiles of such a small slice
    second = segmented(volume_with(probability), path, LINKED, cut)
    assert second.failures == ()
    np.testing.assert_array_equal(second.output[:], in_memory(probability, LINKED, cut))
    assert not (tmp_path / ".cells.zarr.cells").exists()


def test_a_slice_that_is_going_to_be_predicted_anew_waits_as_a_whole(tmp_path):
    probability = field((3, 60, 72), 5)
    record = {"slices": [20, 23], "levels_of_a_part": {"21": {"middle": 1.0, "scale": 2.0}}}
    predicted = VolumeOutput.prepare(tmp_path / "p.zarr", Layout(probability.shape, "uint8"), record)
    for block in predicted.blocks:
        predicted.write(block, probability[block.window])
    boundary = Boundary(open_volume(tmp_path / "p.zarr"))
    cut = Cut(whole_px=400, tile_px=24, margin_px=0)
    result = segmented(boundary, tmp_path / "cells.zarr", SMALL, cut)
    assert {failure.index for failure in result.failures} == {(1, j, i) for j in range(3) for i in range(3)}
    assert "predict it again first" in result.failures[0].text
    assert result.output[:].any(axis=(1, 2)).tolist() == [True, False, True]
    predicted.update_record({"levels_of_a_part": {}})
    assert segmented(boundary, tmp_path / "cells.zarr", SMALL, cut).failures == ()


def test_values_that_are_no_probability_fail_by_slice(tmp_path):
    probability = field((3, 24, 24), 6) / np.float32(255)
    probability[2, 3, 4] = np.nan
    result = segmented(probability, tmp_path / "cells.zarr")
    assert [failure.index for failure in result.failures] == [(2, 0, 0)]
    assert "nan in slice 2" in result.failures[0].text
    assert result.output[:2].any(axis=(1, 2)).all()


def test_volumes_that_hold_something_else_are_refused_at_once():
    with pytest.raises(UserError, match="int32 values"):
        Boundary(volume_of(np.zeros((1, 4, 4), np.int32)))
    with pytest.raises(UserError, match="which are not labels"):
        Boundary(volume_of(np.zeros((1, 4, 4), np.float32)), "labels")


def test_labels_with_other_values_fail_with_the_values_to_use(tmp_path):
    labels = np.full((1, 24, 24), 128, np.uint8)
    result = segmented(Boundary(volume_of(labels, "l.zarr"), "labels"), tmp_path / "cells.zarr")
    assert result.failures[0].text.startswith("l.zarr holds 128 in slice 0")


# -- what is written and told --------------------------------------------------------------


def test_size_of_voxels_record_and_settings_are_kept(tmp_path):
    voxel = Voxel((50.0, 4.0, 4.0), "nanometer")
    result = segmented(Boundary(volume_of(field((2, 30, 30), 3), voxel=voxel)), tmp_path / "cells.zarr")
    assert result.output.voxel == voxel
    assert result.output.record["probability"] == "p"
    assert CellSettings(**result.output.record["settings"]) == SMALL
    assert result.output.layout.labels
    assert result.cells == result.output[:].max()


def test_a_destination_may_be_named_by_a_text(tmp_path):
    boundary = Boundary(volume_of(field((2, 30, 30), 3)))
    result = segment_volume(boundary, Destination(str(tmp_path / "cells.zarr"), {}), SMALL)
    assert (result.output.path, result.cells) == (tmp_path / "cells.zarr", result.output[:].max())


def test_a_single_cell_is_told_of_and_progress_ends_at_one(tmp_path):
    probability = np.zeros((2, 30, 30), np.uint8)
    probability[0, 14:16] = 255
    events: list[Event] = []
    segmented(probability, tmp_path / "cells.zarr", context=JobContext(report=events.append))
    assert [e.text for e in events if isinstance(e, Message)] == [
        "Slice 1 is one single cell: it has no boundary, or only boundary."
    ]
    fractions = [e.fraction for e in events if isinstance(e, Progress)]
    assert fractions == sorted(fractions)
    assert {e.block.index for e in events if isinstance(e, BlockDone)} == {(0, 0, 0), (1, 0, 0)}


def test_workers_write_the_same_bytes(tmp_path):
    pytest.importorskip("distributed")
    source = VolumeOutput.prepare(tmp_path / "p.zarr", Layout((3, 60, 72), "uint8"))
    for block in source.blocks:
        source.write(block, field((3, 60, 72), 7)[block.window])
    from emseg_napari.io.formats.zarr import open_zarr

    boundary = Boundary(open_zarr(tmp_path / "p.zarr"))
    results = []
    for name, scheduler in (("here", Scheduler()), ("there", Scheduler("local", 2))):
        (tmp_path / name).mkdir()
        segmented(boundary, tmp_path / name / "cells.zarr", LINKED, TILES, scheduler=scheduler)
        results.append(files_of(tmp_path / name))
    assert results[0] == results[1]


def test_however_many_tiles_are_broken_they_do_not_travel_and_are_looked_up(tmp_path, monkeypatch):
    cut = Cut(whole_px=400, tile_px=24, margin_px=0)
    fragments = VolumeOutput.prepare(tmp_path / "f.zarr", Layout((200, 240, 240), "int32"), {})
    every = [(z, j, i) for z in range(200) for j in range(10) for i in range(10)]
    parts = IntermediateFiles(tmp_path, cut, fragments).without_tiles(every[::2])
    assert len(pickle.dumps(parts)) < 2000
    assert parts.broken == frozenset(every[::2])
    assert parts.without_tiles(()).broken == frozenset()
    assert set(parts.tiles(7)) == {(j, i) for z, j, i in every[1::2] if z == 7}
    assert list(cut.over((slice(24, 50), slice(0, 24)), (240, 240))) == [(1, 0), (2, 0)]
    # The list is read once, not for every tile.
    reads = []
    monkeypatch.setattr(intermediate, "load", lambda path: reads.append(path))
    for z in range(200):
        parts.tiles(z)
    assert reads == []


def test_outlines_go_on_over_the_faces_between_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(volume, "Layout", partial(Layout, chunk=(1, 16, 24)))
    how, probability = SMALL.model_copy(update={"outlines": True}), field((2, 60, 72), 1)
    boundary = Boundary(volume_of(probability))
    found = segment_volume(boundary, Destination(tmp_path / "c.zarr", {}, version="0.4"), how).output
    assert found.blocks.grid == (2, 4, 3)
    np.testing.assert_array_equal(found[:], segment_stack(probability, how))


@pytest.mark.parametrize("killed", ["", slow_case("before"), "halfway", slow_case("after")])
def test_numbering_anew_removes_cells_only_and_a_kill_meanwhile_is_made_good(tmp_path, monkeypatch, killed):
    """What a proofreader keeps in the same output stays, and all numbers are those of an unbroken run."""
    probability, real = field((3, 60, 72), 5), VolumeOutput.remove_blocks
    whole = segmented(probability, tmp_path / "whole.zarr", LINKED, TILES).output
    path = tmp_path / "cells.zarr"
    assert segmented(volume_with(probability, (1, 0, 0)), path, LINKED, TILES).failures
    note = path / "labels" / "proofread.json"
    note.parent.mkdir()
    note.write_text("mine")

    def remove_blocks(output):
        if killed == "halfway":
            output._files.remove(output.blocks.at((0, 0, 0)))
        if killed == "after":
            real(output)
        raise KeyboardInterrupt

    if killed:
        with monkeypatch.context() as patch:
            patch.setattr(VolumeOutput, "remove_blocks", remove_blocks)
            with pytest.raises(KeyboardInterrupt):
                segmented(probability, path, LINKED, TILES)
        assert note.read_text() == "mine"
    assert segmented(probability, path, LINKED, TILES).failures == ()
    assert note.read_text() == "mine"
    assert np.array_equal(VolumeOutput(path)[:], whole[:])
    left = files_of(path)
    del left["labels/proofread.json"]
    assert left.keys() == files_of(whole.path).keys()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cells.zarr", "whole.zarr"]


def test_cells_that_another_process_computes_are_not_computed_a_second_time(tmp_path):
    lock = OutputLock(tmp_path / "cells.zarr")
    with pytest.raises(UserError, match=r"cells\.zarr is being written by another emseg"):
        segmented(field((1, 24, 24), 0), tmp_path / "cells.zarr")
    lock.release()
    assert list(tmp_path.iterdir()) == []
    segmented(field((1, 24, 24), 0), tmp_path / "cells.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["cells.zarr"]


# -- deep shards ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", [SMALL, SMALL.model_copy(update={"outlines": True, "link": True})])
def test_deep_shards_hold_the_same_cells_in_fewer_files(tmp_path, how):
    probability = field((5, 60, 72), 3)
    deep = segmented(probability, tmp_path / "deep.zarr", how.model_copy(update={"shards": (2, 512, 512)}))
    flat = segmented(probability, tmp_path / "flat.zarr", how)
    np.testing.assert_array_equal(deep.output[:], flat.output[:])
    assert (len(deep.output.blocks), len(flat.output.blocks)) == (3, 5)


@pytest.mark.parametrize(
    ("shards", "version", "said"),
    [
        ((2, 500, 512), "0.5", "not a multiple"),
        ((6, 512, 512), "0.5", "larger than the output"),
        ((1, 512, 512), "0.4", "has no shards"),
    ],
)
def test_shards_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, shards, version, said):
    boundary = Boundary(volume_of(field((5, 60, 72), 3)))
    how = SMALL.model_copy(update={"shards": shards})
    with pytest.raises(UserError, match=said):
        segment_volume(boundary, Destination(tmp_path / "cells.zarr", {}, version=version), how)
    assert list(tmp_path.iterdir()) == []


def test_cells_with_other_shards_are_not_resumed(tmp_path):
    probability = field((5, 60, 72), 3)
    segmented(probability, tmp_path / "cells.zarr")
    with pytest.raises(UserError, match=r"use the former as 'Shards"):
        segmented(probability, tmp_path / "cells.zarr", SMALL.model_copy(update={"shards": (2, 512, 512)}))


def test_tables_of_a_deep_block_are_read_once_and_not_for_every_block(tmp_path, monkeypatch):
    read, load = Counter(), intermediate.load
    monkeypatch.setattr(volume, "Layout", partial(Layout, chunk=(1, 24, 24)))
    monkeypatch.setattr(volume, "CHUNK_PX", 24)

    def counted(path):
        read[path.parent.name, path.name] += 1
        return load(path)

    monkeypatch.setattr(intermediate, "load", counted)
    how = SMALL.model_copy(update={"shards": (20, 24, 24)})
    found = segmented(field((20, 60, 72), 3), tmp_path / "cells.zarr", how, TILES)
    assert len(found.output.blocks) == 9
    assert max(count for (table, _), count in read.items() if table == "numbers") == 1
    assert max(count for (table, _), count in read.items() if table == "cells") <= 2
