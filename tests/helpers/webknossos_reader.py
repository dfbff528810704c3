"""Reads a webKnossos dataset and its annotation with webKnossos' own library; a program of its environment.

    python webknossos_reader.py DATASET VALUES.npz

What it finds is written as JSON to stdout, and the voxels of all layers (x, y, z) to VALUES.npz.
"""

import json
import sys
import warnings
from typing import Any

import numpy as np

warnings.simplefilter("ignore")  # of readers of images that are not installed

import webknossos  # noqa: E402


def described(layer: Any) -> dict[str, Any]:
    box = layer.bounding_box
    return {
        "category": layer.category,
        "dtype": str(layer.dtype),
        "begin": list(box.topleft),
        "shape": list(box.size),
        "mags": [str(mag) for mag in layer.mags],
        "largest": getattr(layer, "largest_segment_id", None),
    }


def main(folder: str, values: str) -> None:
    dataset = webknossos.Dataset.open(folder)
    unit = dataset.voxel_size_with_unit
    found = {"name": dataset.name, "voxel": [*unit.factor], "unit": unit.unit.value, "layers": {}}
    voxels = {}
    for name, layer in dataset.layers.items():
        found["layers"][name] = described(layer)
        for mag in layer.mags:
            voxels[f"{name} {mag}"] = layer.get_mag(mag).read()[0]
    if (dataset.path / "annotation.zip").exists():
        annotation = webknossos.Annotation.load(f"{folder}/annotation.zip")
        found["annotation"] = {
            "dataset": annotation.dataset_name,
            "voxel": [*annotation.voxel_size],
            "layers": [*annotation.get_volume_layer_names()],
        }
        with annotation.temporary_volume_layer_copy() as layer:
            found["annotation"] |= described(layer)
            voxels["annotation"] = layer.get_mag(1).read()[0]
    np.savez(values, **voxels)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
