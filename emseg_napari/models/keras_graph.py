"""Export of convolutional Keras networks of any make to ONNX.

The networks of `emseg_napari.models.unet` have an export of their own, which makes faster graphs. Here each
layer becomes the nodes of the same name; values are (batch, channels, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from emseg_napari.core.jobs import UserError

_MAKER = "emseg-napari"
_OPSET = 15
_SIMPLE = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "elu": "Elu",
    "selu": "Selu",
    "exponential": "Exp",
}
# Layers that do nothing when a network predicts.
_PASSED = (
    layers.InputLayer,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.GaussianDropout,
    layers.ActivityRegularization,
    layers.Identity,
)
_MERGES = {
    layers.Add: "Add",
    layers.Subtract: "Sub",
    layers.Multiply: "Mul",
    layers.Maximum: "Max",
    layers.Minimum: "Min",
    layers.Average: "Mean",
}


class UnknownLayer(UserError):
    """A layer of a network cannot be written as ONNX."""


def onnx_of(model: keras.Model) -> bytes:
    """Write a network as an ONNX file's content.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential, of one input and one output (batch, y, x, channels), float32.

    Returns
    -------
    bytes
        It maps float32 (batch, y, x, channels), named "image", to what the network gives, "boundary".

    Raises
    ------
    UnknownLayer
        If it has a layer, or an option of one, that is not among those that are written.
    """
    return _Writer().written(model)


class _Writer:
    """Writer of one network."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def written(self, model: keras.Model) -> bytes:
        value = self._network(model, self.node("Transpose", "image", perm=[0, 3, 1, 2]))
        self._nodes.append(helper.make_node("Transpose", [value], ["boundary"], perm=[0, 2, 3, 1]))
        sides = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "y", "x", side.shape[-1]])
            for name, side in (("image", model.inputs[0]), ("boundary", model.outputs[0]))
        ]
        graph = helper.make_graph(self._nodes, "network", sides[:1], sides[1:], self._constants)
        opset = [helper.make_opsetid("", _OPSET)]
        content: bytes = helper.make_model(
            graph, opset_imports=opset, ir_version=8, producer_name=_MAKER
        ).SerializeToString()
        return content

    def _network(self, model: keras.Model, value: str) -> str:
        """Write a network, or one within another, of an input."""
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise UnknownLayer(f"the network {model.name} has several inputs or outputs")
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                value = self._layer(layer, [value])
            return value
        config = model.get_config()
        nodes = {one["config"]["name"]: one["inbound_nodes"] for one in config["layers"]}
        values = {(name, 0): value for name, calls in nodes.items() if not calls}  # its input layer
        waiting = [_call(config["output_layers"])]
        while waiting:  # a layer follows what it is called with
            name, number = call = waiting[-1]
            given = _calls(nodes[name][number]) if nodes[name] else []
            missing = [one for one in given if one not in values]
            waiting.extend(missing)
            if not missing:
                waiting.pop()
                if call not in values:
                    values[call] = self._layer(model.get_layer(name), [values[one] for one in given])
        return values[call]

    def _layer(self, layer: Any, inputs: list[str]) -> str:
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise UnknownLayer(f"the layer {layer.name} has its channels first")
        if isinstance(layer, _PASSED):
            return inputs[0]
        if isinstance(layer, keras.Model):
            return self._network(layer, inputs[0])
        if type(layer) in _MERGES:
            return self._merged(_MERGES[type(layer)], inputs)
        if isinstance(layer, layers.Concatenate):
            if layer.axis not in (-1, 3):
                raise UnknownLayer(f"the layer {layer.name} concatenates no channels")
            return self.node("Concat", *inputs, axis=1)
        write = _LAYERS.get(type(layer))
        if write is None:
            raise UnknownLayer(f"the layer {layer.name} is a {type(layer).__name__}")
        return self.activated(write(self, layer, inputs[0]), layer)

    def _merged(self, kind: str, inputs: list[str]) -> str:
        if kind in ("Max", "Min", "Mean"):
            return self.node(kind, *inputs)
        value = inputs[0]
        for other in inputs[1:]:
            value = self.node(kind, value, other)
        return value

    def activated(self, value: str, layer: Any) -> str:
        function = getattr(layer, "activation", None)
        return value if function is None else self.function(value, function.__name__, layer.name)

    def function(self, value: str, name: str, where: str) -> str:
        """Write an activation by its Keras name."""
        if name == "linear":
            return value
        if name in _SIMPLE:
            return self.node(_SIMPLE[name], value)
        if name == "softmax":
            return self.node("Softmax", value, axis=1)
        if name in ("silu", "swish"):
            return self.node("Mul", value, self.node("Sigmoid", value))
        if name == "leaky_relu":
            return self.node("LeakyRelu", value, alpha=0.2)
        if name == "relu6":
            return self.node("Clip", value, self.floats(0.0), self.floats(6.0))
        if name == "hard_sigmoid":
            return self.node("HardSigmoid", value, alpha=1 / 6, beta=0.5)
        raise UnknownLayer(f"the layer {where} has the activation {name}")

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def floats(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def per_channel(self, values: Any) -> str:
        return self.constant(np.asarray(values, np.float32).reshape(-1, 1, 1))

    def convolved(
        self, layer: Any, value: str, kernel: np.ndarray, bias: Any, groups: int, **how: Any
    ) -> str:
        sides = {"kernel_shape": list(kernel.shape[2:]), "group": groups}
        terms = [self.constant(kernel)] + (
            [] if bias is None else [self.constant(np.asarray(bias, np.float32))]
        )
        return self.node("Conv", value, *terms, **sides, **how)


def _call(written: Any) -> tuple[str, int]:
    """Return the layer's name and the number of the call that made a value, as a configuration has it."""
    while isinstance(written[0], list | tuple):
        written = written[0]
    return str(written[0]), int(written[1])


def _calls(written: Any) -> list[tuple[str, int]]:
    """Return the calls that made the values with which a layer is called."""
    if isinstance(written, dict):
        if written.get("class_name") == "__keras_tensor__":
            return [_call(written["config"]["keras_history"])]
        written = list(written.values())
    parts = written if isinstance(written, list | tuple) else []
    return [call for part in parts for call in _calls(part)]


def _windows(layer: Any) -> dict[str, Any]:
    """Return strides, dilation and padding of a layer as ONNX has them."""
    how: dict[str, Any] = {"strides": list(layer.strides)}
    dilation = list(getattr(layer, "dilation_rate", (1, 1)))
    if dilation == [1, 1]:
        return how | {"auto_pad": {"same": "SAME_UPPER", "valid": "VALID"}[layer.padding]}
    # ONNX Runtime finds no padding of these by itself; Keras has them with strides of 1 only.
    beyond = [rate * (size - 1) for rate, size in zip(dilation, layer.kernel_size, strict=True)]
    pads = [n // 2 for n in beyond] + [n - n // 2 for n in beyond] if layer.padding == "same" else [0] * 4
    return how | {"dilations": dilation, "pads": pads}


def _kernel(weights: Any) -> np.ndarray:
    return np.asarray(weights, np.float32)


def _convolution(w: _Writer, layer: Any, value: str) -> str:
    kernel = _kernel(layer.kernel).transpose(3, 2, 0, 1)
    return w.convolved(layer, value, kernel, layer.bias, layer.groups, **_windows(layer))


def _by_channel(w: _Writer, layer: Any, value: str, weights: Any, bias: Any) -> str:
    kernel = _kernel(weights)
    rows, columns, channels, times = kernel.shape
    kernel = kernel.transpose(2, 3, 0, 1).reshape(channels * times, 1, rows, columns)
    return w.convolved(layer, value, kernel, bias, channels, **_windows(layer))


def _depthwise(w: _Writer, layer: Any, value: str) -> str:
    return _by_channel(w, layer, value, layer.kernel, layer.bias)


def _separable(w: _Writer, layer: Any, value: str) -> str:
    value = _by_channel(w, layer, value, layer.depthwise_kernel, None)
    return w.convolved(layer, value, _kernel(layer.pointwise_kernel).transpose(3, 2, 0, 1), layer.bias, 1)


def _transposed(w: _Writer, layer: Any, value: str) -> str:
    kernel = _kernel(layer.kernel).transpose(3, 2, 0, 1)
    beyond = [size - stride for size, stride in zip(layer.kernel_size, layer.strides, strict=True)]
    if min(beyond) < 0 or any(n != 1 for n in layer.dilation_rate) or layer.output_padding is not None:
        raise UnknownLayer(f"the layer {layer.name} is a transposed convolution of an unusual kind")
    pads = [n // 2 for n in beyond] + [n - n // 2 for n in beyond] if layer.padding == "same" else [0] * 4
    terms = [w.constant(kernel)] + ([w.constant(_kernel(layer.bias))] if layer.use_bias else [])
    sides = {"kernel_shape": list(layer.kernel_size), "strides": list(layer.strides)}
    return w.node("ConvTranspose", value, *terms, pads=pads, **sides)


def _pooled(kind: str) -> Callable[[_Writer, Any, str], str]:
    return lambda w, layer, value: w.node(kind, value, kernel_shape=list(layer.pool_size), **_windows(layer))


def _upsampled(w: _Writer, layer: Any, value: str) -> str:
    size = [float(n) for n in layer.size]
    how = {
        "nearest": {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    }.get(layer.interpolation)
    if how is None:
        raise UnknownLayer(f"the layer {layer.name} enlarges by {layer.interpolation} interpolation")
    return w.node("Resize", value, "", w.constant(np.array([1, 1, *size], np.float32)), **how)


def _batch_normalised(w: _Writer, layer: Any, value: str) -> str:
    if layer.axis not in (-1, 3):
        raise UnknownLayer(f"the layer {layer.name} normalises no channels")
    factor = 1 / np.sqrt(_kernel(layer.moving_variance) + np.float32(layer.epsilon))
    factor = factor if layer.gamma is None else factor * _kernel(layer.gamma)
    offset = -_kernel(layer.moving_mean) * factor
    offset = offset if layer.beta is None else offset + _kernel(layer.beta)
    return w.node("Add", w.node("Mul", value, w.per_channel(factor)), w.per_channel(offset))


def _rectified(w: _Writer, layer: Any, value: str) -> str:
    if layer.threshold:
        raise UnknownLayer(f"the layer {layer.name} has a threshold")
    value = w.node("LeakyRelu", value, alpha=float(layer.negative_slope))
    return value if layer.max_value is None else w.node("Min", value, w.floats(layer.max_value))


def _softmax(w: _Writer, layer: Any, value: str) -> str:
    if layer.axis not in (-1, 3):
        raise UnknownLayer(f"the layer {layer.name} compares no channels")
    return w.node("Softmax", value, axis=1)


def _parametric(w: _Writer, layer: Any, value: str) -> str:
    slope = _kernel(layer.alpha)
    if slope.shape[:2] != (1, 1):
        raise UnknownLayer(f"the layer {layer.name} has a slope for each pixel")
    return w.node("PRelu", value, w.per_channel(slope))


def _padded(w: _Writer, layer: Any, value: str) -> str:
    (top, bottom), (left, right) = layer.padding
    return w.node("Pad", value, w.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)))


def _rescaled(w: _Writer, layer: Any, value: str) -> str:
    return w.node("Add", w.node("Mul", value, w.floats(layer.scale)), w.floats(layer.offset))


_LAYERS: dict[type, Callable[[_Writer, Any, str], str]] = {
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.Conv2DTranspose: _transposed,
    layers.MaxPooling2D: _pooled("MaxPool"),
    layers.AveragePooling2D: _pooled("AveragePool"),
    layers.UpSampling2D: _upsampled,
    layers.BatchNormalization: _batch_normalised,
    layers.Activation: lambda w, layer, value: value,
    layers.ReLU: _rectified,
    layers.LeakyReLU: lambda w, layer, value: w.node("LeakyRelu", value, alpha=float(layer.negative_slope)),
    layers.ELU: lambda w, layer, value: w.node("Elu", value, alpha=float(layer.alpha)),
    layers.PReLU: _parametric,
    layers.Softmax: _softmax,
    layers.ZeroPadding2D: _padded,
    layers.Rescaling: _rescaled,
}
KNOWN = tuple(kind.__name__ for kind in (*_PASSED, *_MERGES, layers.Concatenate, *_LAYERS))
