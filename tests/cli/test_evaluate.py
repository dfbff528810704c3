import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.core.jobs import Cancelled
from emseg_napari.core.labels import to_isbi
from emseg_napari.evaluation import evaluation, training_overlap
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.samples import phantom
from emseg_napari.io.stacks import write_stack
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import EvaluationSettings, TrainingSettings

DEPTH = 8
KEYS = {
    *("v_rand", "v_rand_threshold", "v_info", "v_info_threshold", "pixel_error", "threshold"),
    *("v_rand_at_threshold", "v_info_at_threshold", "accuracy", "boundary_f1"),
    *("per_slice", "per_threshold", "trained_slices"),
}


class Desk:
    """A folder with labels, a probability of their boundary, and a run that saw slices 0 to 3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image, labels = phantom()
        crop = np.s_[:DEPTH, 40:110, 60:140]
        self.image, self.truth = image[crop], labels[crop]
        noise = np.random.default_rng(0).normal(0, 0.2, self.truth.shape)
        self.probability = np.clip(np.where(self.truth == 1, 0.7, 0.25) + noise, 0, 1).astype(np.float32)
        self.labels = self.write("labels.tif", to_isbi(self.truth))
        self.perfect = folder / "perfect.tif"  # predicted without a fault, so another file
        write_stack(self.perfect, to_isbi(self.truth))

    def write(self, name: str, array: np.ndarray) -> Path:
        tifffile.imwrite(self.folder / name, array, photometric="minisblack")
        return self.folder / name

    def predicted(self, first: int = 0, end: int = DEPTH, **record: object) -> Path:
        """Write what `emseg predict` would."""
        said = {"kind": "probability", "slices": [first, end], "threshold": 0.55}
        said |= {"run_folder": str(self.folder / "run")}
        write_stack(self.folder / "predicted.tif", self.probability[first:end], said | record)
        return self.folder / "predicted.tif"

    def run(self, fingerprints: bool = False, **record: object) -> Path:
        marks = [fingerprint(slice_) for slice_ in self.image[:4]] if fingerprints else []
        values = {"trained_slices": [0, 1, 2, 3], "held_out_slices": [4], "threshold": 0.6}
        values |= {"image_shape": self.truth.shape, "image_dtype": "uint8", "finished": True}
        values |= {"label_counts": {}, "fingerprints": marks}
        run = Run(self.folder / "run", TrainingSettings(), RunRecord(**values | record))
        run.folder.mkdir()
        run.save()
        return run.folder

    def evaluate(self, prediction: Path, *words: object) -> Result:
        return CliRunner().invoke(app, ["evaluate", str(prediction), str(self.labels), *map(str, words)])

    def figures(self, prediction: Path, *words: object) -> dict:
        result = self.evaluate(prediction, *words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refuses(self, prediction: Path, *words: object) -> str:
        result = self.evaluate(prediction, *words)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert re.fullmatch(r"emseg: [^\n]+\.\n", result.stderr)
        return result.stderr

    def expected(self, first: int = 0, end: int = DEPTH, threshold: float = 0.5):
        settings = EvaluationSettings(threshold=threshold)
        return evaluate(
            1 - self.probability[first:end], self.truth[first:end], settings, first_slice=first
        ).as_dict()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def said(figures: dict, expected: dict) -> bool:
    return {name: figures[name] for name in expected} == expected


# Scores


def test_a_probability_of_the_boundary_is_scored(desk: Desk) -> None:
    figures = desk.figures(desk.write("p.tif", desk.probability))
    assert figures.keys() >= KEYS
    assert said(figures, desk.expected())
    assert (figures["kind"], figures["threshold_from"], figures["run"]) == ("probability", "default", None)


def test_a_probability_of_the_interior_is_scored_as_it_is(desk: Desk) -> None:
    figures = desk.figures(desk.write("p.tif", 1 - desk.probability), "--interior")
    assert said(figures, desk.expected())


@pytest.mark.parametrize("words", [(), ("--as", "probability")])
def test_what_lies_beside_the_image_and_the_labels_is_scored_and_never_one_of_these(
    desk: Desk, words
) -> None:
    path = desk.folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["volumes/raw"], file["volumes/labels/mask"] = desk.image, to_isbi(desk.truth)
    sentence = desk.refuses(path, *words)
    assert "volumes/raw (8 x 70 x 80), of which none is known to be a prediction" in sentence
    with h5py.File(path, "a") as file:
        file["predictions/boundary"] = desk.probability
    assert said(desk.figures(path, *words), desk.expected())
    assert "a.h5/predictions/boundary is taken for the boundary" in desk.evaluate(path, *words).stderr


def test_labels_are_scored(desk: Desk) -> None:
    found = desk.probability < 0.4
    figures = desk.figures(desk.write("p.tif", np.where(found, 255, 0).astype(np.uint8)))
    assert said(figures, evaluate(found.astype(np.float32), desk.truth).as_dict())
    assert (figures["kind"], figures["threshold_from"]) == ("labels", None)


def test_labels_are_shown_without_thresholds(desk: Desk) -> None:
    shown = desk.evaluate(desk.perfect)
    assert "threshold" not in shown.output
    lines = shown.stdout.splitlines()
    assert lines[1].split() == ["score", "split", "merge"]
    assert lines[2].split() == ["V_rand", "1.0000", "1.0000", "1.0000"]
    assert "Each slice" in lines


def test_a_runs_threshold_means_nothing_to_labels(desk: Desk) -> None:
    run = desk.run(threshold=0.0)  # no probability of the interior is above 1
    assert desk.figures(desk.perfect, "--run", run)["accuracy"] == 1


def test_the_truth_has_full_marks_read_as_labels_and_as_interior(desk: Desk) -> None:
    for words in ((), ("--interior",), ("--as", "labels")):
        figures = desk.figures(desk.perfect, *words)
        assert (figures["v_rand"], figures["v_info"], figures["pixel_error"]) == (1, 1, 0)
    assert desk.figures(desk.perfect, "--as", "probability")["accuracy"] == 0


def test_the_threshold_given_comes_first(desk: Desk) -> None:
    desk.run()
    figures = desk.figures(desk.predicted(), "--slices", "5:8", "--threshold", 0.3)
    assert said(figures, desk.expected(5, 8, 0.3))
    assert figures["threshold_from"] == "given"


def test_the_files_own_threshold_comes_next(desk: Desk) -> None:
    desk.run()
    figures = desk.figures(desk.predicted(), "--slices", "5:8")
    assert (figures["threshold"], figures["threshold_from"]) == (0.45, "run")


def test_a_run_that_is_given_knows_its_threshold_and_slices(desk: Desk) -> None:
    run = desk.run()
    figures = desk.figures(desk.write("p.tif", desk.probability), "--run", run)
    assert (figures["threshold"], figures["slices"], figures["left_out"]) == (
        0.4,
        [4, 5, 6, 7],
        [0, 1, 2, 3],
    )
    assert (figures["run"], figures["held_out_slices"]) == (str(run), [4])


@pytest.mark.parametrize(
    ("convert", "words", "sentence"),
    [
        (lambda p: p, (), "the boundary probability from 0 to 1, since it holds floats; add --interior if"),
        (lambda p: 1 - p, ("--interior",), "the interior probability from 0 to 1, as you say."),
        (
            lambda p: (255 * p).astype(np.uint8),
            (),
            "the boundary probability from 0 to 255, since it holds 8-bit values that are not labels; add",
        ),
        (lambda p: np.where(p < 0.4, 255, 0).astype(np.uint8), (), "labels, since it holds no other values."),
    ],
)
def test_what_a_file_is_taken_for_is_said(desk: Desk, convert, words, sentence: str) -> None:
    result = desk.evaluate(desk.write("p.tif", convert(desk.probability)), *words)
    assert f"p.tif is taken for {sentence}" in result.stderr


def test_a_file_of_ours_is_taken_for_what_it_says(desk: Desk) -> None:
    said = "predicted.tif is taken for the boundary probability from 0 to 1, as it says itself."
    assert said in desk.evaluate(desk.predicted()).stderr


# Slices


def test_slices_the_run_was_trained_on_are_left_out_and_named(desk: Desk) -> None:
    desk.run()
    result = desk.evaluate(desk.predicted())
    assert "Mean over 4 slices (4-7)" in result.stdout
    assert "Left out, since the run was trained on them: slices 0-3." in result.stderr
    assert "On slice 4 the run chose its threshold and weights: scores there are too high." in result.stderr


def test_trained_slices_that_are_asked_for_are_marked(desk: Desk) -> None:
    desk.run()
    result = desk.evaluate(desk.predicted(), "--slices", "3:6")
    assert "The run was trained on slice 3: scores there prove nothing." in result.stderr
    rows = [line.split("  ") for line in result.stdout.splitlines() if re.match(r"\d ", line)]
    assert [(row[0].strip(), row[-1].strip()) for row in rows][:2] == [
        ("3", "trained on (by its number)"),
        ("4", "held out (by its number)"),
    ]
    assert desk.figures(desk.predicted(), "--slices", "3:6")["trained_slices"] == [3]


def test_a_run_that_is_gone_is_no_error_but_is_said(desk: Desk) -> None:
    result = desk.evaluate(desk.predicted())
    assert result.exit_code == 0
    assert f"Not known which slices it was trained on: its run is no longer in {desk.folder}" in result.stderr


def test_another_run_than_the_file_names_is_told(desk: Desk) -> None:
    said = desk.evaluate(desk.predicted(run="other"), "--run", desk.run()).stderr
    assert "predicted.tif says that the run other made it, and not run." in said


def test_a_spoilt_run_that_the_file_names_is_no_error(desk: Desk) -> None:
    (desk.run() / "run.json").write_text("{")
    assert "Not known which slices" in desk.evaluate(desk.predicted()).stderr


def test_a_file_without_a_run_is_told_so(desk: Desk) -> None:
    result = desk.evaluate(desk.write("p.tif", desk.probability))
    assert "p.tif names no run; add --run RUN." in result.stderr


def test_a_prediction_of_exactly_the_range_is_compared_with_it(desk: Desk) -> None:
    path = desk.write("p.tif", desk.probability[2:5])
    assert said(desk.figures(path, "--slices", "2:5"), desk.expected(2, 5))


def test_a_prediction_that_tells_its_slices_needs_no_range(desk: Desk) -> None:
    path = desk.predicted(4, 7)
    assert said(desk.figures(path), desk.expected(4, 7, 0.45))
    assert said(desk.figures(path, "--slices", "5:6"), desk.expected(5, 6, 0.45))


def test_slices_are_known_again_in_labels_that_begin_elsewhere(desk: Desk) -> None:
    desk.run()
    desk.labels = desk.write("part.tif", to_isbi(desk.truth[3:6]))
    figures = desk.figures(desk.predicted(3, 6))
    assert (figures["slices"], figures["left_out"], figures["held_out_slices"]) == ([1, 2], [0], [1])


def test_another_stack_is_known_by_what_its_slices_show(desk: Desk) -> None:
    desk.run(fingerprints=True)
    marks = [fingerprint(slice_) for slice_ in desk.image]
    others = [fingerprint(255 - slice_) for slice_ in desk.image]
    assert desk.figures(desk.predicted(fingerprints=marks))["left_out"] == [0, 1, 2, 3]
    assert desk.figures(desk.predicted(fingerprints=others))["left_out"] == []
    assert desk.figures(desk.predicted(fingerprints=[*others[:6], marks[0], others[7]]))["left_out"] == [6]


def test_doubt_whether_the_stack_is_the_runs_is_told(desk: Desk) -> None:
    desk.run(image_shape=(20, 70, 80))
    result = desk.evaluate(desk.predicted())
    assert "trained on a stack of 20 x 70 x 80, the labels are 8 x 70 x 80" in result.stderr


def test_slices_of_another_size_are_all_new_to_the_run(desk: Desk) -> None:
    desk.run(image_shape=(20, 35, 40))
    result = desk.evaluate(desk.predicted())
    assert "was trained on another stack, of 20 x 35 x 40 and not 8 x 70 x 80" in result.stderr
    assert "Mean over 8 slices (0-7)" in result.stdout
    assert "too high" not in result.stderr


def test_a_part_that_was_cut_out_of_the_runs_stack_is_known_by_the_numbers_of_its_slices(desk: Desk) -> None:
    desk.run(image_shape=(8, 140, 160))
    result = desk.evaluate(desk.predicted())
    assert "trained on a stack of 8 x 140 x 160, the labels are 8 x 70 x 80" in result.stderr
    assert desk.figures(desk.predicted())["left_out"] == [0, 1, 2, 3]


# What it writes


def test_the_best_stands_beside_the_score_at_the_threshold(desk: Desk) -> None:
    lines = desk.evaluate(desk.write("p.tif", desk.probability), "--threshold", 0.55).stdout.splitlines()
    expected = desk.expected(threshold=0.55)
    assert lines[0] == "Mean over 8 slices (0-7)"
    assert lines[1].split() == ["best", "at", "0.55", "split", "merge"]
    best, _, place, own, split, merge = lines[2].split()[1:]
    assert (best, place) == (f"{expected['v_rand']:.4f}", f"{expected['v_rand_threshold']:.1f}")
    at = expected["at_threshold"]
    assert [own, split, merge] == [f"{at[name]:.4f}" for name in ("v_rand", "v_rand_split", "v_rand_merge")]
    assert f"pixel error   {expected['pixel_error']:.4f}" in lines
    assert len([line for line in lines if re.match(r"\d  +0", line)]) == DEPTH


def test_json_is_the_only_thing_on_stdout(desk: Desk) -> None:
    result = desk.evaluate(desk.write("p.tif", desk.probability), "--json")
    assert result.stdout.count("\n") == 1
    assert "scoring slices 0-7" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_gets_tables_and_a_bar(desk: Desk) -> None:
    import pty

    try:
        main, end = pty.openpty()
    except OSError as error:
        pytest.skip(f"this system gives no pseudo-terminal ({error})")
    command = [sys.executable, "-m", "emseg_napari", "evaluate", desk.perfect, desk.labels]
    with subprocess.Popen(command, stdout=end, stderr=end, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(end)
        shown = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # the other end is closed
                break
            shown += part
            if not part:
                break
    os.close(main)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert process.returncode == 0
    assert "100%" in text
    assert re.search(r"─{20}", text)
    assert re.search(r"V_rand +1\.0000 +1\.0000 +1\.0000", text)


def test_ctrl_c_ends_with_a_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise Cancelled

    monkeypatch.setattr(evaluation, "evaluate", stopped)
    result = desk.evaluate(desk.perfect)
    assert result.exit_code == 130
    assert result.stderr.endswith("emseg: Stopped; nothing was scored.\n")


def test_scoring_loads_no_network(desk: Desk) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from emseg_napari.cli import app;"
        f"done = CliRunner().invoke(app, ['evaluate', {str(desk.perfect)!r}, {str(desk.labels)!r}]);"
        "assert done.exit_code == 0, done.output;"
        "assert not {'keras', 'tensorflow', 'onnxruntime', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Mistakes


def test_sizes_that_differ_are_a_sentence(desk: Desk) -> None:
    path = desk.write("p.tif", desk.probability[:, :-1])
    assert "p.tif (8 x 69 x 80) and labels.tif (8 x 70 x 80) differ in size" in desk.refuses(path)


def test_a_number_of_slices_that_fits_nothing_is_a_sentence(desk: Desk) -> None:
    path = desk.write("p.tif", desk.probability[:3])
    assert "p.tif has 3 slices and labels.tif has 8; say with --slices which 3" in desk.refuses(path)
    assert "say with --slices" in desk.refuses(path, "--slices", "0:2")


def test_a_range_that_the_prediction_does_not_show_is_a_sentence(desk: Desk) -> None:
    assert "shows the slices 4:7 by its own record" in desk.refuses(desk.predicted(4, 7), "--slices", "0:2")
    assert "0:9 does not lie inside the stack" in desk.refuses(desk.perfect, "--slices", "0:9")
    assert "'3' is not a range" in desk.refuses(desk.perfect, "--slices", "3")


@pytest.mark.parametrize("value", [np.nan, 1.5, -1.0, 255.0])
def test_values_that_are_no_probability_are_a_sentence(desk: Desk, value: float) -> None:
    desk.probability[2, 0, 0] = value
    path = desk.write("p.tif", desk.probability)
    assert f"p.tif: {value:g} in slice 2 is not a probability" in desk.refuses(path)
    assert desk.evaluate(path, "--slices", "3:5").exit_code == 0


@pytest.mark.parametrize("value", [1.01, -0.5, "nan"])
def test_thresholds_outside_are_a_sentence(desk: Desk, value: object) -> None:
    assert "Threshold: " in desk.refuses(desk.perfect, "--threshold", value)


def test_the_image_itself_is_no_prediction(desk: Desk) -> None:
    image = desk.write("image.tif", desk.image)
    assert "taken for the boundary probability from 0 to 255" in desk.evaluate(image).stderr
    said = desk.refuses(image, "--run", desk.run(fingerprints=True))
    assert "image.tif is not a prediction but the image that run was trained on (slice 0)" in said


@pytest.mark.parametrize("way", ["path", "symbolic link", "hard link", "copy"])
def test_one_file_is_not_prediction_and_labels_both(desk: Desk, way: str) -> None:
    other = desk.folder / "other.tif"
    if way == "symbolic link":
        other.symlink_to(desk.labels)
    elif way == "hard link":
        os.link(desk.labels, other)
    elif way == "copy":
        shutil.copyfile(desk.labels, other)
    said = desk.refuses(other if other.exists() else desk.folder / "." / "labels.tif")
    assert "labels.tif), which proves nothing; choose two that differ in origin" in said


def test_one_dataset_is_not_prediction_and_labels_both_but_two_of_a_file_may_be(desk: Desk) -> None:
    with h5py.File(desk.folder / "a.h5", "w") as file:
        file["labels"] = file["found"] = to_isbi(desk.truth)
    desk.labels = desk.folder / "a.h5" / "labels"
    assert "a.h5/labels), which proves nothing" in desk.refuses(desk.labels)
    assert desk.figures(desk.folder / "a.h5" / "found")["v_rand"] == 1


def test_a_perfect_prediction_is_scored_and_what_that_may_mean_is_said(desk: Desk) -> None:
    said = desk.evaluate(desk.perfect)
    assert said.exit_code == 0
    assert "perfect.tif equals the labels in every pixel of slices 0-7: if one was made from" in said.stderr


def test_what_is_not_there_is_not_called_the_same(desk: Desk) -> None:
    desk.labels = desk.folder / "none.tif"
    assert "none.tif does not exist" in desk.refuses(desk.labels)


def test_labels_that_were_predicted_are_said_or_refused(desk: Desk) -> None:
    record = {"kind": "labels", "convention": "isbi"}
    write_stack(desk.folder / "truth.tif", to_isbi(desk.truth), record)
    desk.labels = desk.folder / "truth.tif"
    assert "how alike both are" in desk.evaluate(desk.write("p.tif", desk.probability)).stderr
    assert "equals them in every pixel, which proves nothing" in desk.refuses(desk.perfect)


def test_slices_that_are_compared_with_those_of_other_numbers_are_said(desk: Desk) -> None:
    said = desk.evaluate(desk.predicted(4, 7), "--slices", "0:3").stderr
    assert "predicted.tif shows slices 4-6 of its image, as it says itself, and is compared with 0-2" in said
    assert "is compared with" not in desk.evaluate(desk.predicted(4, 7)).stderr


def test_json_names_the_slices_of_which_little_is_known(desk: Desk) -> None:
    assert desk.figures(desk.write("p.tif", desk.probability))["unknown_slices"] == [*range(DEPTH)]
    desk.run()
    assert desk.figures(desk.predicted(), "--slices", "4:8")["slices_known_by_number"] == [4, 5, 6, 7]


def test_an_instance_map_or_an_image_of_16_bits_is_no_prediction(desk: Desk) -> None:
    image = desk.write("image.tif", desk.image.astype(np.uint16) + 300)
    assert "holds neither labels" in desk.refuses(image)
    assert "holds uint16 values; a probability" in desk.refuses(image, "--as", "probability")


def test_labels_have_no_threshold_to_give(desk: Desk) -> None:
    assert "leave out --threshold" in desk.refuses(desk.perfect, "--threshold", 0.5)


def test_no_labels_in_the_range_is_a_sentence(desk: Desk) -> None:
    desk.truth[3:5] = 0
    desk.labels = desk.write("labels.tif", to_isbi(desk.truth))
    path = desk.write("p.tif", desk.probability)
    assert "labels.tif has no labels in the slices 3:5" in desk.refuses(path, "--slices", "3:5")


def test_labels_and_interior_exclude_each_other(desk: Desk) -> None:
    assert "exclude each other" in desk.refuses(desk.labels, "--as", "labels", "--interior")


def test_a_run_that_is_none_is_a_sentence(desk: Desk) -> None:
    assert "is not a run folder" in desk.refuses(desk.perfect, "--run", desk.folder)


def test_labels_that_cannot_be_told_name_the_option(desk: Desk) -> None:
    prediction = desk.write("p.tif", desk.probability)
    desk.labels = desk.write("labels.tif", (desk.truth == 2).astype(np.uint8))
    assert "add --convention binary or --convention napari" in desk.refuses(prediction)
    assert desk.figures(prediction, "--convention", "binary")["v_rand"] > 0


@pytest.mark.parametrize("value", [0, 255])
def test_predictions_of_one_class_are_scored(desk: Desk, value: int) -> None:
    figures = desk.figures(desk.write("p.tif", np.full(desk.truth.shape, value, np.uint8)))
    assert figures["kind"] == "labels"
    assert figures["v_info"] == 0


def test_a_missing_file_is_a_sentence(desk: Desk) -> None:
    assert "does not exist" in desk.refuses(desk.folder / "missing.tif")


def test_a_permission_that_is_missing_hides_the_run_that_the_file_names(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: object) -> bool:
        raise PermissionError

    desk.run()
    monkeypatch.setattr(training_overlap, "is_run", forbidden)
    assert "Not known which slices" in desk.evaluate(desk.predicted()).stderr
