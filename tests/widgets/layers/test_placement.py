"""Whatever affine transformation an image layer has, all that is added over it lies on it."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points

from emseg_napari.annotation.session.store import Round, Session, load_session, save_session
from emseg_napari.core.jobs import PreviewReady, QuickLookReady, SlicePredicted, UserError
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.repair_preview import RepairPreview
from emseg_napari.widgets.evaluate.error_list import ErrorList
from emseg_napari.widgets.layers.labels_layer import add_labels, converted, history_of
from emseg_napari.widgets.layers.pixel_extent import differing_units, pixel_extent
from emseg_napari.widgets.layers.placement import (
    layer_transform,
    lie_together,
    placement_of,
    show_pixel,
    show_slice,
    shown_slice,
    slice_in_view,
    slice_transform,
    voxel_of_layer,
    zoom_to,
)
from emseg_napari.widgets.layers.proposal_layers import PredictionSource, ProposalLayers
from emseg_napari.widgets.layers.quick_look_layer import QuickLookLayer
from emseg_napari.widgets.layers.session_layers import session_layers
from emseg_napari.widgets.train.training_preview import TrainingPreview

SHAPE = (3, 8, 6)
IN_PLANE = {
    "rotated": {"rotate": 30},
    "sheared": {"shear": [0, 0, 0.4]},
    "sheared below": {"shear": np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 1]])},
    "affine": {"affine": np.array([[2, 0, 0, 5], [0, 1, 0.5, 6], [0, -0.5, 1, 7], [0, 0, 0, 1]])},
    "mirrored": {"scale": (-50, 4, -4)},
    "all": {
        "scale": (50, 4, 4),
        "translate": (7, 8, 9),
        "rotate": 30,
        "shear": [0, 0, 0.4],
        "affine": np.diag([1, 2, 3, 1]),
    },
}
UNITS = {"units": ("nanometer",) * 3}


@pytest.fixture(params=IN_PLANE, ids=str)
def turned(request):
    return IN_PLANE[request.param] | UNITS


@pytest.fixture
def viewer():
    return ViewerModel()


def lies_on(layer: Layer, image: Layer, pixel: tuple[int, ...] = (0, 0, 0)) -> bool:
    """Whether the last axes of a layer lie on those of the image, its first pixel on one of the image's."""
    axes = min(layer.ndim, image.ndim, 3)
    corners = np.indices((2,) * axes).reshape(axes, -1).T * 5
    on_image = [
        image.data_to_world((*(0,) * (image.ndim - axes), *corner + pixel[-axes:])) for corner in corners
    ]
    on_layer = [layer.data_to_world((*(0,) * (layer.ndim - axes), *corner)) for corner in corners]
    return bool(np.allclose(np.array(on_image)[:, -axes:], np.array(on_layer)[:, -axes:])) and (
        {str(unit) for unit in layer.units[-axes:]} == {str(unit) for unit in image.units[-axes:]}
    )


def last_axes(turned: dict, axes: int) -> dict:
    """The same transformation for an image of fewer or more axes."""
    return layer_transform(Image(np.zeros(SHAPE), **turned), axes)


@pytest.mark.parametrize("shape", [SHAPE, (1, *SHAPE), SHAPE[1:]], ids=["stack", "leading axis", "single"])
def test_all_that_is_added_over_an_image_lies_on_it(viewer, qapp, turned, shape):
    image = viewer.add_image(np.zeros(shape, np.uint8), name="image", **last_axes(turned, len(shape)))
    stack = (1,) * (3 - len(shape)) + shape[-3:]
    z = stack[0] - 1
    plane = np.full(stack[1:], 0.5, np.float32)

    mine = add_labels(viewer, np.zeros(shape, np.uint8), "mine", image)
    copy = converted(viewer, mine, np.zeros(stack, np.uint8))
    proposals = ProposalLayers(viewer, PredictionSource(image, stack, None, 0.5), None, True)  # type: ignore[arg-type]
    proposals.show(SlicePredicted(z, plane))
    probability = viewer.layers["image boundary probability"]
    for layer in (mine, copy, proposals.target, probability):
        assert lies_on(layer, image)

    look = QuickLookLayer(viewer)
    look.place_over(image)
    look.show(QuickLookReady(z, (slice(0, 8), slice(0, 6)), plane))
    assert lies_on(viewer.layers["first look"], image, (z, 0, 0))

    preview = TrainingPreview(viewer)
    for epoch in range(3):
        preview.show(PreviewReady(epoch=epoch, z=z, probability=plane), image, keep=True)
    for name in ("training preview (boundary probability)", "training movie (epochs)"):
        assert lies_on(viewer.layers[name], image, (z, 0, 0))

    repair = RepairPreview(viewer)
    for corner in ((1, 2), (3, 1)):  # a new layer, and the same one moved
        repair.show(np.ones((1, 2, 2), np.uint8), slice_transform(mine, z, *corner))
        assert lies_on(viewer.layers["repair preview"], image, (z, *corner))

    errors = ErrorList(viewer)
    errors.show_errors([], image, stack)
    assert lies_on(viewer.layers["errors: merge red, split blue"], image)
    place = layer_transform(image, image.ndim)
    assert lies_on(Points(np.zeros((1, image.ndim)), **place), image)
    image.rotate, image.scale = np.eye(image.ndim), np.full(image.ndim, 3.0)
    errors.show_errors([], image, stack)  # the layer of before is used again
    assert lies_on(viewer.layers["errors: merge red, split blue"], image)


def test_a_session_stores_what_the_layers_have_and_opens_them_there(tmp_path, turned):
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE)
    labels = np.ones(SHAPE, np.uint8)
    image = Image(pixels, **turned)
    moved = Image(labels, **layer_transform(image, 3, (0, 1, 2)))
    places = {"image_place": placement_of(image), "labels_place": placement_of(moved)}
    save_session(tmp_path / "a.emseg", Session(image_path=None, image=pixels, labels=labels, **places))
    assert load_session(tmp_path / "a.emseg").image_place == places["image_place"]
    reopened = [Layer.create(*one) for one in session_layers(tmp_path / "a.emseg")]
    for before, after in zip((image, moved), reopened, strict=True):
        assert lies_on(after, before)
        for name in ("scale", "rotate", "shear"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-12)


@pytest.mark.parametrize("axes", [2, 4])
def test_a_single_image_and_one_with_a_leading_axis_keep_their_place_in_a_session(turned, axes):
    image = Image(np.zeros(SHAPE[1:] if axes == 2 else (1, *SHAPE)), **last_axes(turned, axes))
    again = Image(np.zeros(SHAPE), **{k: getattr(placement_of(image), k) for k in ("scale", "translate")})
    assert voxel_of_layer(image).unit == "nanometer"
    assert again.scale[-1] == image.scale[-1]


def test_the_slice_of_a_turned_layer_is_found_and_gone_to(viewer, turned):
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), **turned)
    for z in (2, 0, 1):
        show_slice(viewer, image, z)
        assert slice_in_view(viewer, image) == z
    show_pixel(viewer, image, (2, 5, 1))
    assert slice_in_view(viewer, image) == 2
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], image.data_to_world((2, 5, 1))[-2:])
    zoom_to(viewer, image, 100, 50.0)
    edge = np.subtract(image.data_to_world((0, 0, 1)), image.data_to_world((0, 0, 0)))
    assert viewer.scene.camera.zoom == pytest.approx(4 / np.linalg.norm(edge))


def test_a_voxel_is_as_large_as_it_is_shown(turned):
    image = Image(np.zeros(SHAPE), **turned)
    edges = [np.subtract(image.data_to_world(one), image.data_to_world((0, 0, 0))) for one in np.eye(3)]
    assert voxel_of_layer(image).size == pytest.approx([np.linalg.norm(edge) for edge in edges])
    assert voxel_of_layer(Image(np.zeros(SHAPE), rotate=30)) is None
    assert voxel_of_layer(Image(np.zeros(SHAPE), scale=(50, 4.1, 4.1), rotate=30)).size == (50, 4.1, 4.1)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari's own word about tilted layers
def test_no_slice_is_in_view_where_slices_are_not_what_the_viewer_shows(viewer):
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells")
    flat = viewer.add_image(np.zeros(SHAPE[1:], np.uint8))
    viewer.dims.set_point(0, 1)
    assert (shown_slice(viewer, image), shown_slice(viewer, flat)) == (1, 0)
    viewer.dims.order = (0, 2, 1)  # transposed: the slice is the same
    assert slice_in_view(viewer, image) == 1
    for order, ndisplay in (((1, 0, 2), 2), ((2, 1, 0), 2), ((0, 1, 2), 3)):
        viewer.dims.order, viewer.dims.ndisplay = order, ndisplay
        for layer in (image, flat):
            assert slice_in_view(viewer, layer) is None
            with pytest.raises(UserError, match="turn 3-D off and restore the order of the axes"):
                shown_slice(viewer, layer)
        show_slice(viewer, image, 2)  # whoever goes to a slice sees it
        assert shown_slice(viewer, image) == 2
        viewer.dims.set_point(0, 1)
    across = np.eye(4)
    across[1, 0] = 0.1
    for tilt in ({"rotate": (20, 10, 30)}, {"shear": [0.5, 0, 0]}, {"affine": across}):
        with pytest.raises(UserError, match="cells is tilted"):
            shown_slice(viewer, Image(np.zeros(SHAPE), name="cells", **tilt))
    viewer.add_image(np.zeros((60, 8, 6)))
    viewer.dims.set_point(0, 40)
    with pytest.raises(UserError, match="shows no slice of cells"):
        shown_slice(viewer, image)


@pytest.mark.parametrize(
    ("place", "area", "volume"),
    [
        ({"scale": (50, 4, 5)}, (20, "pixel"), (1000, "pixel")),
        ({"scale": (2, 2, 2), "shear": (0, 0, 1)}, (4, "pixel"), (8, "pixel")),
        (
            {"scale": (0.05, 4, 4), "units": ("micrometer", "nanometer", "nanometer")},
            (16, "nanometer"),
            (800, "nanometer"),
        ),
        (
            {"scale": (50, 4, 5), "units": ("nanometer", "micrometer", "angstrom")},
            (200000, "angstrom"),
            (1e8, "angstrom"),
        ),
        ({"scale": (50, 4, 5), "units": ("nanometer", "pixel", "pixel")}, (20, "pixel"), None),
        ({"scale": (50, 4, 5), "units": ("nanometer", "pixel", "nanometer")}, None, None),
        ({}, None, None),
    ],
)
def test_a_pixel_has_the_area_and_volume_that_one_unit_can_express(place, area, volume):
    layer = Image(np.zeros(SHAPE), **place)
    assert (pixel_extent(layer, 2), pixel_extent(layer, 3)) == (area, volume)


def test_units_are_named_where_no_one_unit_can_express_a_pixel():
    layer = Image(np.zeros(SHAPE), units=("nanometer", "pixel", "pixel"))
    assert differing_units(layer, 3) == ["nanometer", "pixel"]
    assert differing_units(layer, 2) == []
    assert differing_units(Image(np.zeros(SHAPE), units=("micrometer", "nanometer", "nanometer")), 3) == []


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_the_area_of_a_tilted_pixel_is_that_in_its_own_plane():
    turned = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    assert pixel_extent(Image(np.zeros(SHAPE), scale=(50, 4, 5), rotate=turned), 2) == (20, "pixel")


@pytest.mark.parametrize(
    ("place", "together"),
    [
        ({}, True),
        ({"scale": (50, 4, 4 + 1e-12)}, True),
        ({"translate": (0, 0, 100)}, False),
        ({"scale": (50, 4, 8)}, False),
        ({"units": ("nanometer",) * 3}, False),
    ],
)
def test_layers_lie_together_where_their_pixels_do_but_for_rounding(place, together):
    one, other = (Image(np.zeros(SHAPE), **{"scale": (50, 4, 4), **more}) for more in ({}, place))
    assert lie_together(one, other) == together
    assert lie_together(other, one) == together


def test_layers_that_are_filled_again_lie_where_the_image_lies_now(viewer, qapp):
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="image")
    for z in range(2):
        source = PredictionSource(image, SHAPE, None, 0.5)  # type: ignore[arg-type]
        proposals = ProposalLayers(viewer, source, None, wants_probability=True, own_layer=True)
        proposals.show(SlicePredicted(z, np.full(SHAPE[1:], 0.5, np.float32)))
        for layer in (proposals.target, viewer.layers["image boundary probability"]):
            assert lies_on(layer, image)
        image.scale, image.translate = (50, 4, 4), (7, 8, 9)
    assert len(viewer.layers) == 3


def test_what_is_predicted_after_its_undo_is_another_entry(viewer, qapp):
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="image")
    proposals = ProposalLayers(viewer, PredictionSource(image, SHAPE, None, 0.5), None, False)  # type: ignore[arg-type]
    filled = [0, 0, 0]
    for z in range(3):
        proposals.show(SlicePredicted(z, np.ones(SHAPE[1:], np.float32)))
        filled[z] = 3
        if z == 1:
            history_of(proposals.target).undo()
            filled[:2] = 0, 0
        assert proposals.target.data[:, 0, 0].tolist() == filled
    proposals.end()
    history = history_of(proposals.target)
    for change, expected in ((history.undo, [0, 0, 0]), (history.redo, filled), (history.redo, filled)):
        change()
        assert proposals.target.data[:, 0, 0].tolist() == expected


def test_rounds_of_another_session_join_those_before_it(viewer, qapp):
    workspace = Workspace(viewer)
    first, second = (Round(f"2026-01-0{day}T10:00:00", "run", 1, 0, (1,), 0.8, 0.9, 0.95) for day in (1, 2))
    workspace.set_rounds([second])
    workspace.add_rounds([first, second])
    assert workspace.rounds == [first, second]
