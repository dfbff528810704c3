"""Ranges, numbers and words that people pass to a command. Every mistake is one sentence."""

from pathlib import Path

import pytest

from helpers.command_desk import Desk, assert_sentence, emseg, state

pytestmark = pytest.mark.keras


@pytest.mark.parametrize("flag", ["--slices", "--validate"])
@pytest.mark.parametrize("given", ["0:7", "6:9", "100:200"])
def test_ranges_outside_the_stack(desk: Desk, run: Path, flag: str, given: str) -> None:
    advice = (flag, "image.tif", given, "choose a range inside 0:6")
    desk.refuses(lambda: desk.train(flag, given), *advice)
    if flag == "--slices":
        desk.refuses(lambda: desk.predict(flag, given), *advice)
        desk.refuses(lambda: desk.export(flag, given), flag, "labels.tif", "choose a range inside 0:6")


@pytest.mark.parametrize("given", ["3", "3:", ":3", "a:b", "1-3", "3:3", "4:2", "-1:3", "1:2:3", "", "1.5:3"])
@pytest.mark.parametrize("command", ["train", "predict", "export"])
def test_ranges_that_are_none(desk: Desk, run: Path, command: str, given: str) -> None:
    desk.refuses(lambda: getattr(desk, command)(f"--slices={given}"), f"'{given}'", "write FIRST:END")


def test_all_slices_held_out(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--validate", "0:6"), "held out")


def test_minutes_and_epochs_together(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--minutes", 1, "--epochs", 1), "--minutes", "--epochs", "one of them")


def test_steps_without_epochs(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--steps-per-epoch", 10), "--steps-per-epoch", "--epochs")


@pytest.mark.parametrize(
    ("words", "name", "limit"),
    [
        (("--batch-size", 0), "Batch size", "1"),
        (("--learning-rate", 0), "Learning rate", "greater than 0"),
        (("--learning-rate", "nan"), "Learning rate", "1"),
        (("--patch-px", 100), "Patch size", "multiple of 16"),
        (("--minutes", -1), "Minutes", "greater than 0"),
        (("--epochs", 0), "Epochs", "1"),
    ],
)
def test_numbers_outside_their_limits(desk: Desk, words: tuple[str, object], name: str, limit: str) -> None:
    desk.refuses(lambda: desk.train(*words), name, limit, f"given: {words[1]}")


@pytest.mark.parametrize(
    "words", [("--batch-size", "many"), ("--network", "huge"), ("--wrong", 1), ("--as", "labels")]
)
def test_words_that_are_no_options_or_values(desk: Desk, words: tuple[str, object]) -> None:
    before = state(desk.folder)
    assert_sentence(desk.train(*words), words[0], "see 'emseg train --help'")
    assert state(desk.folder) == before


def test_a_number_of_orientations_that_is_none(desk: Desk, run: Path) -> None:
    advice = ("--orientations", "'3' is not one of '1', '2', '4', '8'")
    desk.refuses(lambda: desk.predict("--orientations", 3), *advice)


def test_a_command_that_is_none_or_lacks_a_file() -> None:
    assert_sentence(emseg("trian"), "No such command 'trian' (Did you mean 'train'?); see 'emseg --help'")
    assert_sentence(emseg("evaluate"), "Missing argument 'PREDICTION'; see 'emseg evaluate --help'")
    assert "Usage:" in emseg().output
