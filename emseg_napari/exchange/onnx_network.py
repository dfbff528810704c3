"""ONNX networks of other makers, and the graph around them that gives them this program's form.

That form: float32 (batch, y, x, 1) in, boundary probability (batch, y, x, 1) out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.answers import Activation
from emseg_napari.exchange.description import LAYOUTS

GRIDS_PX = (16, 32, 64, 128, 256)
_NAME = "emseg/"
_OLDEST_OPSET = 8


@dataclass(frozen=True)
class Head:
    """What becomes of the output of a network.

    Attributes
    ----------
    activation : str
        "sigmoid" or "softmax" over the channels come first; of probabilities "none".
    channel : int
        The channel that is taken.
    inverted : bool
        It is the probability of the interior.
    """

    activation: Activation
    channel: int
    inverted: bool


@dataclass(frozen=True)
class Trial:
    """What a network showed when it was tried.

    Attributes
    ----------
    given, made : str
        Layouts of input and output, of `LAYOUTS`.
    channels : int
        Of the output.
    grid_px : int
        Width and height must be multiples of it.
    lowest, highest : float
        Of the output, for an image.
    """

    given: str
    made: str
    channels: int
    grid_px: int
    lowest: float
    highest: float


def checked(content: bytes, name: str) -> onnx.ModelProto:
    """Return an ONNX network.

    Raises
    ------
    UserError
        If it is damaged, has a second file, or does not map one float32 image.
    """
    try:
        model = onnx.load_model_from_string(content)
        graph = model.graph
    except Exception:  # of protobuf, which has several
        raise UserError(f"{name} is damaged (no ONNX file); get it again.") from None
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise UserError(
            f"{name} has its weights in a second file, which is not read; save it as one file "
            "(onnx.save with save_as_external_data=False)."
        )
    constants = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in constants]
    kinds = [one.type.tensor_type.elem_type for one in (*inputs, *graph.output[:1])]
    if len(inputs) != 1 or kinds != [TensorProto.FLOAT] * 2:
        raise UserError(
            f"{name} does not map one image of float32 numbers to another; choose another network, or "
            "export it so."
        )
    opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if opset < _OLDEST_OPSET:
        raise UserError(
            f"{name} has the opset {opset} of ONNX, and {_OLDEST_OPSET} or newer is needed; export it anew."
        )
    return model


def _tensors(part: Any) -> Iterator[onnx.TensorProto]:
    """Yield all constants of a network, wherever they are: sparse ones, and those of functions, too."""
    if isinstance(part, onnx.TensorProto):
        yield part
        return
    for field, value in part.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(inner)


def loaded(content: bytes, name: str) -> onnxruntime.InferenceSession:
    """Load a network on the processor; raise `UserError` if that cannot be done."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class for every status
        raise UserError(
            f"{name} cannot be loaded ({_first_line(error)}); get it again, or choose another network."
        ) from None


def tried(
    session: onnxruntime.InferenceSession, name: str, image: np.ndarray, layout: str | None, step_px: int = 1
) -> Trial:
    """Find out what a network takes and gives.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    name : str
        What the user calls it.
    image : numpy.ndarray
        float32 (y, x), as the network would see it; its sides are at least 512 and multiples of 256.
    layout : str, optional
        Of its input, if that is known.
    step_px : int
        Width and height are said to be multiples of it.

    Raises
    ------
    UserError
        If it takes no image of any size, or gives none of the same size.
    """
    reason = ""
    for given in [layout] if layout else LAYOUTS:
        for grid_px in [px for px in GRIDS_PX if px % step_px == 0]:
            part = image[:grid_px, : 2 * grid_px]
            try:
                found, whole = (
                    session.run(None, {session.get_inputs()[0].name: shaped(one, given)})[0]
                    for one in (part, image)
                )
            except Exception as error:  # another size, or another layout
                reason = reason or _first_line(error)
                continue
            if made := _layout_of(found.shape, part.shape):
                channels = found.shape[made.index("c")] if "c" in made else 1
                return Trial(given, made, channels, grid_px, float(whole.min()), float(whole.max()))
            reason = f"an image of {part.shape} pixels becomes {found.shape}"
    raise UserError(
        f"{name} does not map images of any size to images of the same size ({reason}); export it with free "
        "height and width and padded convolutions, or choose another network."
    )


def shaped(image: np.ndarray, layout: str) -> np.ndarray:
    """Return an image (y, x) with the axes of a layout."""
    return image[tuple(slice(None) if axis in "yx" else None for axis in layout)]


def _layout_of(shape: tuple[int, ...], image: tuple[int, ...]) -> str | None:
    """Return the layout of an output for an image (y, x), whose sides differ; None if it has another size."""
    height, width = image
    for layout in LAYOUTS:
        if len(shape) == len(layout):
            sizes = dict(zip(layout, shape, strict=True))
            if (sizes["y"], sizes["x"], sizes.get("b", 1)) == (height, width, 1):
                return layout
    return None


def with_head(model: onnx.ModelProto, trial: Trial, head: Head) -> bytes:
    """Return a network in this program's form, as an ONNX file's content."""
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    (given,) = [one.name for one in graph.input if one.name not in constants]
    made = graph.output[0].name
    writer = _Around(graph)
    to_given, to_own = _TURNS[trial.given][0], _TURNS[trial.made][1]
    writer.turned(f"{_NAME}image", to_given, given)
    first = writer.taken()
    value = writer.turned(made, to_own)
    if head.activation != "none":
        extra: dict[str, Any] = {"axis": 3} if head.activation == "softmax" else {}
        value = writer.node({"sigmoid": "Sigmoid", "softmax": "Softmax"}[head.activation], [value], **extra)
    value = writer.node("Gather", [value, writer.constant([head.channel], np.int64)], axis=3)
    if head.inverted:
        value = writer.node("Sub", [writer.constant([1.0]), value])
    writer.node(
        "Min",
        [writer.node("Max", [value, writer.constant([0.0])]), writer.constant([1.0])],
        f"{_NAME}boundary",
    )
    nodes = [*first, *graph.node, *writer.taken()]
    for parts in (graph.node, graph.input, graph.output):
        del parts[:]
    graph.node.extend(nodes)
    sides = [
        helper.make_tensor_value_info(_NAME + name, TensorProto.FLOAT, ["batch", "y", "x", 1])
        for name in ("image", "boundary")
    ]
    graph.input.extend(sides[:1])
    graph.output.extend(sides[1:])
    content: bytes = model.SerializeToString()
    return content


# Of each layout: how (batch, y, x, 1) becomes one, and how one becomes (batch, y, x, channels): the order of
# the axes, or the shape, in which 0 is a side as it is.
_TURNS: dict[str, tuple[dict[str, list[int]], dict[str, list[int]]]] = {
    "bcyx": ({"perm": [0, 3, 1, 2]}, {"perm": [0, 2, 3, 1]}),
    "byxc": ({"perm": [0, 1, 2, 3]}, {"perm": [0, 1, 2, 3]}),
    "byx": ({"shape": [0, 0, 0]}, {"shape": [0, 0, 0, 1]}),
}


class _Around:
    """Writer of the nodes before and after a network."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph, self._count = graph, 0
        self._nodes: list[onnx.NodeProto] = []

    def taken(self) -> list[onnx.NodeProto]:
        """Return the nodes since the last call."""
        nodes, self._nodes = self._nodes, []
        return nodes

    def node(self, kind: str, inputs: list[str], name: str | None = None, **attributes: Any) -> str:
        self._count += 1
        made = name or f"{_NAME}{self._count}"
        self._nodes.append(
            helper.make_node(kind, inputs, [made], name=f"{_NAME}{kind}{self._count}", **attributes)
        )
        return made

    def constant(self, values: list[Any], dtype: Any = np.float32) -> str:
        self._count += 1
        name = f"{_NAME}constant{self._count}"
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def turned(self, value: str, how: dict[str, list[int]], name: str | None = None) -> str:
        """Bring a value to another layout, see `_TURNS`."""
        if "perm" in how:
            return self.node("Transpose", [value], name, perm=how["perm"])
        return self.node("Reshape", [value, self.constant(how["shape"], np.int64)], name)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
