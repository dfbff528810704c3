"""What must be known of a network to use it, and what of that its file does not say: that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.description import Description, Step, Tensor
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.settings import Settings

Activation = Literal["none", "sigmoid", "softmax"]
Meaning = Literal["boundary", "interior"]
_BOUNDARY = ("bound", "membran", "border", "edge", "contour")
_INTERIOR = ("interior", "inside", "foreground", "cell", "cytoplasm")
NORMALISATIONS = {
    "none": "grey values as they are",
    "standard": "mean 0 and standard deviation 1, of each slice",
    "range": "from 0 to 1, of each slice; range:1:99.8 between these percentiles",
    "median": "as emseg-napari: median 0, distance of the percentiles 5 and 95 becomes 1",
    "fixed:127:50": "127 becomes 0 and 127 + 50 becomes 1, in all slices",
}


class Answers(Settings):
    """What a user says of a network; None is not said.

    Attributes
    ----------
    normalisation : str, optional
        See `NORMALISATIONS`.
    channel : int, optional
        Of its output, from 0.
    channel_is : str, optional
        What a large value in this channel means.
    activation : str, optional
        What makes probabilities of its output.
    pixel_nm : float, optional
        Side of the pixels that it was made for, in nm; it is kept in the record.
    """

    normalisation: str | None = None
    channel: int | None = None
    channel_is: Meaning | None = None
    activation: Activation | None = None
    pixel_nm: float | None = Field(None, gt=0)

    @property
    def given(self) -> dict[str, str]:
        """Those that were given, as text."""
        return {name: str(value) for name, value in self.model_dump(exclude_none=True).items()}


@dataclass(frozen=True)
class Known:
    """What is known of a network.

    Attributes
    ----------
    normalisation : Normalisation or None
        None where it must be asked, as for all others.
    channel : int or None
    channel_is : str or None
    activation : str or None
        None if nothing is said, so that it may give probabilities.
    threshold : float or None
        Of the channel, if the network was meant to give labels.
    """

    normalisation: Normalisation | None = None
    channel: int | None = None
    channel_is: Meaning | None = None
    activation: Activation | None = None
    threshold: float | None = None

    @property
    def boundary_threshold(self) -> float | None:
        """The same of the boundary probability."""
        if self.threshold is None or self.channel_is != "interior":
            return self.threshold
        return 1 - self.threshold

    @property
    def missing(self) -> list[str]:
        """Names of the `Answers` that must be given."""
        return [name for name in ("normalisation", "channel", "channel_is") if getattr(self, name) is None]

    def with_answers(self, answers: Answers) -> Known:
        """Return the same with what a user says, which counts more than what the file says.

        Raises
        ------
        UserError
            If a normalisation cannot be read.
        """
        chosen = parsed_normalisation(answers.normalisation) if answers.normalisation else self.normalisation
        channel = self.channel if answers.channel is None else answers.channel
        # What the file says of one channel is nothing about another.
        meaning = self.channel_is if channel == self.channel else None
        return Known(
            chosen,
            channel,
            answers.channel_is or meaning,
            answers.activation or self.activation,
            self.threshold,
        )


def parsed_normalisation(text: str) -> Normalisation:
    """Return the normalisation that a user writes, see `NORMALISATIONS`."""
    kind, *numbers = text.strip().lower().split(":")
    try:
        values = [float(number) for number in numbers]
        if kind == "none" and not values:
            return _fixed(0.0, 1.0)
        if kind in ("standard", "median") and not values:
            return Normalisation(method=kind, borders="counted")
        if kind == "range" and len(values) in (0, 2):
            return _range(*(values or (0.0, 100.0)))
        if kind == "fixed" and len(values) == 2:
            return _fixed(*values)
    except ValueError:
        pass
    raise UserError(
        f"'{text}' is not a normalisation; choose one of: "
        + "; ".join(f"{name} ({words})" for name, words in NORMALISATIONS.items())
        + "."
    )


def _range(low: float, high: float) -> Normalisation:
    if not 0 <= low < high <= 100:
        raise ValueError("no percentiles")
    return Normalisation(method="range", low_percent=low, high_percent=high, borders="counted")


def _fixed(middle: float, span: float) -> Normalisation:
    if not span:
        raise ValueError("no distance")
    return Normalisation(method="fixed", middle=middle, span=span, borders="counted")


def known_from(description: Description, name: str) -> Known:
    """Return what a package says of its network.

    Raises
    ------
    UserError
        If it processes images or outputs in a way that cannot be repeated here.
    """
    image, output = description.image, description.outputs[0]
    activation, threshold = _activation(output, name)
    channel, meaning = _channel(output)
    return Known(_normalisation(image.preprocessing, name), channel, meaning, activation, threshold)


def _channel(output: Tensor) -> tuple[int | None, Meaning | None]:
    """Return the channel that is meant and what it means, as far as the names of the channels tell."""
    names = [f"{name}".lower() for name in output.channel_names]
    if len(names) == 1:
        names = [f"{names[0]} {output.id.lower()}"]
    for words, meaning in ((_BOUNDARY, "boundary"), (_INTERIOR, "interior")):
        found = [i for i, one in enumerate(names) if any(word in one for word in words)]
        if len(found) == 1:
            return found[0], meaning  # type: ignore[return-value]
    return (0, None) if len(names) == 1 else (None, None)


def _normalisation(steps: list[Step], name: str) -> Normalisation:
    """Return the normalisation that all steps together are: the last that looks at the slice decides."""
    present = _fixed(0.0, 1.0)
    for step in steps:
        if step.id == "ensure_dtype":
            continue
        if present.limits is not None:
            raise _unknown(step, name)
        following = _step(step, name)
        if following.limits is not None:
            present = present.model_copy(update={"limits": following.limits})
        elif following.method != "fixed" and present.span > 0:
            present = following  # what was shifted and scaled before makes no difference
        elif present.method == following.method == "fixed":
            present = _fixed(present.middle + present.span * following.middle, present.span * following.span)
        else:
            raise _unknown(step, name)
    return present


def _step(step: Step, name: str) -> Normalisation:
    """Return what a step of a package does to grey values."""
    given = step.options
    try:
        if step.id == "zero_mean_unit_variance":
            return Normalisation(method="standard", borders="counted")
        if step.id == "scale_range" and not given.get("reference_tensor"):
            return _range(float(given.get("min_percentile", 0)), float(given.get("max_percentile", 100)))
        if step.id == "fixed_zero_mean_unit_variance":
            return _fixed(_number(given["mean"]), _number(given["std"]))
        if step.id == "scale_linear":
            gain, offset = _number(given.get("gain", 1.0)), _number(given.get("offset", 0.0))
            return _fixed(-offset / gain, 1 / gain)
        if step.id == "clip":
            return Normalisation(limits=(float(given["min"]), float(given["max"])))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, ValidationError):
        pass
    raise _unknown(step, name)


def _number(value: Any) -> float:
    """Return a number, or the only one of a list: there is one channel."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value)


def _activation(output: Tensor, name: str) -> tuple[Activation | None, float | None]:
    """Return what makes probabilities, and from which one a pixel is labelled."""
    activation: Activation | None = None
    threshold: float | None = None
    for step in output.postprocessing:
        if step.id == "ensure_dtype" or (step.id == "clip" and _is_unit(step.options)):
            continue
        if step.id == "sigmoid" and activation is None:
            activation = "sigmoid"
        elif step.id == "softmax" and activation is None and step.options.get("axis", "channel") == "channel":
            activation = "softmax"
        elif step.id == "binarize" and isinstance(step.options.get("threshold"), int | float):
            threshold = float(step.options["threshold"])
        else:
            raise _unknown(step, name)
    return activation, threshold if threshold is None or 0 < threshold < 1 else None


def _is_unit(given: Mapping[str, Any]) -> bool:
    return given.get("min") == 0 and given.get("max") == 1


def _unknown(step: Step, name: str) -> UserError:
    return UserError(
        f"{name} processes its images with '{step.id}' ({step.options}), which cannot be repeated here in "
        "that place; choose another network."
    )
