"""Where images lie in space: read from every container, and written so that it is read again."""

import json
import math
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tensorstore
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.layout import Layout
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_levels, open_volume
from emseg_napari.io.pyramid import level_factors
from emseg_napari.io.stack_or_volume import place_of_file
from emseg_napari.io.stacks import write_stack
from emseg_napari.io.volume import Voxel

STACK = np.random.default_rng(0).integers(0, 255, (3, 12, 16), np.uint8)
NM = Voxel((40.0, 5.0, 4.0), "nanometer")
TRANSFORMS = "coordinateTransformations"
SCALE, MOVED = {"type": "scale", "scale": [40, 5, 4]}, {"type": "translation", "translation": [400, 50, -8]}


def ome(path, level=None, image=None, units=("nanometer",) * 3, order="zyx"):
    axes = [{"name": axis, "type": "space"} for axis in order]
    axes = [axis | ({"unit": unit} if unit else {}) for axis, unit in zip(axes, units, strict=True)]
    described = {"axes": axes, "datasets": [{"path": "0"} | ({} if level is None else {TRANSFORMS: level})]}
    described |= {} if image is None else {TRANSFORMS: image}
    root = zarr.create_group(path)
    root.attrs["ome"] = {"version": "0.5", "multiscales": [described]}
    root.create_array("0", data=STACK.transpose(["zyx".index(axis) for axis in order]))
    return path


HALVED = {"type": "scale", "scale": [1, 0.5, 2]}


@pytest.mark.parametrize(
    ("level", "image", "size", "origin"),
    [
        ([SCALE, MOVED], None, (40, 5, 4), (400, 50, -8)),
        ([SCALE], [MOVED], (40, 5, 4), (400, 50, -8)),
        ([SCALE, MOVED], [HALVED, MOVED], (40, 2.5, 8), (800, 75, -24)),
        ([{"type": "identity"}, SCALE], [{"type": "identity"}], (40, 5, 4), (0, 0, 0)),
        ([MOVED, SCALE], None, (40, 5, 4), (16000, 250, -32)),
    ],
)
def test_scales_and_translations_of_ome_zarr_are_applied_in_order(tmp_path, level, image, size, origin):
    volume = open_volume(ome(tmp_path / "a.zarr", level, image))
    assert volume.voxel == Voxel(size, "nanometer")
    assert volume.origin == origin
    assert volume.description.origin == origin


def test_places_follow_the_order_and_the_units_of_the_axes(tmp_path):
    turned = [{"type": "scale", "scale": [4, 5, 0.04]}, {"type": "translation", "translation": [-8, 50, 0.4]}]
    units = ("nanometer", "nanometer", "micrometer")
    volume = open_volume(ome(tmp_path / "a.zarr", turned, units=units, order="xyz"))
    assert np.array_equal(volume[...], STACK)
    assert volume.voxel.size == pytest.approx((40, 5, 4))
    assert volume.origin == pytest.approx((400, 50, -8))


def test_without_a_unit_the_place_is_in_voxels(tmp_path):
    volume = open_volume(ome(tmp_path / "a.zarr", [SCALE, MOVED], units=(None,) * 3))
    assert (volume.voxel, volume.origin) == (None, (10, 10, -2))
    assert "40 x 5 x 4 is stated in no unit" in volume.description.notes[0]


@pytest.mark.parametrize(
    "step", [{"type": "scale", "path": "x"}, {"type": "affine", "affine": [[1]]}, {"type": 3}]
)
def test_a_transformation_that_is_not_read_is_said_and_gives_no_size(tmp_path, step):
    volume = open_volume(ome(tmp_path / "a.zarr", [SCALE, step]))
    assert (volume.voxel, volume.origin) == (None, (0, 0, 0))
    assert "its size and place are not known" in volume.description.notes[0]


def image_of(dataset, **more):
    return {"multiscales": [{"datasets": [dataset], **more}]}


def scaled_by(scale):
    return image_of({"path": "0", TRANSFORMS: [{"type": "scale", "scale": scale}]})


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"multiscales": ["x"]}, "multiscales: 'x'"),
        ({"multiscales": "x"}, "multiscales: 'x'"),
        ({"multiscales": [{"datasets": []}]}, r"datasets: \[\]"),
        (image_of({}), "path of a dataset: None"),
        (image_of({"path": 7}), "path of a dataset: 7"),
        (image_of({"path": "0"}, axes=[{"type": "space"}]), "axes: {'type'"),
        (image_of({"path": "0"}, axes=3), "axes: 3"),
        (image_of({"path": "0"}, axes=[{"name": "x"}]), r"names 1 axes \(x\), but has 3"),
        (image_of({"path": "0", TRANSFORMS: "?"}), r"coordinateTransformations: '\?'"),
        (scaled_by([1, 2]), "a scale of 2 numbers for 3 axes"),
        (scaled_by([1, 2, "a"]), "scale: .*'a'"),
    ],
)
def test_malformed_ome_metadata_name_the_file_and_the_fault(tmp_path, image, words):
    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("0", data=STACK)
    root.attrs["ome"] = {"version": "0.5", **image}
    with pytest.raises(UserError, match=rf"^a\.zarr .*{words}"):
        open_levels(tmp_path / "a.zarr")


@pytest.mark.parametrize("path", ["../b.zarr", "..", "x/../../b.zarr", "{}", ".", "0/./1", "a\\b", "/0"])
def test_levels_that_lead_out_of_an_ome_zarr_are_refused(tmp_path, path):
    zarr.create_array(tmp_path / "b.zarr", data=STACK)
    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("0", data=STACK)
    levels = [{"path": "0"}, {"path": path.format(tmp_path / "b.zarr")}]
    root.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": levels}]}
    for opened in (tmp_path / "a.zarr", tmp_path / "a.zarr/0"):
        with pytest.raises(
            UserError, match=r"^a\.zarr states .* as the path of a dataset, which does not lie in it"
        ):
            open_levels(opened)


def test_levels_that_are_links_out_of_an_ome_zarr_are_refused(tmp_path):
    zarr.create_array(tmp_path / "b.zarr", data=STACK)
    path = ome(tmp_path / "a.zarr")
    (path / "0/zarr.json").unlink()
    shutil.rmtree(path / "0")
    (path / "0").symlink_to(tmp_path / "b.zarr")
    for opens in (open_levels, open_volume):
        with pytest.raises(UserError, match=r"a\.zarr has a level 0 that is a link to another place"):
            opens(path)


# -- other containers ---------------------------------------------------------------------


def test_resolution_and_offset_of_cremi_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("volumes/raw", data=STACK)
        made.attrs.update({"resolution": [40.0, 5, 4], "offset": [400.0, 50, -8]})
    made = zarr.create_array(tmp_path / "a.zarr", data=STACK)
    made.attrs.update({"resolution": [40, 5, 4], "offset": [400, 50, -8]})
    for name in ("a.h5", "a.zarr"):
        volume = open_volume(tmp_path / name)
        assert (volume.voxel, volume.origin) == (NM, (400, 50, -8))


@pytest.mark.parametrize("order", ["zyx", "xyz", "czyx"])
def test_axes_sizes_and_units_of_funlib_are_read(tmp_path, order):
    stack = STACK[None] if order[0] == "c" else STACK.transpose(["zyx".index(axis) for axis in order])
    names = [axis.replace("c", "c^") for axis in order]
    space = [axis for axis in order if axis != "c"]
    attributes = {
        "axis_names": names,
        "units": [{"z": "um"}.get(axis, "nm") for axis in space],
        "voxel_size": [{"z": 0.04, "y": 5, "x": 4}[axis] for axis in space],
        "offset": [{"z": 0.4, "y": 50, "x": -8}[axis] for axis in space],
    }
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=stack).attrs.update(attributes)
    zarr.create_array(tmp_path / "a.zarr", data=stack).attrs.update(attributes)
    for name in ("a.h5", "a.zarr"):
        volume = open_volume(tmp_path / name)
        np.testing.assert_array_equal(volume[...], STACK)
        assert (volume.voxel.size, volume.voxel.unit) == (pytest.approx(NM.size), NM.unit)
        assert volume.origin == pytest.approx((400, 50, -8))


def test_a_size_without_a_unit_in_an_attribute_is_said(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=STACK).attrs["voxel_size"] = [40, 5, 4]
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.voxel is None
    assert "40 x 5 x 4 is stated in no unit" in volume.description.notes[0]


def test_a_size_without_a_unit_does_not_hide_one_that_has_it(tmp_path):
    attributes = {"voxel_size": [40, 5, 4], "element_size_um": [0.04, 0.005, 0.004]}
    zarr.create_array(tmp_path / "a.zarr", data=STACK).attrs.update(attributes)
    voxel = open_volume(tmp_path / "a.zarr").voxel
    assert (voxel.size, voxel.unit) == (pytest.approx((0.04, 0.005, 0.004)), "micrometer")


def test_sizes_of_ilastik_are_read_with_its_units(tmp_path):
    sizes = {"z": 0.04, "y": 0.005, "x": 4, "c": 0}
    tags = {"axes": [{"key": axis, "resolution": sizes[axis]} for axis in "xyzc"]}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("exported_data", data=STACK.T[..., None])
        made.attrs["axistags"] = json.dumps(tags)
        made.attrs["axis_units"] = json.dumps({"z": "\u03bcm", "y": "um", "x": "nm"})
    assert open_volume(tmp_path / "a.h5").voxel.size == pytest.approx((40, 5, 4))


@pytest.mark.parametrize("stated", [[40, 5], "thin", [40, 5, 0], [40, 5, float("nan")], 3, ["a", "b", "c"]])
def test_a_resolution_that_is_no_size_is_said(tmp_path, stated):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("raw", data=STACK)
        made.attrs["resolution"] = stated
        made.attrs["offset"] = "there"
    volume = open_volume(tmp_path / "a.h5")
    assert (volume.voxel, volume.origin) == (None, (0, 0, 0))
    assert "no size of a voxel is known" in volume.description.notes[0]


def n5(folder, step=1, **attributes):
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(folder)}}
    part = STACK[:, ::step, ::step]
    tensorstore.open(spec, create=True, dtype="uint8", shape=part.shape[::-1]).result()[...] = part.T
    file = folder / "attributes.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | attributes))


def test_a_coarser_level_of_n5_lies_half_a_voxel_further(tmp_path):
    for level, step in enumerate((1, 2)):
        factors = {"downsamplingFactors": [step, step, 1]} if step > 1 else {}
        n5(tmp_path / f"a.n5/raw/s{level}", step, **factors)
    group = {"pixelResolution": {"unit": "nm", "dimensions": [4, 5, 40]}, "offset": [-8, 50, 400]}
    (tmp_path / "a.n5/raw/attributes.json").write_text(json.dumps(group))
    fine, coarse = open_levels(tmp_path / "a.n5")
    assert (fine.voxel, fine.origin) == (NM, (400, 50, -8))
    assert (coarse.voxel.size, coarse.origin) == ((40, 10, 8), (400, 52.5, -6))


def test_a_transform_of_cosem_and_sizes_with_units_are_read_from_n5(tmp_path):
    transform = {"axes": list("zyx"), "units": ["um", "nm", "nm"]}
    n5(tmp_path / "a.n5/x", transform=transform | {"scale": [0.04, 5, 4], "translate": [0.4, 50, -8]})
    n5(tmp_path / "b.n5/x", axes=list("xyz"), units=["nm", "nm", "um"], resolution=[4, 5, 0.04])
    for name, origin in (("a.n5", (400, 50, -8)), ("b.n5", (0, 0, 0))):
        volume = open_volume(tmp_path / name)
        assert volume.voxel.size == pytest.approx((40, 5, 4))
        assert volume.origin == pytest.approx(origin)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pixelResolution": {"dimensions": [4, 5]}},
        {"pixelResolution": {"unit": 3, "dimensions": "x"}},
        {"pixelResolution": [4, 5, None]},
        {"transform": {"scale": [1]}},
        {"transform": {"axes": ["z", "y", "x"], "scale": ["a", 1, 1], "translate": {}}},
        {"pixelResolution": {"unit": "furlong", "dimensions": [4, 5, 40]}},
    ],
)
def test_sizes_of_n5_that_are_not_understood_are_said(tmp_path, attributes):
    n5(tmp_path / "a.n5/x", **attributes)
    volume = open_volume(tmp_path / "a.n5")
    assert (volume.voxel, volume.origin) == (None, (0, 0, 0))
    assert "no size of a voxel is known" in volume.description.notes[0]


# -- our own files ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("voxel", [NM, None])
def test_an_output_lies_where_it_was_put_and_each_coarser_level_in_the_middle(tmp_path, version, voxel):
    origin = (400.0, 50.0, -8.0)
    shard = (1, 16, 16) if version == "0.5" else None
    layout = Layout((2, 40, 40), "uint8", (1, 16, 16), shard, voxel, version, origin=origin)
    output = VolumeOutput.prepare(tmp_path / "a.zarr", layout, {"software": "x"})
    for block in output.missing():
        output.write(block, np.ones(block.shape, np.uint8))
    output.finish()
    assert VolumeOutput(output.path).layout.origin == origin
    assert open_volume(output.path).origin == origin
    size = voxel.size if voxel else (1, 1, 1)
    for level, factor in enumerate(level_factors(layout)):
        place = [o + s * (f - 1) / 2 for o, s, f in zip(origin, size, factor, strict=True)]
        unit = (1, 1, 1) if voxel else factor  # without one it is in the level's own voxels
        wanted = [one / f for one, f in zip(place, unit, strict=True)]
        assert open_volume(output.path / str(level)).origin == pytest.approx(wanted)
    VolumeOutput.prepare(tmp_path / "a.zarr", layout, {"software": "x"})  # is resumed
    with pytest.raises(UserError, match="begun with other choices: the image was"):
        VolumeOutput.prepare(tmp_path / "a.zarr", replace(layout, origin=(0, 0, 0)), {"software": "x"})


@pytest.mark.parametrize("voxel", [NM, None])
def test_a_tiff_file_of_ours_lies_where_its_record_says(tmp_path, voxel):
    write_stack(tmp_path / "a.tif", STACK, {"slices": [4, 7]}, voxel, (160.0, 0.0, -2.5))
    assert place_of_file(tmp_path / "a.tif") == (voxel, (160, 0, -2.5))
    write_stack(tmp_path / "a.tif", STACK, {"slices": [4, 7]}, voxel)  # as earlier versions did
    assert place_of_file(tmp_path / "a.tif") == (voxel, (160 if voxel else 4, 0, 0))
    for slices in ("x", [0], [1, 2, 3], None, [math.inf, 1], {"a": 1}):
        write_stack(tmp_path / "a.tif", STACK, {"slices": slices, "origin": ["a"]}, voxel)
        assert place_of_file(tmp_path / "a.tif") == (voxel, (0, 0, 0))


def test_groups_that_link_to_themselves_are_looked_into_once(tmp_path):
    n5(tmp_path / "a.n5/x/y")
    zarr.create_group(tmp_path / "a.zarr").create_array("x/y", data=STACK)
    for name in ("a.n5", "a.zarr"):
        for link in ("one", "two", "three"):
            (tmp_path / name / "x" / link).symlink_to(tmp_path / name)
        assert np.array_equal(open_volume(tmp_path / name)[...], STACK)
