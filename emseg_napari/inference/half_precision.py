"""Networks in float16, whose input and output stay float32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def in_half_precision(network: bytes) -> bytes:
    """Return an ONNX file's content whose weights and values are float16 instead of float32.

    Values beyond its range become infinite, and layers that float16 cannot enter fail when it is loaded: what
    it computes must be compared with the original.
    """
    model = onnx.load_model_from_string(network)
    graph = model.graph
    for tensor in (*graph.initializer, *_constants(graph.node)):
        if tensor.data_type == TensorProto.FLOAT:
            with np.errstate(over="ignore"):
                values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in graph.value_info:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Cast" else ():
            if attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    casts = [_cast(side.name, _half(side.name), TensorProto.FLOAT16) for side in graph.input]
    casts_back = [_cast(_half(side.name), side.name, TensorProto.FLOAT) for side in graph.output]
    outside = {side.name for side in (*graph.input, *graph.output)}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [_half(name) if name in outside else name for name in names]
    nodes = [*casts, *graph.node, *casts_back]
    del graph.node[:]
    graph.node.extend(nodes)
    content: bytes = model.SerializeToString()
    return content


def _constants(nodes: Iterable[onnx.NodeProto]) -> list[onnx.TensorProto]:
    return [
        part.t
        for node in nodes
        if node.op_type == "Constant"
        for part in node.attribute
        if part.name == "value"
    ]


def _half(name: str) -> str:
    return f"{name}/float16"


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], to=to)
