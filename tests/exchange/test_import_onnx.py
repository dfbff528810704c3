import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emseg_napari.core.jobs import JobContext, Message, UserError
from emseg_napari.exchange.answers import Answers
from emseg_napari.exchange.importing import Unanswered, import_network
from emseg_napari.inference import predict
from emseg_napari.io.samples import phantom
from emseg_napari.models.earlier_run import check_start
from emseg_napari.models.run import open_run
from emseg_napari.models.run_list import listed_run
from emseg_napari.settings import PredictionSettings
from helpers.packages import NAMES, normalised, npy, outputs_of, package, two_channels

PLAIN = PredictionSettings(close_gaps=False)
STANDARD = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}}
RANGE = {
    "id": "scale_range",
    "kwargs": {"axes": ["channel", "y", "x"], "min_percentile": 1.0, "max_percentile": 99.0},
}
LINEAR = {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": -0.5}}
CLIP = {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return phantom()[0][0][:128, :160]


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize(
    "steps", [[STANDARD], [RANGE], [RANGE, CLIP], [LINEAR], [LINEAR, STANDARD], []], ids=lambda s: str(len(s))
)
def test_a_package_predicts_as_its_maker_says(tmp_path, image, steps):
    network = two_channels()
    seen = image
    for step in steps:
        seen = normalised(seen, step)
    run = import_network(package(tmp_path / "a.zip", network, image, steps), tmp_path / "run")
    expected = outputs_of(network, seen)[1]
    np.testing.assert_allclose(predict(image, run, PLAIN)[0], expected, atol=1e-5)


def test_the_record_says_where_a_network_comes_from(tmp_path, image):
    import_network(package(tmp_path / "a.zip", two_channels(), image, [STANDARD]), tmp_path / "run")
    imported = open_run(tmp_path / "run").record.imported
    assert imported.title == "Hand-made membranes 1.2 by A. Maker"
    assert (imported.licence, imported.cite, imported.pixel_nm) == ("MIT", ["Maker 2020 doi:10.1000/1"], 4.0)
    assert (imported.file, imported.weights, imported.halo_px, imported.grid_px) == ("a.zip", "onnx", 16, 16)
    assert len(imported.sha256) == 64
    assert listed_run(tmp_path / "run").problem is None


def test_a_package_in_a_folder_and_its_description_serve_as_well(tmp_path, image):
    import zipfile

    with zipfile.ZipFile(package(tmp_path / "a.zip", two_channels(), image, [STANDARD])) as archive:
        archive.extractall(tmp_path / "unpacked")
    import_network(tmp_path / "unpacked", tmp_path / "one")
    import_network(tmp_path / "unpacked" / "rdf.yaml", tmp_path / "other")
    marks = {open_run(tmp_path / name).network_mark for name in ("one", "other")}
    assert len(marks) == 1


def test_the_interior_is_turned_into_the_boundary(tmp_path, image):
    network = two_channels()
    file = package(tmp_path / "a.zip", network, image, [STANDARD], names=("foreground", "something"))
    run = import_network(file, tmp_path / "run")
    expected = 1 - outputs_of(network, normalised(image, STANDARD))[0]
    np.testing.assert_allclose(predict(image, run, PLAIN)[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_what_comes_after_the_network_in_a_package_is_done(tmp_path, image, name):
    network = two_channels(probability=False)
    logits = outputs_of(network, normalised(image, STANDARD))
    expected = sigmoid(logits) if name == "sigmoid" else np.exp(logits) / np.exp(logits).sum(0)
    after = [{"id": name}, {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}]
    file = package(tmp_path / "a.zip", network, image, [STANDARD], after=after, expected=expected)
    run = import_network(file, tmp_path / "run")
    np.testing.assert_allclose(predict(image, run, PLAIN)[0], expected[1], atol=1e-5)


def test_where_a_package_makes_labels_their_threshold_is_kept(tmp_path, image):
    after = [{"id": "binarize", "kwargs": {"threshold": 0.3}}]
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD], ("foreground", "x"), after)
    assert import_network(file, tmp_path / "run").record.threshold == pytest.approx(0.7)  # of the boundary
    file = package(tmp_path / "b.zip", two_channels(), image, [STANDARD], ("c0", "c1"), after)
    run = import_network(file, tmp_path / "other", Answers(channel=0, channel_is="interior"))
    assert run.record.threshold == pytest.approx(0.7)


@pytest.mark.parametrize("last", [STANDARD, RANGE], ids=lambda step: step["id"])
def test_a_normalisation_that_would_lose_an_inversion_is_refused(tmp_path, image, last):
    inverting = {"id": "scale_linear", "kwargs": {"gain": -1.0, "offset": 255.0}}
    file = package(tmp_path / "a.zip", two_channels(), image, [inverting, last])
    with pytest.raises(UserError, match="cannot be repeated here"):
        import_network(file, tmp_path / "run")


def test_what_names_do_not_tell_is_asked_and_remembered(tmp_path, image):
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD], names=("c0", "c1"))
    with pytest.raises(Unanswered, match="which channel of its output is meant; whether that is") as raised:
        import_network(file, tmp_path / "run")
    assert raised.value.unanswered == ("channel", "channel_is")
    assert not (tmp_path / "run").exists()
    run = import_network(file, tmp_path / "run", Answers(channel=1, channel_is="interior"))
    assert run.record.imported.answers == {"channel": "1", "channel_is": "interior"}
    expected = 1 - outputs_of(two_channels(), normalised(image, STANDARD))[1]
    np.testing.assert_allclose(predict(image, run, PLAIN)[0], expected, atol=1e-5)


def test_of_an_onnx_file_all_is_asked_at_once(tmp_path, image):
    (tmp_path / "net.onnx").write_bytes(two_channels(probability=False))
    with pytest.raises(Unanswered) as raised:
        import_network(tmp_path / "net.onnx", tmp_path / "run")
    assert raised.value.unanswered == ("normalisation", "channel", "channel_is", "activation")
    answers = Answers(normalisation="range:1:99", channel=1, channel_is="boundary", activation="sigmoid")
    run = import_network(tmp_path / "net.onnx", tmp_path / "run", answers)
    expected = sigmoid(outputs_of(two_channels(probability=False), normalised(image, RANGE))[1])
    np.testing.assert_allclose(predict(image, run, PLAIN)[0], expected, atol=1e-5)


def test_a_network_with_channels_last_is_recognised(tmp_path, image):
    starter = open_run("starter")
    answers = Answers(normalisation="median", channel_is="boundary")
    run = import_network(starter.network_file, tmp_path / "run", answers)
    own = predict(image, starter, PredictionSettings(close_gaps=False, orientations=1))
    np.testing.assert_allclose(predict(image, run, PLAIN), own, atol=1e-6)


def test_slices_of_any_size_are_predicted_in_tiles_without_seams(tmp_path):
    stack = phantom()[0][:1, :203, :]
    stack = np.concatenate([stack, stack[:, :, ::-1]], axis=2)  # wider than a tile
    (tmp_path / "net.onnx").write_bytes(two_channels())
    answers = Answers(normalisation="fixed:127:50", channel=1, channel_is="boundary")
    run = import_network(tmp_path / "net.onnx", tmp_path / "run", answers)
    whole, tiled = (predict(stack, run, PLAIN.model_copy(update={"tile_px": px})) for px in (8192, 64))
    np.testing.assert_allclose(whole, tiled, atol=1e-5)


def dilated(px: int) -> bytes:
    """A network that looks at pixels in such a distance."""
    conv = helper.make_node("Conv", ["x", "w"], ["a"], dilations=[px] * 2, pads=[px] * 4)
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 1, f"{n}h", f"{n}w"]) for n in ("x", "y")
    )
    weights = numpy_helper.from_array(np.full((1, 1, 3, 3), 0.3, np.float32), "w")
    graph = helper.make_graph([conv, helper.make_node("Sigmoid", ["a"], ["y"])], "g", [x], [y], [weights])
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize(("px", "halo_px"), [(90, 96), (150, 192), (500, 512)])
def test_a_network_that_looks_further_gets_a_wider_halo(tmp_path, px, halo_px):
    stack = np.tile(phantom()[0][:1], (1, 1, 3))
    (tmp_path / "net.onnx").write_bytes(dilated(px))
    answers = Answers(normalisation="fixed:127:50", channel_is="boundary")
    run = import_network(tmp_path / "net.onnx", tmp_path / "run", answers)
    assert run.record.imported.halo_px == halo_px
    whole, tiled = (predict(stack, run, PLAIN.model_copy(update={"tile_px": px})) for px in (8192, 64))
    np.testing.assert_allclose(whole, tiled, atol=1e-5)


def test_a_network_that_looks_further_than_its_package_says_gets_a_wider_halo(tmp_path, image):
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD])
    assert import_network(file, tmp_path / "one").record.imported.halo_px == 16
    file = package(tmp_path / "b.zip", dilated(150), image, [STANDARD], names=("boundary",))
    assert import_network(file, tmp_path / "two").record.imported.halo_px == 256


def test_a_network_that_looks_too_far_for_tiles_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(dilated(600))
    answers = Answers(normalisation="standard", channel_is="boundary")
    with pytest.raises(UserError, match="looks further than 512 pixels"):
        import_network(tmp_path / "net.onnx", tmp_path / "run", answers)
    assert not (tmp_path / "run").exists()


def test_no_training_starts_from_weights_for_prediction_only(tmp_path, image):
    run = import_network(package(tmp_path / "a.zip", two_channels(), image, [STANDARD]), tmp_path / "run")
    with pytest.raises(
        UserError, match=r"No training can start from run: a\.zip has weights for prediction only"
    ):
        check_start(run, "imported", "run")


def test_a_test_output_that_is_not_given_again_is_refused(tmp_path, image):
    wrong = outputs_of(two_channels(), normalised(image, STANDARD)) * 0.5
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD], expected=wrong)
    with pytest.raises(UserError, match="gives other values here than its own test output"):
        import_network(file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_of_several_outputs_the_first_is_used_and_that_is_said(tmp_path, image):
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD])
    import zipfile

    import yaml

    with zipfile.ZipFile(file) as archive:
        description = yaml.safe_load(archive.read("rdf.yaml"))
    file = package(
        tmp_path / "b.zip",
        two_channels(),
        image,
        [STANDARD],
        outputs=[*description["outputs"], description["outputs"][0]],
    )
    told = []
    import_network(file, tmp_path / "run", context=JobContext(told.append))
    assert any("gives 2 images; the first is used" in one.text for one in told if isinstance(one, Message))


def test_a_network_of_one_size_only_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(two_channels(sides=(64, 64)))
    with pytest.raises(UserError, match="does not map images of any size"):
        import_network(tmp_path / "net.onnx", tmp_path / "run", Answers(normalisation="none"))


def test_weights_in_a_second_file_are_refused(tmp_path):
    model = onnx.load_model_from_string(two_channels())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="weights in a second file"):
        import_network(tmp_path / "net.onnx", tmp_path / "run")


def sparse_in(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [1]))


def sparse_in_node(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    value = helper.make_sparse_tensor(tensor, indices, [1])
    graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=value))


@pytest.mark.parametrize("place", [sparse_in, sparse_in_node, "function"])
def test_sparse_weights_and_functions_in_a_second_file_are_refused(tmp_path, place):
    model = onnx.load_model_from_string(two_channels())
    tensor = onnx.TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    if place == "function":
        node = helper.make_node("Constant", [], ["c"], value=tensor)
        opsets = [helper.make_opsetid("", 13)]
        model.functions.append(helper.make_function("own", "f", [], ["c"], [node], opsets))
    else:
        place(model.graph, tensor)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="weights in a second file"):
        import_network(tmp_path / "net.onnx", tmp_path / "run")


def test_a_network_of_two_inputs_is_refused(tmp_path):
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, None, None]) for n in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "g", sides[:2], sides[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="does not map one image of float32 numbers to another"):
        import_network(tmp_path / "net.onnx", tmp_path / "run")


@pytest.mark.parametrize(
    "content", [b"", b"no network", numpy_helper.from_array(np.ones(3)).SerializeToString()]
)
def test_a_damaged_onnx_file_is_a_sentence(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(UserError):
        import_network(tmp_path / "net.onnx", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text", ["", "range:5", "range:9:1", "fixed:1:0", "fixed:a:b", "standard:3", "z-score", "range:nan:nan"]
)
def test_a_normalisation_that_cannot_be_read_is_a_sentence(tmp_path, text):
    (tmp_path / "net.onnx").write_bytes(two_channels())
    answers = Answers(normalisation=text or " ", channel=1, channel_is="boundary")
    with pytest.raises(UserError, match="is not a normalisation; choose one of: none"):
        import_network(tmp_path / "net.onnx", tmp_path / "run", answers)


def test_a_channel_that_is_not_there_is_a_sentence(tmp_path, image):
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD], NAMES)
    with pytest.raises(UserError, match=r"gives 2 channels, numbered from 0, so there is no channel 2"):
        import_network(file, tmp_path / "run", Answers(channel=2, channel_is="boundary"))


def test_a_run_is_not_replaced_by_an_import(tmp_path, image):
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD])
    import_network(file, tmp_path / "run")
    before = json.loads((tmp_path / "run" / "run.json").read_text())
    with pytest.raises(UserError, match="holds a run already"):
        import_network(file, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == before


def test_a_test_image_that_is_no_array_is_a_sentence(tmp_path, image):
    file = package(tmp_path / "a.zip", two_channels(), image, [STANDARD], expected=np.zeros((3, 2)))
    with pytest.raises(UserError, match="damaged test image"):
        import_network(file, tmp_path / "run")
    assert npy(np.zeros(2))  # which is an array, but no image
