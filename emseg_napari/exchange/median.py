"""Median of the image, subtracted by an ONNX network itself.

A bioimage.io package can say that the distance of two percentiles becomes 1, but not that the median becomes
0. So exported networks do the latter themselves (`keras_network.with_median` is the same in Keras).
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, helper

_PREFIX = "median/"  # of the nodes and values that are added
_INPUT = "image"  # of the network as `models.onnx_export` writes it
_CONSTANTS = {"rows": [0, -1], "one": [1], "two": [2], "pixel": [-1, 1, 1, 1]}


def with_median(network: bytes) -> bytes:
    """Return an ONNX network, float32 (batch, y, x, 1), that subtracts the median of each image before."""
    model = onnx.load_model_from_string(network)
    graph = model.graph
    nodes = [
        _node("Reshape", ["raw", "rows"], ["flat"]),
        _node("Shape", ["flat"], ["count"], start=1, end=2),
        _node("Div", ["count", "two"], ["second"]),
        _node("Add", ["second", "one"], ["half"]),
        # The smaller half, sorted: its last value, and of an even number the one before, lie in the middle.
        _node("TopK", ["flat", "half"], ["low", "places"], axis=1, largest=0, sorted=1),
        _node("Sub", ["count", "one"], ["last"]),
        _node("Div", ["last", "two"], ["first"]),
        _node("Concat", ["first", "second"], ["middle"], axis=0),
        _node("Gather", ["low", "middle"], ["both"], axis=1),
        _node("ReduceMean", ["both"], ["mean"], axes=[1], keepdims=1),
        _node("Reshape", ["mean", "pixel"], ["median"]),
        helper.make_node("Sub", [f"{_PREFIX}raw", f"{_PREFIX}median"], [_INPUT], name=f"{_PREFIX}Sub"),
    ]
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        helper.make_tensor(_PREFIX + name, TensorProto.INT64, [len(values)], values)
        for name, values in _CONSTANTS.items()
    )
    graph.input[0].name = f"{_PREFIX}raw"
    content: bytes = model.SerializeToString()
    return content


def without_median(network: bytes) -> bytes:
    """Return the network that was given to `with_median`, byte for byte."""
    model = onnx.load_model_from_string(network)
    for parts in (model.graph.node, model.graph.initializer):
        kept = [part for part in parts if not part.name.startswith(_PREFIX)]
        del parts[:]
        parts.extend(kept)
    model.graph.input[0].name = _INPUT
    content: bytes = model.SerializeToString()
    return content


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    named = ([_PREFIX + name for name in names] for names in (inputs, outputs))
    return helper.make_node(kind, *named, name=_PREFIX + outputs[0], **attributes)
