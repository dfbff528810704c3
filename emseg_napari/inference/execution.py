"""What a network is computed on and in which precision: the processor in float32, or what is faster.

What there may be is said by the package of ONNX Runtime that is installed: each of its execution providers
computes on one kind of device.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

import onnxruntime

_ON_PROCESSOR = "CPUExecutionProvider"
_WORDS = {_ON_PROCESSOR: "processor", "CUDAExecutionProvider": "CUDA", "DmlExecutionProvider": "DirectML"}
# A search by time, the default, may choose another algorithm, with other roundings, in each process.
_CUDA = {"cudnn_conv_algo_search": "HEURISTIC"}
# Of each provider the precisions and their options. TF32 has float32's range and float16's accuracy.
_GPUS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "CUDAExecutionProvider": {
        "float32": _CUDA | {"use_tf32": "0"},
        "TF32": _CUDA | {"use_tf32": "1"},
        "float16": _CUDA,
    },
    "DmlExecutionProvider": {"float32": {}, "float16": {}},
}


@dataclass(frozen=True)
class Execution:
    """What a network is computed on; as text such as "CUDA, float16".

    Attributes
    ----------
    provider : str
        ONNX Runtime's name of an execution provider.
    precision : str
        "float32"; "float16" or "TF32" on GPUs; "bfloat16" of matrix products on ARM processors.
    """

    provider: str = _ON_PROCESSOR
    precision: str = "float32"

    def __str__(self) -> str:
        return f"{_WORDS.get(self.provider, self.provider)}, {self.precision}"

    @property
    def on_gpu(self) -> bool:
        """Whether it is computed on a GPU."""
        return self.provider != _ON_PROCESSOR

    @property
    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """ONNX Runtime's providers and their options, the first where it can."""
        gpu = [(self.provider, dict(_GPUS[self.provider][self.precision]))] if self.on_gpu else []
        return [*gpu, (_ON_PROCESSOR, {})]


# What every machine has, and what all others are compared with.
PROCESSOR = Execution()


def candidates() -> list[Execution]:
    """Return what may be faster on this machine than `PROCESSOR`; on most there is nothing.

    Nor is there if the environment variable EMSEG_ON_PROCESSOR is set.

    Of processors only ARM's: on x86 (one thread of an AMD EPYC with avx512_vnni, ONNX Runtime 1.32, December
    2026) the starter takes as long in float16; in int8 it takes 0.4 times as long, but differs on the phantom
    by 0.19, and by 0.04 at least if only one convolution is in int8.
    """
    if os.environ.get("EMSEG_ON_PROCESSOR"):
        return []
    found = [
        Execution(provider, precision)
        for provider in onnxruntime.get_available_providers()
        for precision in _GPUS.get(provider, ())
    ]
    on_arm = platform.machine().lower() in ("arm64", "aarch64")
    return found + [Execution(precision="bfloat16")] * on_arm
