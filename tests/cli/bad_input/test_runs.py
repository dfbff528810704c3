"""Runs that cannot be used, trained again or resumed. Every mistake is one sentence."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from helpers.command_desk import Desk

pytestmark = pytest.mark.keras


def test_training_never_overwrites_a_run(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.train("--output", run), run, "--resume")


def test_training_never_writes_among_other_files(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--output", desk.folder), desk.folder, "not empty", "new or empty folder")


def test_resume_needs_a_run(desk: Desk) -> None:
    desk.refuses(lambda: desk.train("--resume"), "new-run", "leave out --resume")


def test_a_finished_run_is_not_resumed_and_stays_as_it_is(desk: Desk, run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    desk.refuses(lambda: desk.train("--output", run, "--resume"), run, "is finished", "--from")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_resume_keeps_the_settings(desk: Desk, begun: Path) -> None:
    words = ("--output", begun, "--resume", "--epochs", 50)
    desk.refuses(lambda: desk.train(*words), "--epochs", begun, "leave it out")


def test_what_is_no_run(desk: Desk) -> None:
    desk.refuses(lambda: desk.predict(run=desk.folder), desk.folder, "not a run folder", "choose")
    desk.refuses(lambda: desk.predict(run=desk.folder / "gone"), "gone", "not a run folder", "choose")


def test_a_run_of_another_version(desk: Desk, run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"format": 99}))
    advice = (run, "another version", "99", "train again")
    desk.refuses(lambda: desk.predict(run=run), *advice)
    desk.refuses(lambda: desk.train("--output", run, "--resume"), *advice)


@pytest.mark.parametrize("name", ["run.json", "settings.json", "history.json"])
def test_a_run_with_a_damaged_file(desk: Desk, run: Path, name: str) -> None:
    (run / name).write_text('{"format": 1, "trai')
    desk.refuses(lambda: desk.predict(run=run), name, "damaged")
    desk.refuses(lambda: desk.train("--output", run, "--resume"), name, "damaged")


def test_a_run_without_its_network(desk: Desk, run: Path) -> None:
    (run / "network.onnx").unlink()
    desk.refuses(lambda: desk.predict(run=run), run, "network.onnx", "resume it")


def test_a_run_with_a_damaged_network(desk: Desk, run: Path) -> None:
    (run / "network.onnx").write_bytes(b"\x08\x07" + os.urandom(1000))
    desk.refuses(lambda: desk.predict(run=run), run / "network.onnx", "damaged", "train again")


def test_a_run_without_its_checkpoint(desk: Desk, begun: Path) -> None:
    (begun / "last.keras").unlink()
    desk.refuses(lambda: desk.train("--output", begun, "--resume"), begun / "last.keras", "train again")


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_a_run_with_a_damaged_checkpoint(desk: Desk, begun: Path, keep: int) -> None:
    (begun / "last.keras").write_bytes((begun / "last.keras").read_bytes()[:keep])
    desk.refuses(
        lambda: desk.train("--output", begun, "--resume"), begun / "last.keras", "damaged", "train again"
    )


@pytest.mark.parametrize(
    ("module", "name"), [("keras.layers", "Lambda"), ("evil", "Layer"), ("keras.layers", "TFSMLayer")]
)
def test_a_checkpoint_that_could_run_code_is_refused(desk: Desk, begun: Path, module: str, name: str) -> None:
    add_layer(begun / "last.keras", {"module": module, "class_name": name, "config": {}})
    desk.refuses(lambda: desk.train("--output", begun, "--resume"), begun / "last.keras", name, "refused")


def add_layer(path: Path, layer: dict[str, object]) -> None:
    """Put a layer into the description of the network in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"].append(layer)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
