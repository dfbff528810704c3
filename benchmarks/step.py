"""How fast a training step of `compact` is, against the machine's peak and PyTorch.

    python benchmarks/step.py [--torch PYTHON] [--rounds 8]

Three processes wait for each other and take turns, so that they meet the same machine: the step as
`emseg_napari.training.trainer` does it, the same network written in PyTorch (channels_last, float32 and
bfloat16 autocast; PYTHON is an interpreter that has torch), and plain matrix products and
convolutions, whose best is the peak. A step is forward, backward, clipping and AdamW; its input
lies in memory. GFLOP/s count multiplications and additions of the convolutions, three times
those of the forward pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH, PATCH_PX, STEPS = 4, 192, 10
WIDTH, LEVELS = 16, 3


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Make a batch of noise and of targets: image and (boundary, labelled), channels last."""
    random = np.random.default_rng(0)
    image = random.standard_normal((BATCH, PATCH_PX, PATCH_PX, 1)).astype(np.float32)
    boundary = (random.random(image.shape) < 0.2).astype(np.float32)
    return image, np.concatenate([boundary, np.ones_like(boundary)], -1)


def gflop() -> float:
    """Count 10^9 operations of one training step of `compact`."""
    layers, side, channels = [], PATCH_PX // 2, WIDTH
    layers.append((16, 1, WIDTH, side))
    for level in range(LEVELS + 1):
        width = WIDTH * 2**level
        layers += [(9, channels, width, side), (9, width, width, side)]
        channels, side = width, side // 2
    side *= 2
    for level in reversed(range(LEVELS)):
        width = WIDTH * 2**level
        side *= 2
        layers += [(1, channels, width, side), (9, 2 * width, width, side), (9, width, width, side)]
        channels = width
    layers.append((1, channels, 1, 2 * side))
    return 3 * BATCH * sum(2 * k * i * o * s * s for k, i, o, s in layers) / 1e9


def keras_step() -> dict[str, Callable[[], Any]]:
    from emseg_napari.models.unet import build
    from emseg_napari.settings import TrainingSettings
    from emseg_napari.training.devices import Devices
    from emseg_napari.training.learner import compile_network

    image, target = batch()
    devices = Devices()
    found = {}
    for precision in ("float32", "bfloat16"):
        model = build("compact", precision == "bfloat16")
        compile_network(model, TrainingSettings.recipe("compact"))
        found[precision] = lambda model=model: devices.train_on_batch(model, image, target)
    return found


def torch_step() -> dict[str, Callable[[], Any]]:
    import torch

    values, target = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in batch())
    values = values.contiguous(memory_format=torch.channels_last)
    found = {}
    for precision in ("float32", "bfloat16"):
        network = _torch_network(torch).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(
            network.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )
        average = [p.detach().clone() for p in network.parameters()]

        def step(
            network=network, optimiser=optimiser, average=average, mixed=precision == "bfloat16"
        ) -> float:
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                logits = network(values)
            loss = _torch_loss(torch, logits.float(), target[:, :1], target[:, 1:])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            torch._foreach_lerp_(average, [p.detach() for p in network.parameters()], 0.01)
            return loss.item()

        found[precision] = step
    return found


def _torch_network(torch: Any) -> Any:
    nn = torch.nn

    def pair(before: int, after: int) -> Any:
        first, second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        return nn.Sequential(first, nn.ReLU(True), second, nn.ReLU(True))

    class Compact(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [WIDTH * 2**level for level in range(LEVELS + 1)]
            self.stem = nn.Sequential(nn.Conv2d(1, WIDTH, 4, 2, 1), nn.ReLU(True))
            self.down = nn.ModuleList(pair(b, a) for b, a in zip([WIDTH, *widths], widths, strict=False))
            self.up = nn.ModuleList(
                nn.Sequential(nn.ConvTranspose2d(2 * w, w, 2, 2), nn.ReLU(True)) for w in widths[-2::-1]
            )
            self.join = nn.ModuleList(pair(2 * w, w) for w in widths[-2::-1])
            self.head = nn.ConvTranspose2d(WIDTH, 1, 2, 2)

        def forward(self, x: Any) -> Any:
            x, skips = self.stem(x), []
            for number, convolve in enumerate(self.down):
                x = convolve(nn.functional.max_pool2d(x, 2) if number else x)
                skips.append(x)
            skips.pop()
            for enlarge, convolve in zip(self.up, self.join, strict=True):
                x = convolve(torch.cat([skips.pop(), enlarge(x)], 1))
            return self.head(x)

    return Compact()


def _torch_loss(torch: Any, logits: Any, boundary: Any, labelled: Any) -> Any:
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, boundary, labelled * (1 + 2 * boundary), reduction="sum"
    )
    p = torch.sigmoid(logits)
    overlap, total = (labelled * boundary * p).sum(), (labelled * (boundary + p)).sum()
    return entropy / (labelled.sum() + 1) + 1 - (2 * overlap + 1) / (total + 1)


def peaks() -> dict[str, Callable[[], Any]]:
    """Products of 2048 x 2048 (17.2 GFLOP) and 3x3 convolutions 64 -> 64 on 4 x 96 x 96 (2.7 GFLOP)."""
    import tensorflow as tf

    found: dict[str, Callable[[], Any]] = {}
    for kind in (tf.float32, tf.bfloat16):
        a = tf.cast(tf.random.normal((2048, 2048)), kind)
        x, k = (
            tf.cast(tf.random.normal((4, 96, 96, 64)), kind),
            tf.cast(tf.random.normal((3, 3, 64, 64)), kind),
        )
        product = tf.function(lambda a=a: tf.matmul(a, a))
        convolution = tf.function(lambda x=x, k=k: tf.nn.conv2d(x, k, 1, "SAME"))
        found[f"product {kind.name}"] = lambda f=product: f().numpy()
        found[f"convolution {kind.name}"] = lambda f=convolution: f().numpy()
    return found


WORK = {"product": 2 * 2048**3 / 1e9, "convolution": 2 * 9 * 64 * 64 * 4 * 96 * 96 / 1e9}
PARTS = {"keras": keras_step, "torch": torch_step, "peak": peaks}


def serve(part: str) -> None:
    """Time each of a part's works once for every line that comes in."""
    works = PARTS[part]()
    for work in works.values():
        for _ in range(3):
            work()
    for _ in sys.stdin:
        seconds = {}
        for name, work in works.items():
            began = time.perf_counter()
            for _ in range(STEPS):
                work()
            seconds[name] = (time.perf_counter() - began) / STEPS
        sys.stdout.write(json.dumps(seconds) + "\n")
        sys.stdout.flush()


def ask(process: Any) -> dict[str, float]:
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def rounds(interpreters: dict[str, str], count: int) -> Iterator[dict[str, float]]:
    """Yield seconds of every work of every part, a round at a time."""
    asked = {
        part: subprocess.Popen(
            [python, __file__, "--serve", part], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for part, python in interpreters.items()
    }
    for _ in range(count):
        yield {f"{part} {name}": s for part, p in asked.items() for name, s in ask(p).items()}
    for process in asked.values():
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", type=Path, help="an interpreter that has PyTorch")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--serve", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    interpreters = {"keras": sys.executable, "peak": sys.executable}
    if given.torch:
        interpreters["torch"] = str(given.torch)
    table = list(rounds(interpreters, given.rounds))
    step = gflop()
    sys.stdout.write(f"one step of compact: {step:.1f} GFLOP\n")
    for name in table[0]:
        seconds = float(np.median([row[name] for row in table]))
        work = next((w for kind, w in WORK.items() if kind in name), step)
        ratio = float(np.median([row[name] / row["keras float32"] for row in table]))
        sys.stdout.write(
            f"{name:28s} {seconds * 1000:7.1f} ms {work / seconds:6.0f} GFLOP/s {ratio:.2f} x keras\n"
        )


if __name__ == "__main__":
    main()
