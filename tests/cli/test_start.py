"""What `emseg train` starts from: the starter unless one says otherwise, and what is said of a bad one."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.core.jobs import Cancelled
from emseg_napari.io.stacks import write_stack
from emseg_napari.models import run as run_module
from emseg_napari.models.run import starter_folder
from helpers.tiny_runs import tiny_network_run, whole_weights

REINSTALL = "install emseg-napari again, or start a training from nothing"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with image and labels, a small starter, and a training that ends at once."""
    starter = whole_weights(tiny_network_run(tmp_path / "package" / "starter"))
    monkeypatch.setattr(run_module, "STARTER_FOLDER", starter.folder)
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    image = np.random.default_rng(0).integers(0, 255, (4, 32, 32), np.uint8)
    write_stack("image.tif", image)
    write_stack("labels.tif", np.where(image > 99, 255, 0).astype(np.uint8))
    asked = []

    def stop(image, labels, settings, context, **arguments):
        asked.append(settings.start)
        raise Cancelled

    monkeypatch.setattr(sys.modules["emseg_napari.cli.train"], "run_training", stop)
    return SimpleNamespace(folder=tmp_path / "desk", starter=starter, asked=asked)


def train(*words):
    command = ["train", "image.tif", "labels.tif", "--output", "run", *map(str, words)]
    return CliRunner().invoke(app, command)


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ((), "starter"),
        (("--from", "starter"), "starter"),
        (("--from", "nothing"), None),
        (("--network", "reference"), None),
        (("--network", "ridge"), None),
        (("--network", "trees", "--from", "nothing"), None),
    ],
)
def test_a_training_starts_from_the_starter_unless_one_says_otherwise(desk, words, start):
    assert train(*words).exit_code == 130
    assert desk.asked == [start]


def test_a_folder_called_nothing_is_given_with_its_path(desk):
    whole_weights(tiny_network_run(desk.folder / "nothing"))
    train("--from", "./nothing")
    assert desk.asked == ["./nothing"]


def test_a_repeated_run_keeps_the_start_that_it_had(desk):
    earlier = tiny_network_run(desk.folder / "earlier")
    earlier.save_steps([(1e-3, 0.1)])
    for words in ((), ("--from", "nothing")):
        assert train("--replay", earlier.folder, *words).exit_code == 130
    assert desk.asked == [None, None]
    refused = train("--replay", earlier.folder, "--from", "starter")
    assert refused.exit_code == 2
    assert "--from differs from the settings" in refused.stderr


def test_without_a_starter_it_starts_from_nothing_unless_the_starter_is_asked_for(desk, monkeypatch):
    monkeypatch.setattr(run_module, "STARTER_FOLDER", desk.folder / "none")
    assert starter_folder() is None
    train()
    assert desk.asked == [None]
    refuses(desk, "without a starter network", "--from", "starter")


def test_a_damaged_starter_is_said_and_nothing_is_written(desk):
    whole = desk.starter.best_checkpoint.read_bytes()
    desk.starter.best_checkpoint.write_bytes(whole[:-9])
    for words in ((), ("--from", "starter")):
        refuses(desk, "best.keras is damaged", *words)
    assert train("--from", "nothing").exit_code == 130
    assert desk.asked == [None]


def refuses(desk, reason, *words):
    before = sorted(desk.folder.rglob("*"))
    said = train(*words)
    assert said.exit_code == 2
    assert reason in said.stderr
    assert REINSTALL in said.stderr
    assert sorted(desk.folder.rglob("*")) == before
