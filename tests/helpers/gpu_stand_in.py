"""Stand-in for ONNX Runtime's providers on GPUs: it computes on the processor, and says otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest

from emseg_napari.inference import execution_choice, execution_trials

PROCESSOR, CUDA, DIRECTML = "CPUExecutionProvider", "CUDAExecutionProvider", "DmlExecutionProvider"
_Session = onnxruntime.InferenceSession


@dataclass
class Gpus:
    """What a machine has, and what is done with it.

    Attributes
    ----------
    seconds : dict
        What a run takes on the clock, by the text of an execution.
    errors : dict
        What is added to a probability.
    broken : dict
        What is raised where a session is made.
    full : set of str
        What has no memory for a run.
    most_px : float
        Pixels of a run for which a GPU has memory.
    absent : set of str
        Providers that are offered, but fall back to the processor.
    loaded, ran : list of str
        Of sessions and runs, on what.
    pixels : list of int
        Of runs.
    while_loading : dict
        What is called where a session is made.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    broken: dict[str, BaseException] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    most_px: float = float("inf")
    absent: set[str] = field(default_factory=set)
    loaded: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    now: float = 0.0
    while_running: Callable[[], None] = lambda: None
    while_loading: dict[str, Callable[[], None]] = field(default_factory=dict)

    def clock(self) -> float:
        return self.now


def next_process() -> None:
    """Forget what a process keeps in memory."""
    execution_choice._known.clear()
    execution_trials.check.cache_clear()


def plug_in(monkeypatch: pytest.MonkeyPatch, *providers: str) -> Gpus:
    """Let ONNX Runtime offer some providers besides the processor."""
    gpus = Gpus()
    next_process()

    class Session:
        def __init__(self, network: Any, options: Any, providers: Any, enable_fallback: int = 1) -> None:
            (provider, how), *_ = providers
            precision = "TF32" if how.get("use_tf32") == "1" else "float32"
            precision = "float16" if isinstance(network, bytes) and b"/float16" in network else precision
            words = {PROCESSOR: "processor", CUDA: "CUDA", DIRECTML: "DirectML"}[provider]
            self._name = f"{words}, {precision}"
            gpus.loaded.append(self._name)
            gpus.while_loading.get(self._name, lambda: None)()
            if self._name in gpus.broken:
                raise gpus.broken[self._name]
            assert provider == PROCESSOR or not enable_fallback
            self._providers = [PROCESSOR] if provider in gpus.absent else [provider, PROCESSOR]
            self._session = _Session(network, options, providers=[PROCESSOR])

        def get_providers(self) -> list[str]:
            return self._providers

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def run(self, outputs: Any, given: Any, options: Any = None) -> list[np.ndarray]:
            gpus.ran.append(self._name)
            gpus.now += gpus.seconds.get(self._name, 1.0)
            gpus.while_running()
            gpus.pixels.append(next(iter(given.values())).size)
            too_large = gpus.pixels[-1] > gpus.most_px and self._providers[0] != PROCESSOR
            if self._name in gpus.full or too_large:
                raise RuntimeError("Failed to allocate memory for requested buffer of size 1000\nat a line")
            return [
                found + gpus.errors.get(self._name, 0) for found in self._session.run(outputs, given, options)
            ]

    offered = [*providers, PROCESSOR]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return gpus
