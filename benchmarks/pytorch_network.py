"""A network of ours in PyTorch, as others would run it; `throughput.py` compares."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np


class TorchNetwork:
    """Layers as `emseg_napari.models.onnx_export` reads them, in channels_last and inference mode.

    Parameters
    ----------
    torch : module
    layers : dict
        The attributes of each, by name, in order.
    precision : torch.dtype
        Of weights and values.
    """

    def __init__(self, torch: Any, layers: dict[str, dict[str, Any]], precision: Any) -> None:
        self._torch, self._precision = torch, precision
        self._layers = {name: self._held(layer) for name, layer in layers.items()}
        self._wanted = Counter(name for layer in layers.values() for name in layer["inputs"])

    def _held(self, layer: dict[str, Any]) -> dict[str, Any]:
        if layer["weights"] is None:
            return layer
        weights = self._torch.tensor(layer["weights"]).to(self._precision)
        return layer | {
            "weights": weights.contiguous(memory_format=self._torch.channels_last),
            "bias": self._torch.tensor(layer["bias"]).to(self._precision),
        }

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Map float32 (batch, y, x, 1) to the same shape."""
        with self._torch.inference_mode():
            value = self._torch.from_numpy(image).permute(0, 3, 1, 2).to(self._precision)
            values = {"image": value.contiguous(memory_format=self._torch.channels_last)}
            left = self._wanted.copy()
            for name, layer in self._layers.items():
                inputs = [values[before] for before in layer["inputs"]]
                values[name] = value = self._value(layer, inputs)
                left.subtract(layer["inputs"])
                for before in layer["inputs"]:
                    if not left[before]:
                        values.pop(before, None)
            return value.float().permute(0, 2, 3, 1).numpy()

    def _value(self, layer: dict[str, Any], inputs: list[Any]) -> Any:
        functions = self._torch.nn.functional
        if layer["kind"] == "Concat":
            return self._torch.cat(inputs, 1)
        if layer["kind"] == "MaxPool":
            return functions.max_pool2d(inputs[0], layer["stride"])
        if layer["kind"] == "Activation":
            found = inputs[0]
        elif layer["kind"] == "ConvTranspose":
            found = functions.conv_transpose2d(inputs[0], layer["weights"], layer["bias"], layer["stride"])
        else:
            found = self._convolved(layer, inputs[0])
        activations = {"Relu": self._torch.relu_, "Sigmoid": self._torch.sigmoid_}
        return activations[layer["activation"]](found) if layer["activation"] else found

    def _convolved(self, layer: dict[str, Any], value: Any) -> Any:
        functions = self._torch.nn.functional
        missing = layer["weights"].shape[2] - layer["stride"]
        if missing % 2:
            value = functions.pad(value, [0, 1, 0, 1])
        return functions.conv2d(value, layer["weights"], layer["bias"], layer["stride"], missing // 2)
