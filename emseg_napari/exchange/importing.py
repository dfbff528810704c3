"""Import of a network as a run folder: a bioimage.io package, a Keras file or an ONNX file.

Nothing that comes with a network is run but the network itself: layers of Keras that are known by their
names, or the graph in ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from emseg_napari.core.files import atomic_write
from emseg_napari.core.jobs import JobContext, Message, Progress, UserError
from emseg_napari.core.owned_output import replacing_folder
from emseg_napari.core.text import counted
from emseg_napari.exchange.answers import Answers, Known
from emseg_napari.exchange.halo import halo_needed
from emseg_napari.exchange.onnx_network import Head, Trial, checked, loaded, tried, with_head
from emseg_napari.exchange.package_files import KERAS_FILE
from emseg_napari.exchange.source import OwnPackage, Source, read_source
from emseg_napari.inference.tiles import HALOS
from emseg_napari.io.samples import phantom
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.run import Run, RunRecord, open_run, versions
from emseg_napari.models.run_folder import check_new_run
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.keras_import import import_keras

_TRIAL_PX = 512
_NEAR = 0.01  # to which the test output of a package is given again


class Unanswered(UserError):
    """Something must be known of a network that its file does not say.

    Parameters
    ----------
    sentence : str
    unanswered : tuple of str
        Names of the `Answers` that are missing, also an attribute.
    """

    def __init__(self, sentence: str, unanswered: tuple[str, ...]) -> None:
        super().__init__(sentence)
        self.unanswered = unanswered


def import_network(
    path: Path, folder: Path, answers: Answers | None = None, context: JobContext | None = None
) -> Run:
    """Import a network.

    Parameters
    ----------
    path : Path
        A package (zip file, folder, or the description in it), a ``.keras`` or a ``.onnx`` file.
    folder : Path
        The run folder to write.
    answers : Answers, optional
        What the file does not say.
    context : JobContext, optional
        Gets a `Progress` per part, and a `Message` of what is to be known of the network.

    Returns
    -------
    Run
        With the network, and weights from which a training can start if there are weights for Keras.

    Raises
    ------
    Unanswered
        If something must be known of it.
    UserError
        If it cannot be imported.
    """
    context = context or JobContext()
    check_new_run(folder)
    context.report(Progress(0.0, None, "reading the network"))
    source = read_source(path)
    with replacing_folder(folder) as new:
        if isinstance(source, OwnPackage):
            _write_own(source, new)
        else:
            _write_foreign(source, answers or Answers(), new, context)
    return open_run(folder)


def _write_own(source: OwnPackage, folder: Path) -> None:
    """Write a run that was exported."""
    for name, content in source.files.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_bytes(content)
    loaded(source.files["network.onnx"], source.imported.file)
    run = open_run(folder)
    if run.settings.network not in HALOS or not run.record.finished:
        raise UserError(f"{source.imported.file} holds no finished network; export it again.")
    run.update(imported=source.imported.model_copy(update={"trained_by_emseg": True}))


def _write_foreign(source: Source, answers: Answers, folder: Path, context: JobContext) -> None:
    known, name = source.known.with_answers(answers), source.imported.file
    network = _network(source, known, context)
    context.report(Progress(0.8, None, "predicting a test image with it"))
    if source.outputs > 1:
        context.report(Message(f"{name} gives {source.outputs} images; the first is used."))
    assert known.normalisation is not None
    grid_px, session = network.trial.grid_px, loaded(network.onnx, name)
    halo_px = halo_needed(session, name, _trial_image(known), grid_px, source.imported.halo_px)
    imported = source.imported.model_copy(
        update={
            "weights": "onnx" if network.keras is None else "keras_v3",
            "answers": answers.given,
            "grid_px": grid_px,
            "halo_px": halo_px,
            "why_no_training": network.why_no_training,
            "pixel_nm": answers.pixel_nm or source.imported.pixel_nm,
        }
    )
    record = RunRecord(
        versions=versions(),
        normalisation=known.normalisation,
        image_shape=(0, 0, 0),
        image_dtype="unknown",
        trained_slices=[],
        held_out_slices=[],
        label_counts={},
        threshold=known.boundary_threshold or 0.5,
        finished=True,
        imported=imported,
    )
    run = Run(folder, TrainingSettings.recipe("imported"), record)
    if source.test is not None:
        _compare(network, source.test, record, source.known, name)
    for file, content in ((run.network_file, network.onnx), (run.best_checkpoint, network.keras)):
        if content is not None:
            with atomic_write(file) as temporary:
                temporary.write_bytes(content)
    run.save()


@dataclass(frozen=True)
class _Network:
    """A network in this program's form."""

    onnx: bytes
    keras: bytes | None
    trial: Trial
    head: Head
    why_no_training: str | None = None


def _network(source: Source, known: Known, context: JobContext) -> _Network:
    """Return the network from its Keras weights, or where that is not possible from its ONNX weights."""
    if source.keras is None:
        why = f"{source.imported.file} has weights for prediction only (ONNX), none for Keras"
        return _of_onnx(source, known, why)
    try:
        context.report(Progress(0.1, None, "starting Keras"))
        return _of_keras(source, source.keras, known)
    except Unanswered:
        raise
    except UserError as error:
        if source.onnx is None:
            raise
        return _of_onnx(source, known, f"its Keras weights cannot be used: {error}")


def _of_onnx(source: Source, known: Known, why_no_training: str) -> _Network:
    assert source.onnx is not None
    name = source.imported.file
    model = checked(source.onnx, name)
    trial = tried(loaded(source.onnx, name), name, _trial_image(known), source.layout, source.step_px)
    head = _head(known, trial, name)
    return _Network(with_head(model, trial, head), None, trial, head, why_no_training)


def _of_keras(source: Source, content: bytes, known: Known) -> _Network:
    import_keras()
    from emseg_napari.exchange.keras_network import opened, written

    name = source.imported.file
    with TemporaryDirectory() as folder:
        path = Path(folder) / (name if name.endswith(".keras") else KERAS_FILE)
        path.write_bytes(content)
        model, onnx = opened(path)
        trial = tried(loaded(onnx, name), name, _trial_image(known), "byxc", source.step_px)
        head = _head(known, trial, name)
        path.unlink()
        onnx = written(model, head, path, trial.grid_px)
        return _Network(onnx, path.read_bytes(), trial, head)


def _trial_image(known: Known) -> np.ndarray:
    """Return a part of the phantom as the network would see it, float32 (y, x)."""
    normalisation = known.normalisation or Normalisation(method="standard")  # until it is answered
    return normalisation.apply(np.pad(phantom()[0][0], (0, 128), mode="reflect")[:_TRIAL_PX, :_TRIAL_PX])


def _head(known: Known, trial: Trial, name: str) -> Head:
    channel = known.channel
    if channel is None and trial.channels == 1:
        channel = 0
    missing = [one for one in known.missing if one != "channel" or channel is None]
    is_probability = trial.lowest >= -_NEAR and trial.highest <= 1 + _NEAR
    activation = known.activation or "none"
    if activation == "none" and not is_probability:
        missing.append("activation")
    if missing:
        raise _unanswered(name, missing, trial)
    assert channel is not None
    if not 0 <= channel < trial.channels:
        raise UserError(
            f"{name} gives {counted(trial.channels, 'channel')}, numbered from 0, so there is no channel "
            f"{channel}; choose another one."
        )
    return Head(activation, channel, known.channel_is == "interior")


_ASKED = {
    "normalisation": "how grey values are normalised",
    "channel": "which channel of its output is meant",
    "channel_is": "whether that is the probability of the boundary or of the interior",
    "activation": "what makes probabilities of its output",
}


def _unanswered(name: str, missing: list[str], trial: Trial) -> Unanswered:
    asked = "; ".join(_ASKED[one] for one in missing)
    return Unanswered(
        f"{name} does not say what must be known of it (it gives {counted(trial.channels, 'channel')}, with "
        f"values from {trial.lowest:.2g} to {trial.highest:.2g}): {asked}.",
        tuple(missing),
    )


def _compare(
    network: _Network, test: tuple[np.ndarray, np.ndarray], record: RunRecord, known: Known, name: str
) -> None:
    """Raise `UserError` if a network does not give the test output of its own package again."""
    image, output = test
    grid_px = network.trial.grid_px
    if (
        known.threshold is not None
        or any(n % grid_px for n in image.shape)
        or image.shape != output.shape[1:]
    ):
        return
    session = loaded(network.onnx, name)
    seen = record.normalisation.apply(image)
    found = session.run(None, {session.get_inputs()[0].name: seen[None, ..., None]})[0][0, ..., 0]
    # Of what the package calls its output: its own processing is done.
    expected = _probability(output, network.head, is_done=known.activation is not None)
    apart = float(np.abs(found - expected).max())
    if not apart <= _NEAR:
        raise UserError(
            f"{name} gives other values here than its own test output (apart by {apart:.2g}): "
            "normalisation, channel "
            "or weights are not as its description says; ask its authors, or give other answers."
        )


def _probability(output: np.ndarray, head: Head, is_done: bool) -> np.ndarray:
    """Return the boundary probability (y, x) that an output (channels, y, x) means."""
    if head.activation == "sigmoid" and not is_done:
        output = 1 / (1 + np.exp(-output))
    elif head.activation == "softmax" and not is_done:
        output = np.exp(output - output.max(0))
        output /= output.sum(0)
    chosen: np.ndarray = output[head.channel]
    return np.clip(1 - chosen if head.inverted else chosen, 0, 1)
