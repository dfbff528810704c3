"""What a bioimage.io package says of a network, as far as it is used here.

Field by field after https://bioimage-io.github.io/spec-bioimage-io (model description 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.package_files import PackageFiles

_MOST_BYTES = 2**20
LAYOUTS = ("bcyx", "byxc", "byx")
_USABLE = ("keras_v3", "onnx")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileEntry(_Part):
    """File of the package."""

    source: str
    sha256: str | None = None
    external_data: Any = None  # of ONNX weights: a second file


class Sizes(_Part):
    """Sizes that an axis may have: `min`, and any number of `step` more."""

    min: int = Field(gt=0)
    step: int = Field(gt=0)


class Reference(_Part):
    """Size of another axis, and how much more."""

    tensor_id: str
    axis_id: str
    offset: int = 0


class Axis(_Part):
    """Axis of a tensor."""

    type: Literal["batch", "channel", "space", "time", "index"]
    id: str = ""
    size: int | Sizes | Reference | dict[str, Any] | None = None
    unit: str | None = None
    scale: float = 1.0
    halo: int = Field(0, ge=0)
    channel_names: list[str] | str = Field(default_factory=list)

    @property
    def name(self) -> str:
        """Its identifier, "x" of a spatial one that has none."""
        return self.id or ("x" if self.type == "space" else self.type)


class Step(_Part):
    """Step of the processing of a tensor."""

    id: str
    options: dict[str, Any]  # "kwargs" in the file


def _steps(value: Any) -> Any:
    if not isinstance(value, list):
        return [] if value is None else value
    return [
        {"id": step.get("id"), "options": step.get("kwargs") or {}} if isinstance(step, dict) else step
        for step in value
    ]


Steps = Annotated[list[Step], BeforeValidator(_steps)]


class Tensor(_Part):
    """Input or output."""

    id: str = ""
    axes: list[Axis] = Field(min_length=1)
    optional: bool = False
    preprocessing: Steps = Field(default_factory=list)
    postprocessing: Steps = Field(default_factory=list)
    test_tensor: FileEntry | None = None

    def axis(self, name: str) -> Axis | None:
        """Return the axis of a name."""
        return next((axis for axis in self.axes if axis.name == name), None)

    @property
    def layout(self) -> str:
        """Its axes in their order: "b", "c", "z", "y", "x", "t" or "i"."""
        return "".join(axis.name[-1:] if axis.type == "space" else axis.type[0] for axis in self.axes)

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels; a single one if it has no axis of channels."""
        axis = next((axis for axis in self.axes if axis.type == "channel"), None)
        if axis is None:
            return [self.id]
        names = axis.channel_names
        return [names] if isinstance(names, str) else list(names)


class Author(_Part):
    """Author of a package."""

    name: str


class Cite(_Part):
    """Work to cite."""

    text: str = ""
    doi: str | None = None
    url: str | None = None

    @property
    def words(self) -> str:
        """The work with its address."""
        return " ".join(filter(None, [self.text, f"doi:{self.doi}" if self.doi else self.url]))


class Description(_Part):
    """Description of a network."""

    format_version: str
    type: Literal["model"]
    name: str
    version: str | int | float | None = None
    license: str | None = None
    authors: list[Author] = Field(default_factory=list)
    cite: list[Cite] = Field(default_factory=list)
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Tensor] = Field(min_length=1)
    weights: dict[str, FileEntry | None]
    attachments: list[FileEntry] = Field(default_factory=list)
    config: dict[str, Any] = Field(default_factory=dict)

    @property
    def image(self) -> Tensor:
        """The only input that is needed."""
        return next(tensor for tensor in self.inputs if not tensor.optional)


def read_description(files: PackageFiles) -> Description:
    """Return what a package says, if it can be used here.

    Raises
    ------
    UserError
        If it is not a model description of format 0.5, or its network cannot be used here.
    """
    found, name = _loaded(files), files.path.name
    written = str(found.get("format_version", "missing"))
    if found.get("type", "model") != "model":
        raise UserError(f"{name} is a {found['type']} of bioimage.io and not a model; choose a model.")
    if not written.startswith("0.5."):
        raise UserError(
            f"{name} has the format {written} of bioimage.io, and 0.5 is read; bring it up to date first: "
            "bioimageio update-format SOURCE OUTPUT."
        )
    try:
        description = Description(**found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{name} has a description that is not of the format 0.5 ({where}: {first['msg']}); check it "
            "first: bioimageio validate-format SOURCE."
        ) from None
    _refuse_other_networks(description, name)
    return description


def _loaded(files: PackageFiles) -> dict[str, Any]:
    try:
        if len(files.description) > _MOST_BYTES:
            raise ValueError("too long")
        loader = yaml.SafeLoader(files.description)
        node = loader.get_single_node()
        if node is None or not _stays_short(node):
            raise ValueError("too long")
        found = loader.construct_document(node)
    except (ValueError, RecursionError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{files.path.name} has a damaged description (no YAML text); get the package again.")
    return found


def _stays_short(node: yaml.Node) -> bool:
    """Return whether a description stays short with all parts in the places of YAML's aliases."""
    return all(total <= _MOST_BYTES for total in accumulate(map(_length, _parts(node))))


def _parts(part: Any) -> Iterator[Any]:
    """Yield a node and those within it, again and again those that aliases repeat."""
    yield part
    if isinstance(part, yaml.CollectionNode):
        for inner in part.value:
            for one in inner if isinstance(inner, tuple) else (inner,):
                yield from _parts(one)


def _length(part: Any) -> int:
    return 1 + len(part.value) if isinstance(part, yaml.ScalarNode) else 1


def _refuse_other_networks(description: Description, name: str) -> None:
    needed = [tensor for tensor in description.inputs if not tensor.optional]
    if len(needed) != 1:
        raise UserError(
            f"{name} needs {len(needed)} inputs, and an image alone can be given; choose another network."
        )
    (image,) = needed
    if "z" in image.layout:
        raise UserError(
            f"{name} is a 3-D network, and slices are predicted one by one here; choose a 2-D network."
        )
    if image.layout not in LAYOUTS:
        axes = ", ".join(axis.name for axis in image.axes)
        raise UserError(
            f"{name} takes the axes {axes}, and an image of batch, channel, y, x or batch, y, x, channel is "
            "given here; choose another network."
        )
    channels = len(image.channel_names)
    if channels != 1:
        raise UserError(
            f"{name} takes images of {channels} channels, and grey images have one; choose another network."
        )
    usable = [one for one in _USABLE if description.weights.get(one)]
    if not usable:
        others = ", ".join(one for one, entry in description.weights.items() if entry) or "none"
        raise UserError(
            f"{name} has no weights that emseg-napari reads: it has {others}, and keras_v3 or onnx is "
            "needed; ask its authors, or convert it (bioimageio add-weights SOURCE OUTPUT)."
        )
