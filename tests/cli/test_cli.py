import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from emseg_napari import __version__, inference
from emseg_napari.cli import app, main
from emseg_napari.cli.options import flag_of
from emseg_napari.cli.reporting import quietly
from emseg_napari.cli.train import FLAGS, _figures, _sentence
from emseg_napari.core.jobs import Cancelled, EpochEnded, JobContext
from emseg_napari.core.labels import INTERIOR, to_isbi
from emseg_napari.doctor.finding import problem
from emseg_napari.io.records import read_description
from emseg_napari.io.samples import phantom
from emseg_napari.io.stacks import read_labels
from emseg_napari.models.run import Run, RunRecord, open_run
from emseg_napari.settings import PredictionSettings, TrainingSettings
from helpers.paths import CHECKOUT

COMMAND = (sys.executable, "-m", "emseg_napari")
EPOCHS = 9  # with one digit, and more than are done when Ctrl+C comes
OPTIONS = (
    *("--patch-px", "64", "--batch-size", "1", "--epochs", str(EPOCHS), "--steps-per-epoch", "1"),
    *("--slices", "0:5", "--validate", "4:5", "--seed", "7", "--learning-rate", "0.002"),
    *("--from", "nothing"),  # which takes less time
)
CROP = np.s_[:6, 40:140, 60:180]
# Without these a terminal program may think that it writes to no terminal, or to one when it does not.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")} | {
    "TERM": "xterm"
}


def emseg(*words: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [*COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT)


def test_of_a_file_that_is_cut_off_only_a_sentence_is_said(tmp_path: Path) -> None:
    """And nothing of what tifffile logs."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 40, 50), np.uint8), imagej=True)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[:-900])
    done = emseg("info", tmp_path / "a.tif")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("emseg: a.tif is cut off")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corner of the phantom, image and ISBI labels, as a user has them."""
    folder = tmp_path_factory.mktemp("my stack")
    image, labels = phantom()
    tifffile.imwrite(folder / "image.tif", image[CROP])
    tifffile.imwrite(folder / "labels.tif", to_isbi(labels[CROP]))
    return folder / "image.tif", folder / "labels.tif"


@dataclass
class Interrupted:
    """A training that was begun as `words`, and ended with Ctrl+C after its first epoch."""

    words: list[str]
    run: Run
    exit_code: int
    stderr: str


@pytest.fixture(scope="session")
def interrupted(sample: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """One real training, up to Ctrl+C (Windows: to its end, for it sends no SIGINT to a single process)."""
    folder = tmp_path_factory.mktemp("runs") / "first run"
    words = ["train", *map(str, sample), "--output", str(folder), *OPTIONS]
    said = []
    with subprocess.Popen(
        [*COMMAND, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=ENVIRONMENT
    ) as process:
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch 1,") and sys.platform != "win32":
                process.send_signal(signal.SIGINT)
    return Interrupted(words, open_run(folder), process.returncode, "".join(said))


@pytest.fixture(scope="session")
def training(interrupted: Interrupted) -> tuple[Run, subprocess.CompletedProcess[str]]:
    """The same training resumed and finished, and what that wrote."""
    done = emseg(*interrupted.words, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    return open_run(interrupted.run.folder), done


@pytest.fixture
def predict(sample: tuple[Path, Path], training: tuple[Run, object], tmp_path: Path) -> Callable[..., Path]:
    """Predict in this process (it needs no Keras), and give the file that was written."""

    def write(*words: object) -> Path:
        output = tmp_path / "out.tif"
        words = ("predict", training[0].folder, sample[0], "--output", output, *words)
        result = CliRunner().invoke(app, [*map(str, words)])
        assert result.exit_code == 0, result.output
        return output

    return write


def test_version_is_told() -> None:
    assert emseg("--version").stdout == f"emseg-napari {__version__}\n"


def test_the_installed_command_is_the_same_program() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"]["emseg"] == f"{main.__module__}:{main.__name__}"


@pytest.mark.parametrize(
    ("command", "settings_class"), [("train", TrainingSettings), ("predict", PredictionSettings)]
)
def test_every_number_of_the_settings_is_an_option(command: str, settings_class: type) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    shown = re.sub(r"(?<=\w-)\s+(?=\w)", "", " ".join(shown.split()))  # lines end at hyphens, too
    for name, field in settings_class.model_fields.items():
        flag = flag_of(name, FLAGS)
        assert re.search(rf"{flag}\b", shown), flag
        assert field.description in shown, flag


def test_help_tells_limits_and_all_recipes_defaults() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    _, _, after = " ".join(shown.split()).partition("--learning-rate")
    limits = "Limits: more than 0, at most 1. Default: 0.001 (from nothing: 0.003, reference: 0.0001)."
    assert limits in after[:200]


def test_only_training_imports_keras(
    sample: tuple[Path, Path], training: tuple[Run, object], tmp_path: Path
) -> None:
    commands = [
        ["--help"],
        ["train", "--help"],
        ["predict", str(training[0].folder), str(sample[0]), "--output", str(tmp_path / "o.tif")],
        ["export", str(sample[1]), "--image", str(sample[0]), "--output", str(tmp_path / "o")],
    ]
    script = (
        "import sys, json; from typer.testing import CliRunner; from emseg_napari.cli import app\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    result = CliRunner().invoke(app, words)\n"
        "    assert result.exit_code == 0, result.output\n"
        "print({'keras', 'tensorflow', 'napari', 'qtpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)], capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr


def test_training_follows_its_options(training: tuple[Run, object]) -> None:
    settings = training[0].settings
    assert (settings.epochs, settings.steps_per_epoch, settings.minutes) == (EPOCHS, 1, None)
    assert (settings.patch_px, settings.batch_size, settings.seed) == (64, 1, 7)
    assert settings.learning_rate == 0.002
    assert settings.weight_decay == TrainingSettings().weight_decay


@pytest.mark.parametrize(
    ("accuracy", "v_rand", "kept"),
    [
        (None, None, "; threshold 0.50"),
        (0.9, None, "; kept: accuracy 90.00% held out;"),
        (0.9, 0.8, "; kept: accuracy 90.00%, V_rand 0.8000 held out;"),
    ],
)
def test_the_end_of_a_training_says_what_was_kept_and_its_score(
    accuracy: float | None, v_rand: float | None, kept: str
) -> None:
    about = {"image_shape": (6, 64, 64), "image_dtype": "uint8", "label_counts": {}, "trained_slices": [0]}
    scores = {"kept_accuracy": accuracy, "kept_v_rand": v_rand, "held_out_slices": []}
    last = EpochEnded(1, 10, 7.0, 0.5, 0.91, accuracy, 1e-3, v_rand)
    run = Run(Path("mine"), TrainingSettings(), RunRecord(**about, **scores), [last])
    sentence = _sentence(run)
    assert sentence.startswith("mine: 10 steps in 7 s, ")
    assert kept in sentence
    assert ("kept:" in sentence) is bool(accuracy)


def test_the_end_of_a_training_says_in_its_last_line_if_it_is_better_than_its_start() -> None:
    about = {"image_shape": (6, 64, 64), "image_dtype": "uint8", "label_counts": {}, "trained_slices": [0]}
    scores = {"kept_accuracy": 0.8, "start_accuracy": 0.9, "start": "starter", "viewed_slice": 3}
    record = RunRecord(**about, **scores, held_out_slices=[1])
    last = EpochEnded(1, 10, 7.0, 0.5, 0.91, 0.8, 1e-3)
    run = Run(Path("mine"), TrainingSettings(), record, [last])
    assert _sentence(run).splitlines()[-1] == (
        "Worse than 'starter' on what was held out (which also chose it): accuracy 80.0 % against 90.0 %."
    )
    assert _figures(run)["start_accuracy"] == 0.9


def test_validation_slices_leave_the_training_range(training: tuple[Run, object]) -> None:
    record = training[0].record
    assert (record.trained_slices, record.held_out_slices) == ([0, 1, 2, 3], [4])


def test_figures_are_one_json_object_on_stdout(
    training: tuple[Run, subprocess.CompletedProcess[str]],
) -> None:
    run, done = training
    figures = json.loads(done.stdout)
    assert Path(figures["run"]) == run.folder
    assert (figures["epochs"], figures["steps"]) == (EPOCHS, EPOCHS)
    assert figures["held_out_accuracy"] == run.history[-1].held_out_accuracy
    assert figures["threshold"] == run.record.threshold


def test_without_a_terminal_progress_is_plain_lines_on_stderr(
    training: tuple[Run, subprocess.CompletedProcess[str]],
) -> None:
    rows = [line for line in training[1].stderr.splitlines() if line.startswith("epoch ")]
    assert rows
    for row in rows:
        assert re.fullmatch(
            r"epoch \d, step \d, \d+:\d\d: loss [\d.]+, pixel accuracy .*%, held out .*%", row
        )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", training[1].stderr)


def test_nothing_of_tensorflows_own_chatter_is_shown(
    training: tuple[Run, subprocess.CompletedProcess[str]],
) -> None:
    said = ("Training on 4 labelled slices; validation on 1", "Computing on the processor")
    stages = (*said, "starting TensorFlow", "building the network", "keeping the best network", "epoch ")
    assert [line for line in training[1].stderr.splitlines() if not line.startswith(stages)] == []


def test_labels_are_written_as_isbi_has_them(
    predict: Callable[..., Path], training: tuple[Run, object]
) -> None:
    labels = tifffile.imread(predict())
    probability = tifffile.imread(predict("--as", "probability"))
    assert (labels.dtype, labels.shape) == (np.uint8, (6, 100, 120))
    expected = np.where(probability >= training[0].record.threshold, 0, 255)
    np.testing.assert_array_equal(labels, expected)


def test_probability_and_interior_add_up_to_one(predict: Callable[..., Path]) -> None:
    probability = tifffile.imread(predict("--as", "probability"))
    interior = tifffile.imread(predict("--as", "interior"))
    assert probability.dtype == interior.dtype == np.float32
    assert 0 <= probability.min() < probability.max() <= 1
    np.testing.assert_allclose(probability + interior, 1, atol=1e-6)


def test_exactly_the_range_is_written(predict: Callable[..., Path]) -> None:
    whole = tifffile.imread(predict("--as", "probability"))
    part = tifffile.imread(predict("--as", "probability", "--slices", "2:4"))
    np.testing.assert_array_equal(part, whole[2:4])


def test_a_threshold_may_be_given(predict: Callable[..., Path]) -> None:
    output = predict("--threshold", 0)
    assert not tifffile.imread(output).any()
    assert read_description(output)["threshold"] == 0


def test_the_file_says_where_it_comes_from(
    predict: Callable[..., Path], training: tuple[Run, object]
) -> None:
    said = read_description(predict("--slices", "1:3"))
    assert said["run"] == "first run"
    assert Path(said["run_folder"]) == training[0].folder.resolve()
    assert (said["image"], said["slices"], said["kind"]) == ("image.tif", [1, 3], "labels")
    assert said["threshold"] == training[0].record.threshold
    assert said["version"] == __version__


def test_written_labels_are_read_back_as_labels_even_if_they_are_all_one_value(
    predict: Callable[..., Path],
) -> None:
    labels = read_labels(predict("--threshold", 1, "--slices", "0:1"))
    assert (labels == INTERIOR).all()


def test_prediction_through_the_real_command_line(
    sample: tuple[Path, Path], training: tuple[Run, object], tmp_path: Path
) -> None:
    output = tmp_path / "labels.tif"
    done = emseg("predict", training[0].folder, sample[0], "--output", output, "--slices", "0:2")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{output}: slices 0-1 of image.tif")
    assert re.fullmatch(r"slice 0 predicted, 50%, \d+:\d\d left\nslice 1 predicted, 100%\n", done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")
def test_a_terminal_shows_a_bar_with_the_time_left(
    sample: tuple[Path, Path], training: tuple[Run, object], tmp_path: Path
) -> None:
    import pty

    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"this system gives no pseudo-terminal ({error})")
    words = ("predict", str(training[0].folder), str(sample[0]), "--output", str(tmp_path / "o.tif"))
    with subprocess.Popen(
        [*COMMAND, *words], stderr=theirs, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        os.close(theirs)
        shown = read_all(ours)
        assert process.wait() == 0
    assert re.search(r"slice 2 predicted .*50%.*\d+:\d\d left", shown)
    assert "100%" in shown


def read_all(terminal: int) -> str:
    """Read from a pseudo-terminal until its other end is closed, which Linux reports as an error."""
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:
        pass
    finally:
        os.close(terminal)
    return b"".join(parts).decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a single process")
def test_ctrl_c_ends_a_training_at_once_and_says_how_to_go_on(interrupted: Interrupted) -> None:
    last = interrupted.stderr.splitlines()[-1]
    assert interrupted.exit_code == 130
    assert last.startswith(
        "emseg: Stopped; the last checkpoint is kept, so resume with --resume: emseg train"
    )
    assert not interrupted.run.record.finished
    assert 1 <= len(interrupted.run.history) < EPOCHS


def test_resume_goes_on_where_the_training_stopped(
    interrupted: Interrupted, training: tuple[Run, object]
) -> None:
    before, after = interrupted.run.history, training[0].history
    assert after[: len(before)] == before
    assert [row.step for row in after] == list(range(1, EPOCHS + 1))
    assert training[0].record.finished


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a single process")
def test_ctrl_c_in_a_prediction_writes_nothing(
    sample: tuple[Path, Path],
    training: tuple[Run, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted_job(
        image: object, run: object, settings: object, context: JobContext, **_: object
    ) -> None:
        assert not context.should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert context.should_stop()
        raise Cancelled

    monkeypatch.setattr(inference, "predict", interrupted_job)
    handler = signal.getsignal(signal.SIGINT)
    words = ("predict", training[0].folder, sample[0], "--output", tmp_path / "o.tif")
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 130
    assert result.stderr == f"emseg: Stopped; {tmp_path / 'o.tif'} was not written.\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is handler


def test_what_libraries_log_does_not_reach_the_terminal(tmp_path: Path) -> None:
    code = (
        "import logging, sys; from emseg_napari.cli import main\n"
        "sys.argv = ['emseg', '--version']\n"
        "try: main()\n"
        "except SystemExit: logging.getLogger('asyncio').error('Task was destroyed but it is pending!')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_what_libraries_write_past_python_while_a_file_is_opened_does_not_reach_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert quietly(lambda text: os.write(2, text), b"E1201 google_auth_provider.cc:188] no credentials") == 49
    assert capfd.readouterr().err == ""


def test_a_fault_of_ours_is_one_sentence_and_its_details_are_in_a_file(
    sample: tuple[Path, Path],
    training: tuple[Run, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken_job(*_: object, **__: object) -> None:
        os.write(2, b"a library's last words\n")
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(inference, "predict", broken_job)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = ("predict", training[0].folder, sample[0], "--output", tmp_path / "o.tif")
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 1
    assert re.fullmatch(r"emseg: .*ZeroDivisionError: by zero.*\n", result.stderr)
    (log,) = tmp_path.iterdir()
    assert str(log) in result.stderr
    assert "broken_job" in log.read_text()
    assert "a library's last words" in log.read_text()


@pytest.fixture
def export(sample: tuple[Path, Path], tmp_path: Path) -> Callable[..., Path]:
    """Export to a folder or file, and give its path."""

    def write(name: str, *words: str, labels: Path | None = None) -> Path:
        words = ("--image", str(sample[0]), "--output", str(tmp_path / name), *words)
        result = CliRunner().invoke(app, ["export", str(labels or sample[1]), *words])
        assert result.exit_code == 0, result.output
        return tmp_path / name

    return write


def test_export_writes_image_and_isbi_labels_of_the_range(
    export: Callable[..., Path], sample: tuple[Path, Path]
) -> None:
    folder = export("folder", "--slices", "1:3")
    np.testing.assert_array_equal(tifffile.imread(folder / "images.tif"), tifffile.imread(sample[0])[1:3])
    np.testing.assert_array_equal(tifffile.imread(folder / "labels.tif"), tifffile.imread(sample[1])[1:3])


def test_export_to_a_tiff_puts_the_image_beside_it(
    export: Callable[..., Path], sample: tuple[Path, Path]
) -> None:
    labels = export("mine.tif")
    np.testing.assert_array_equal(tifffile.imread(labels), tifffile.imread(sample[1]))
    images = tifffile.imread(labels.with_name("mine-images.tif"))
    np.testing.assert_array_equal(images, tifffile.imread(sample[0]))


def test_export_writes_numbered_pngs(export: Callable[..., Path]) -> None:
    folder = export("folder", "--numbered-pngs", "--slices", "2:4")
    assert sorted(p.name for p in (folder / "labels").iterdir()) == ["0002.png", "0003.png"]


def test_export_of_unlabelled_pixels_is_allowed_on_demand(
    export: Callable[..., Path], sample: tuple[Path, Path], tmp_path: Path
) -> None:
    labels = tifffile.imread(sample[1])
    labels[2, :10], labels[4] = 128, 128
    tifffile.imwrite(tmp_path / "holes.tif", labels)
    words = ("export", tmp_path / "holes.tif", "--image", sample[0], "--output", tmp_path / "refused")
    refused = CliRunner().invoke(app, [*map(str, words)])
    assert refused.exit_code == 2
    assert "holes.tif has unlabelled pixels, the first in slice 2" in refused.stderr
    assert not (tmp_path / "refused").exists()
    folder = export("folder", "--allow-unlabelled", labels=tmp_path / "holes.tif")
    expected = labels[[0, 1, 2, 3, 5]]  # slice 4 has no labels at all
    np.testing.assert_array_equal(tifffile.imread(folder / "labels.tif"), expected)


def test_export_tells_its_figures(sample: tuple[Path, Path], tmp_path: Path) -> None:
    words = ("--image", sample[0], "--output", tmp_path / "o", "--slices", "0:1", "--json")
    done = emseg("export", sample[1], *words)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["slices"] == [0]
    assert figures["boundary_pixels"] == np.count_nonzero(tifffile.imread(sample[1])[0] == 0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What `emseg demo` starts, noted instead of started."""
    commands: list[list[str]] = []

    def note(words: list[str], env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(words)
        return subprocess.CompletedProcess(words, 5)

    monkeypatch.setattr(sys.modules["emseg_napari.cli.demo"], "obstacle", lambda: None)
    monkeypatch.setattr(subprocess, "run", note)
    return commands


def test_demo_starts_the_window_in_a_process_of_its_own(
    started: list[list[str]], sample: tuple[Path, Path]
) -> None:
    assert CliRunner().invoke(app, ["demo", str(sample[0])]).exit_code == 5
    CliRunner().invoke(app, ["demo"])
    module = [sys.executable, "-P", "-m", "emseg_napari.widgets.demo"]
    assert started == [[*module, str(sample[0])], module]


def test_demo_of_what_is_not_there_is_a_sentence(started: list[list[str]], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "missing")])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"emseg: {tmp_path / 'missing'} does not exist;")
    assert started == []


def test_demo_says_why_a_window_would_not_open_instead_of_starting_it(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = problem("screen", "none", "There is no screen.", "Start it on a desktop.")
    monkeypatch.setattr(sys.modules["emseg_napari.cli.demo"], "obstacle", lambda: reason)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 2
    said = "emseg: There is no screen. Start it on a desktop. 'emseg doctor' says more.\n"
    assert result.stderr == said
    assert started == []
