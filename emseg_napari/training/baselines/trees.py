"""Boosted trees on the features of labelled pixels, and their export to ONNX.

Histogram gradient boosting after Ke et al. 2017 (LightGBM), by scikit-learn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from threadpoolctl import threadpool_limits

from emseg_napari.core.extras import import_extra
from emseg_napari.core.files import atomic_write
from emseg_napari.core.jobs import JobContext, Progress
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.inference.tiles import grown, tiles, whole, within
from emseg_napari.io.axes import SliceWindow
from emseg_napari.models.pixel_features import RECIPE_KEY, FeatureRecipe, pixel_features

RECIPE = FeatureRecipe()
TREES = 60
LEARNING_RATE = 0.15
# On ISBI slices three times as many pixels or twice as many trees changed nothing.
PIXELS_PER_CLASS = 30_000
_WINDOW_PX = 512
# Each window gives at most this part of the pixels, so that several slices are seen.
_PART = 8


def sample_pixels(
    image_of: Callable[[int], np.ndarray],
    labels: np.ndarray,
    random: np.random.Generator,
    context: JobContext | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw labelled pixels, half of them boundary.

    Windows are visited in random order until there are `PIXELS_PER_CLASS`, so a scribble counts as much as a
    painted slice. Pixels of the rarer class come several times: weights would slow the fit fivefold.

    Parameters
    ----------
    image_of : callable
        Gives the normalised slice of an index, float32 (y, x).
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    random : numpy.random.Generator
    context : JobContext, optional
        Gets a `Progress` per window.

    Returns
    -------
    features : numpy.ndarray
        float32 (pixels, features).
    is_boundary : numpy.ndarray
        bool (pixels,).

    Raises
    ------
    Cancelled
        If the context says so.
    """
    context = context or JobContext()
    drawn: dict[int, list[np.ndarray]] = {BOUNDARY: [], INTERIOR: []}
    counts = dict.fromkeys(drawn, 0)
    for z, window in _windows(labels, random):
        context.check_stop()
        if min(counts.values()) >= PIXELS_PER_CLASS:
            break
        seen = grown(window, RECIPE.reach_px, labels.shape[1:])
        found = pixel_features(image_of(z)[seen], RECIPE.sigmas_px)[within(window, seen)]
        for kind, parts in drawn.items():
            pixels = _some(labels[z][window] == kind, PIXELS_PER_CLASS - counts[kind], random)
            parts.append(found[pixels])
            counts[kind] += len(parts[-1])
        context.report(Progress(min(counts.values()) / PIXELS_PER_CLASS))
    return _balanced(drawn[BOUNDARY], drawn[INTERIOR])


def _balanced(
    boundary_parts: list[np.ndarray], interior_parts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return as many pixels of either class, those of the rarer one several times, and which are boundary."""
    boundary, interior = np.concatenate(boundary_parts), np.concatenate(interior_parts)
    size = max(len(boundary), len(interior))
    features = np.concatenate([np.resize(part, (size, part.shape[1])) for part in (boundary, interior)])
    return features, np.arange(2 * size) < size


def _windows(labels: np.ndarray, random: np.random.Generator) -> Iterator[tuple[int, SliceWindow]]:
    """Yield slice and window of all windows with labels, in random order."""
    windows = [
        (z, window)
        for z in range(len(labels))
        for window in tiles(whole(labels.shape[1:]), _WINDOW_PX)
        if labels[z][window].any()
    ]
    for number in random.permutation(len(windows)):
        yield windows[number]


def _some(mask: np.ndarray, wanted: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return the indices of some pixels of a mask (y, x), drawn at random."""
    pixels = random.permutation(np.flatnonzero(mask))[: min(wanted, PIXELS_PER_CLASS // _PART)]
    return np.unravel_index(pixels, mask.shape)


def import_sklearn() -> Any:
    """Import scikit-learn's ensembles, which takes seconds; `UserError` if it is not installed."""
    return import_extra("sklearn.ensemble", "trees", "The baseline trees")


def fit_trees(
    features: np.ndarray,
    is_boundary: np.ndarray,
    seed: int = 0,
    context: JobContext | None = None,
) -> Any:
    """Fit a classifier to what `sample_pixels` returned.

    Raises
    ------
    Cancelled
        If the context says so, which is checked after every tree.
    """
    done, context = 0, context or JobContext()

    def after_each_tree(*_: Any, **__: Any) -> float:
        nonlocal done
        context.check_stop()
        done += 1
        context.report(Progress(min(1.0, done / TREES)))
        return 0.0

    # A score that never stops the fit: scikit-learn has no other callback after every tree.
    model = import_sklearn().HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=LEARNING_RATE,
        random_state=seed,
        early_stopping=True,
        scoring=after_each_tree,
        validation_fraction=None,
        n_iter_no_change=TREES + 1,
    )
    # Else joblib looks for an optional system tool and warns where it is missing.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")
    # One thread: it takes two seconds, while several on a busy machine wait for each other.
    with threadpool_limits(1):
        return model.fit(features, is_boundary)


def export_trees(model: Any, path: Path) -> None:
    """Write the classifier as an ONNX file, atomically.

    Input is float32 (pixels, features), output the boundary probability, float32 (pixels, 1). Prediction
    needs nothing else, and nothing in the file is code.
    """
    trees = [tree.nodes for (tree,) in model._predictors]
    score = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["score"],
        domain="ai.onnx.ml",
        base_values=[float(model._baseline_prediction.item())],
        n_targets=1,
        **_attributes(np.concatenate(trees), [len(nodes) for nodes in trees]),
    )
    graph = helper.make_graph(
        [score, helper.make_node("Sigmoid", ["score"], ["boundary"])],
        "trees",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, model.n_features_in_])],
        [helper.make_tensor_value_info("boundary", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    network = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(network, {RECIPE_KEY: RECIPE.model_dump_json()})
    with atomic_write(path) as temporary:
        temporary.write_bytes(network.SerializeToString())


def _attributes(nodes: np.ndarray, lengths: list[int]) -> dict[str, Any]:
    """Translate scikit-learn's nodes of all trees, one after the other, to ONNX's attributes."""
    tree = np.repeat(np.arange(len(lengths)), lengths)
    number = np.concatenate([np.arange(length) for length in lengths])
    leaf = nodes["is_leaf"] == 1
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_featureids": np.where(leaf, 0, nodes["feature_idx"]).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values": np.where(leaf, 0, _rounded_down(nodes["num_threshold"])).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, nodes["left"]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, nodes["right"]).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": number[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": nodes["value"][leaf].tolist(),
    }


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return float32 thresholds that divide float32 features as those of double precision do."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
