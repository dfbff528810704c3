"""The loss: what is labelled counts, and boundary counts more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops


def masked_loss(boundary_weight: float, dice_weight: float) -> Callable[[Any, Any], Any]:
    """Return the loss: weighted cross-entropy plus soft Dice over labelled pixels only.

    Soft Dice after Milletari et al. 2016, doi:10.1109/3DV.2016.79.

    Parameters
    ----------
    boundary_weight : float
        Weight of a boundary pixel in the cross-entropy; interior has 1.
    dice_weight : float
        Weight of the Dice term; 0 leaves it out.

    Returns
    -------
    callable
        Of a target (batch, y, x, 2), see `PatchSampler.batch`, and a boundary
        probability (batch, y, x, 1); its value is a scalar.
    """

    def loss(target: Any, probability: Any) -> Any:
        boundary, labelled = target[..., :1], target[..., 1:]
        probability = ops.clip(probability, 1e-6, 1 - 1e-6)
        entropy = -boundary_weight * boundary * ops.log(probability) - (1 - boundary) * ops.log(
            1 - probability
        )
        result = ops.sum(labelled * entropy) / (ops.sum(labelled) + 1)
        if dice_weight:
            overlap = ops.sum(labelled * boundary * probability)
            total = ops.sum(labelled * (boundary + probability))
            result += dice_weight * (1 - (2 * overlap + 1) / (total + 1))
        return result

    return loss
