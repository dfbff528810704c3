import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.credits import U_NET, Citation, credits_of, remember
from emseg_napari.exchange.export import export_package
from emseg_napari.exchange.importing import import_network
from emseg_napari.inference import predict
from emseg_napari.io.samples import phantom
from emseg_napari.models.imported import Imported
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.training.trainer import train_network
from helpers.paths import CHECKOUT
from helpers.tiny_runs import tiny_network_run

pytestmark = pytest.mark.keras

AS_PACKAGES_DO = PredictionSettings(orientations=1, close_gaps=False)


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """A run of a few steps from the starter."""
    image, labels = phantom()
    settings = TrainingSettings.recipe(
        epochs=1, steps_per_epoch=3, patch_px=64, batch_size=1, start="starter"
    )
    return train_network(image[:5], labels[:5], settings, folder=tmp_path_factory.mktemp("runs") / "trained")


def exported(run: Run, target: Path, **more) -> dict:
    """The description of the package that is written."""
    export_package(run, target, credits_of(run, ["A. Person"], "CC-BY-4.0", []), **more)
    with zipfile.ZipFile(target) as archive:
        return yaml.safe_load(archive.read("rdf.yaml"))


def in_bioimageio(package: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    """What both weights give in bioimageio.core, whose tests the package passes."""
    np.save(package.with_suffix(".npy"), image[None, ..., None].astype(np.float32))
    script = CHECKOUT / "tests" / "helpers" / "bioimageio_check.py"
    names = [package, package.with_suffix(".npy"), package.with_suffix(".npz")]
    done = subprocess.run([sys.executable, script, *names], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(package.with_suffix(".npz")))


def test_bioimageio_core_tests_the_starter_and_predicts_what_emseg_does(tmp_path):
    run, image = open_run("starter"), phantom()[0][3]
    exported(run, tmp_path / "starter.zip", pixel_nm=5)
    own = predict(image, run, AS_PACKAGES_DO)[0]
    found = in_bioimageio(tmp_path / "starter.zip", image)
    assert np.abs(found["onnx"][0, ..., 0] - own).max() < 1e-4
    # Of the starter only the large weights of network.onnx are rounded to float16, and all of best.keras.
    assert np.abs(found["keras_v3"][0, ..., 0] - own).max() < 1e-3


def test_bioimageio_core_tests_a_trained_run_and_predicts_what_emseg_does(tmp_path, trained):
    image = phantom()[0][9]
    exported(trained, tmp_path / "trained.zip")
    own = predict(image, trained, AS_PACKAGES_DO)[0]
    for found in in_bioimageio(tmp_path / "trained.zip", image).values():
        assert np.abs(found[0, ..., 0] - own).max() < 1e-4


def test_what_is_exported_and_imported_is_the_same_run_again(tmp_path, trained):
    exported(trained, tmp_path / "trained.zip")
    run = import_network(tmp_path / "trained.zip", tmp_path / "again")
    assert run.network_file.read_bytes() == trained.network_file.read_bytes()
    assert run.network_mark == trained.network_mark
    assert run.record.model_copy(update={"imported": None}) == trained.record
    assert (run.record.imported.name, run.record.imported.authors) == ("trained", ["A. Person"])
    np.testing.assert_array_equal(predict(phantom()[0][:1], run), predict(phantom()[0][:1], trained))


def test_a_training_starts_from_an_imported_package_as_from_the_run(tmp_path, trained):
    exported(trained, tmp_path / "trained.zip")
    import_network(tmp_path / "trained.zip", tmp_path / "again")
    image, labels = phantom()
    made = [
        train_network(
            image[:5],
            labels[:5],
            TrainingSettings.recipe(
                epochs=1, steps_per_epoch=2, patch_px=64, batch_size=1, start=str(start), anchor_weight=0.0
            ),
            folder=tmp_path / f"from-{start.name}",
        )
        for start in (trained.folder, tmp_path / "again")
    ]
    assert made[0].network_file.read_bytes() == made[1].network_file.read_bytes()


def test_a_package_states_pixel_size_at_the_scale_of_the_network_and_who_made_it(tmp_path, trained):
    run = Run(trained.folder, trained.settings, trained.record.model_copy(update={"scale": (2.0, 2.0)}))
    description = exported(run, tmp_path / "a.zip", pixel_nm=8, name="Membranes", training_data="a stack")
    y, x = description["inputs"][0]["axes"][1:3]
    assert (y["unit"], y["scale"], x["scale"]) == ("nanometer", 4.0, 4.0)
    assert description["name"] == "Membranes"
    assert (description["authors"], description["license"]) == ([{"name": "A. Person"}], "CC-BY-4.0")
    assert any("parag" in cite["text"].lower() for cite in description["cite"])  # it starts from the starter
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert "A stack." in archive.read("README.md").decode()
        image = np.load(io.BytesIO(archive.read("test-input.npy")))
    assert image.shape == (1, 256, 256, 1)


def test_without_a_pixel_size_none_is_stated(tmp_path, trained):
    axis = exported(trained, tmp_path / "a.zip")["inputs"][0]["axes"][1]
    assert {"unit", "scale"}.isdisjoint(axis)


def test_author_and_licence_are_asked_for_once_and_those_of_the_starter_are_known(trained):
    with pytest.raises(UserError, match=r"an author \(--author\) and a licence \(--license\)"):
        credits_of(trained, [], None, [])
    remember(credits_of(trained, ["A. Person", "B. Other"], "MIT", []))
    known = credits_of(trained, [], None, [])
    assert (known.authors, known.licence) == (["A. Person", "B. Other"], "MIT")
    assert credits_of(open_run("starter"), [], None, []).licence == "BSD-3-Clause"


def test_what_was_imported_keeps_its_authors_licence_and_citations(trained):
    remember(credits_of(trained, ["B. Other"], "MIT", []))
    imported = Imported(
        file="a.zip",
        sha256="0",
        name="net",
        weights="keras_v3",
        authors=["A. Person"],
        licence="GPL-3.0-or-later",
        cite=["Person 2020 doi:10.1000/1", f"{U_NET.text} doi:{U_NET.doi}"],
    )
    run = Run(trained.folder, trained.settings, trained.record.model_copy(update={"imported": imported}))
    kept = credits_of(run, [], None, [])
    assert (kept.authors, kept.licence) == (["A. Person"], "GPL-3.0-or-later")
    assert kept.citations[:2] == [Citation(text="Person 2020", doi="10.1000/1"), U_NET]
    assert kept.citations.count(U_NET) == 1
    assert credits_of(run, ["B. Other"], None, []).authors == ["A. Person", "B. Other"]
    with pytest.raises(UserError, match=r"under GPL-3\.0-or-later, and cannot be passed on under MIT"):
        credits_of(run, [], "MIT", [])
    run.record = run.record.model_copy(update={"imported": imported.model_copy(update={"licence": None})})
    with pytest.raises(UserError, match="was imported with no licence"):
        credits_of(run, [], "MIT", [])


@pytest.mark.parametrize(
    ("name", "words"),
    [("stack.tif", "A package is a .zip file"), ("notes.zip", "is not a bioimage.io package")],
)
def test_a_file_that_is_no_package_is_not_replaced_by_one(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=words):
        exported(open_run("starter"), tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize("network", ["trees", "ridge"])
def test_what_is_no_network_is_not_exported(tmp_path, network):
    run = tiny_network_run(tmp_path / "run", network)
    with pytest.raises(UserError, match=f"is '{network}', and only networks"):
        exported(run, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_run_without_its_weights_is_not_exported(tmp_path):
    with pytest.raises(UserError, match=r"has no best\.keras"):
        exported(tiny_network_run(tmp_path / "run"), tmp_path / "a.zip")


def test_a_package_of_which_a_file_was_changed_is_not_imported(tmp_path, trained):
    exported(trained, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as old, zipfile.ZipFile(tmp_path / "b.zip", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "run.json":
                content = json.dumps(json.loads(content) | {"threshold": 0.1}).encode()
            new.writestr(name, content)
    with pytest.raises(UserError, match=r"run\.json in b\.zip is not the file that its description means"):
        import_network(tmp_path / "b.zip", tmp_path / "again")
    assert not (tmp_path / "again").exists()
