"""Export of a U-Net to ONNX, as a graph that ONNX Runtime computes fast.

Keras's own export goes through TensorFlow, which adds much around the convolutions, and takes seconds. Here
the layers are written one by one, and some of them otherwise than they stand in the network:

- a transposed convolution whose kernel is as wide as its stride is a 1x1 convolution into as many times more
  channels, which are then rearranged in space;
- a convolution of a concatenation is the sum of the convolutions of its parts, since ONNX Runtime would copy
  the largest values there are;
- values of the same size are declared so (``y/2`` is half the image's height), else ONNX Runtime would not
  add them within the convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

_MAKER = "emseg-napari"
_OPSET = 15
_ONNX_NAMES = {"relu": "Relu", "sigmoid": "Sigmoid", "linear": ""}


@dataclass(frozen=True)
class Layer:
    """Layer of a network.

    Attributes
    ----------
    name : str
    kind : str
        "Conv", "ConvTranspose", "MaxPool", "Concat" or "Activation".
    inputs : tuple of str
        Names of the layers before, or of the image.
    stride : int
        Of a convolution, which has as many pixels as the input divided by it, and more at the far end; or by
        how much pooling shrinks and a transposed convolution enlarges.
    weights : numpy.ndarray or None
        float32 (out, in, y, x) of a convolution, (in, out, y, x) of a transposed one.
    bias : numpy.ndarray or None
        float32 (out,).
    activation : str
        "Relu", "Sigmoid" or none.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    stride: int = 1
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    activation: str = ""


def layers_of(model: keras.Model) -> Iterator[Layer]:
    """Yield the layers of a network of `emseg_napari.models.unet`, from the image on, without its dropout.

    Raises
    ------
    ValueError
        If a layer is of a kind that the export does not know.
    """
    names = {id(model.input): "image"}  # of the layer that made a value
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        values = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = tuple(names[id(value)] for value in values)
        if isinstance(layer, layers.Dropout):
            names[id(layer.output)] = inputs[0]
            continue
        names[id(layer.output)] = layer.name
        yield _layer(layer, inputs)


def _layer(layer: Any, inputs: tuple[str, ...]) -> Layer:
    if isinstance(layer, layers.Concatenate):
        return Layer(layer.name, "Concat", inputs)
    if isinstance(layer, layers.Activation):
        return Layer(layer.name, "Activation", inputs, activation=_activation(layer))
    pooling = isinstance(layer, layers.MaxPooling2D)
    sides = layer.pool_size if pooling else layer.kernel_size
    stride = layer.strides[0]
    if sides == layer.strides == (stride, stride) and pooling:
        return Layer(layer.name, "MaxPool", inputs, stride)
    transposed = isinstance(layer, layers.Conv2DTranspose)
    fits = sides == layer.strides if transposed else layer.padding == "same" or sides == (1, 1)
    if not fits or layer.dilation_rate != (1, 1) or len({*sides}) > 1 or len({*layer.strides}) > 1:
        raise ValueError(f"{layer.name} cannot be exported: {layer.get_config()}")
    kernel, bias = (np.asarray(weights, np.float32) for weights in layer.get_weights())
    kind = "ConvTranspose" if transposed else "Conv"
    return Layer(layer.name, kind, inputs, stride, kernel.transpose(3, 2, 0, 1), bias, _activation(layer))


def _activation(layer: Any) -> str:
    return _ONNX_NAMES[layer.activation.__name__]


def onnx_model(model: keras.Model) -> onnx.ModelProto:
    """Write a network as an ONNX model.

    Parameters
    ----------
    model : keras.Model
        Of `emseg_napari.models.unet`.

    Returns
    -------
    onnx.ModelProto
        It maps float32 (batch, y, x, 1), y and x multiples of its coarsest pixel, to the same shape, as the
        network does up to rounding errors.

    Raises
    ------
    ValueError
        If a layer is of a kind that the export does not know.
    """
    return _Writer().model(layers_of(model))


@dataclass(frozen=True)
class _Value:
    """Value of a layer: (batch, channels, y / px, x / px)."""

    name: str
    px: int
    channels: int


class _Writer:
    """Writer of layers as a graph; values are (batch, channels, y, x)."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._sizes: list[onnx.ValueInfoProto] = []
        shape = self._node("Shape", "image")
        self._batch = self._node("Slice", shape, self._integers(0), self._integers(1))
        self._size = self._node("Slice", shape, self._integers(1), self._integers(3))
        first = self._node("Squeeze", self._node("Unsqueeze", "image", self._integers(1)), self._integers(4))
        # By the layer's name; a concatenation stays in its parts.
        self._values = {"image": [self._sized(first, 1, 1)]}

    def model(self, layers: Iterator[Layer]) -> onnx.ModelProto:
        """Return the whole model."""
        for layer in layers:
            parts = [part for name in layer.inputs for part in self._values[name]]
            self._values[layer.name] = parts if layer.kind == "Concat" else [self._value(layer, parts)]
        last = self._node("Unsqueeze", self._values[layer.name][0].name, self._integers(4))
        self._nodes.append(helper.make_node("Squeeze", [last, self._integers(1)], ["boundary"]))
        sides = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "y", "x", 1])
            for name in ("image", "boundary")
        ]
        graph = helper.make_graph(
            self._nodes, "network", sides[:1], sides[1:], self._constants, value_info=self._sizes
        )
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name=_MAKER)

    def _value(self, layer: Layer, parts: list[_Value]) -> _Value:
        if layer.kind == "Conv":
            return self._convolution(layer, parts)
        (value,) = parts  # only a convolution takes a concatenation
        if layer.kind == "ConvTranspose":
            return self._transposed(layer, value)
        return self._pooling(layer, value) if layer.kind == "MaxPool" else self._activated(value, layer)

    def _convolution(self, layer: Layer, parts: list[_Value]) -> _Value:
        assert layer.weights is not None
        weights = np.split(layer.weights, np.cumsum([part.channels for part in parts])[:-1], axis=1)
        total = self._convolved(parts[0], weights[0], layer.bias, layer.stride)
        for part, its_weights in zip(parts[1:], weights[1:], strict=True):
            more = self._convolved(part, its_weights, None, layer.stride)
            total = self._sized(self._node("Add", total.name, more.name), total.px, total.channels)
        return self._activated(total, layer)

    def _convolved(self, value: _Value, weights: np.ndarray, bias: np.ndarray | None, stride: int) -> _Value:
        out, kernel_px = weights.shape[0], weights.shape[2]
        bias = np.zeros(out, np.float32) if bias is None else bias
        how: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if kernel_px > 1 else {}
        how |= {"kernel_shape": [kernel_px] * 2, "strides": [stride] * 2}
        name = self._node("Conv", value.name, self._constant(weights), self._constant(bias), **how)
        return self._sized(name, value.px * stride, out)

    def _activated(self, value: _Value, layer: Layer) -> _Value:
        if not layer.activation:
            return value
        return self._sized(self._node(layer.activation, value.name), value.px, value.channels)

    def _transposed(self, layer: Layer, value: _Value) -> _Value:
        assert layer.weights is not None
        assert layer.bias is not None
        times, (before, after) = layer.stride, layer.weights.shape[:2]
        weights = layer.weights.transpose(2, 3, 1, 0).reshape(times * times * after, before, 1, 1)
        one = self._activated(self._convolved(value, weights, np.tile(layer.bias, times * times), 1), layer)
        # Channels lie last while pixels are moved, so that many are moved at once.
        name = self._node("Transpose", one.name, perm=[0, 2, 3, 1])
        name = self._node("Reshape", name, self._integers(0, 0, 0, times, times * after))
        name = self._node("Transpose", name, perm=[0, 1, 3, 2, 4])
        name = self._node("Reshape", name, self._shape(value.px // times, after))
        name = self._node("Transpose", name, perm=[0, 3, 1, 2])
        return self._sized(name, value.px // times, after)

    def _pooling(self, layer: Layer, value: _Value) -> _Value:
        sides = [layer.stride] * 2
        name = self._node("MaxPool", value.name, kernel_shape=sides, strides=sides)
        return self._sized(name, value.px * layer.stride, value.channels)

    def _shape(self, px: int, channels: int) -> str:
        size = self._node("Div", self._size, self._integers(px))
        return self._node("Concat", self._batch, size, self._integers(channels), axis=0)

    def _sized(self, name: str, px: int, channels: int) -> _Value:
        along = [f"{axis}/{px}" if px > 1 else axis for axis in "yx"]
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, *along])
        self._sizes.append(info)
        return _Value(name, px, channels)

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))
