"""Train the starter network that comes with the package.

    python benchmarks/make_starter.py IMAGE LABELS OUTPUT [--slices 0:24] [--minutes M] [--threshold T]

Trains `compact` long on all the labelled slices of the ISBI 2012 stack, with augmentation for other
microscopes, and writes a run folder whose two copies of the weights are small: float16 in
``network.onnx`` (cast back to float32 as it is loaded) and the same values, compressed, in
``best.keras``. Nothing is held out of it, so the threshold to give it is one that suits a second
starter, trained with ``--slices 0:20``, on the slices that this had not seen.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from emseg_napari import train
from emseg_napari.core.files import atomic_write
from emseg_napari.io.stacks import parse_range, read_image, read_labels
from emseg_napari.models.run import Run
from emseg_napari.settings.training import OTHER_MICROSCOPES

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--slices", type=parse_range, default=(0, 24))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument(
        "--threshold", type=float, help="of the labels; chosen on trained slices if not given"
    )
    chosen = parser.parse_args()
    run = train(
        read_image(chosen.image),
        read_labels(chosen.labels),
        chosen.output,
        report=print,
        start="nothing",
        slices=chosen.slices,
        minutes=chosen.minutes,
        hold_out=False,
        seed=SEED,
        **OTHER_MICROSCOPES,
    )
    if chosen.threshold is not None:
        run.update(threshold=chosen.threshold)
    halve_weights(run)


def halve_weights(run: Run) -> None:
    """Round both copies of the weights to float16 and leave out what only a resumed training needs."""
    network = onnx.load(run.network_file)
    halve_network(network.graph)
    onnx.checker.check_model(network)
    with atomic_write(run.network_file) as temporary:
        onnx.save(network, temporary)
    halve_checkpoint(run.best_checkpoint)
    for name in ("last.keras", "steps.npy"):
        (run.folder / name).unlink()


def halve_network(graph: onnx.GraphProto) -> None:
    """Store large weights as float16, each followed by a cast to float32."""
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def halve_checkpoint(path: Path) -> None:
    """Round the weights of a checkpoint to what float16 holds, drop the optimiser, compress."""
    import keras

    from emseg_napari.models.checkpoints import load_checkpoint
    from emseg_napari.models.unet import build

    model = build("compact")
    load_checkpoint(model, path)
    model.set_weights([w.astype(np.float16).astype(np.float32) for w in model.get_weights()])
    keras.saving.save_model(model, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


if __name__ == "__main__":
    main()
