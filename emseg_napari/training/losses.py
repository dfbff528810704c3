"""Loss functions over labelled pixels: cross-entropy, soft Dice, and the anchor to a start.

Unlabelled pixels have no weight, so a few strokes can train.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from emseg_napari.settings import TrainingSettings

Loss = Callable[[Any, Any], Any]


def masked_loss(settings: TrainingSettings) -> Loss:
    """Return a loss: weighted cross-entropy plus soft Dice over labelled pixels only.

    Soft Dice after Milletari et al. 2016, doi:10.1109/3DV.2016.79.

    Parameters
    ----------
    settings : TrainingSettings
        Its `boundary_weight` and `dice_weight`.

    Returns
    -------
    callable
        Of a target (batch, y, x, 2), see `PatchSampler.batch`, and a boundary
        probability (batch, y, x, 1); its value is a scalar.
    """
    boundary_weight, dice_weight = settings.boundary_weight, settings.dice_weight

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


def anchored_loss(settings: TrainingSettings) -> Loss:
    """Return the loss of settings plus an anchor: unlabelled pixels keep the start's predictions.

    A few strokes say nothing about the other pixels, and steps towards the strokes alone make a network
    forget what it had learned. The anchor is not a label: its gradient is 0 where the network agrees with
    its start, so no proposal can confirm itself. After Li & Hoiem 2016, doi:10.1007/978-3-319-46493-0_37.

    Parameters
    ----------
    settings : TrainingSettings
        Weights of the loss over labelled pixels, and `anchor_weight`.

    Returns
    -------
    callable
        Of a target (batch, y, x, 3), whose third channel is the start's boundary probability, and a
        boundary probability (batch, y, x, 1); its value is a scalar.
    """
    masked = masked_loss(settings)

    def loss(target: Any, probability: Any) -> Any:
        unlabelled = ops.cast(target[..., 1:2] == 0, "float32")
        start, now = (ops.clip(p, 1e-6, 1 - 1e-6) for p in (target[..., 2:], probability))
        # Kullback-Leibler divergence: 0 where both agree.
        apart = start * ops.log(start / now) + (1 - start) * ops.log((1 - start) / (1 - now))
        anchor = ops.mean(unlabelled * apart)  # over all pixels: the fewer have no label, the less they count
        return masked(target[..., :2], probability) + settings.anchor_weight * anchor

    return loss
