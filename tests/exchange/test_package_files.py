import stat
import zipfile

import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.source import read_source
from helpers.packages import package, two_channels

IMAGE = np.zeros((32, 32), np.uint8)


def zipped(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def with_description(path, **changes):
    """A good package but for some parts of its description."""
    return package(path, two_channels(), IMAGE, [], **changes)


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out", "a/../../out", "..\\out", "C:\\out", "C:/out"])
def test_a_path_that_leads_out_of_a_zip_file_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rdf.yaml", "type: model")
        archive.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(UserError, match="a link or a path that leads out of it"):
        read_source(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_link_in_a_zip_file_is_refused(tmp_path):
    link = zipfile.ZipInfo("net.onnx")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rdf.yaml", "type: model")
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="a link or a path that leads out of it"):
        read_source(tmp_path / "a.zip")


def test_a_zip_file_that_unfolds_to_far_more_is_refused(tmp_path):
    file = zipped(tmp_path / "a.zip", **{"rdf.yaml": "type: model", "big": bytes(70 * 2**20)})
    with pytest.raises(UserError, match="would unfold to more than any package holds"):
        read_source(file)


def test_a_zip_file_of_too_many_files_is_refused(tmp_path):
    file = zipped(tmp_path / "a.zip", **{"rdf.yaml": "type: model"}, **{f"f{i}": "" for i in range(1001)})
    with pytest.raises(UserError, match="would unfold to more than any package holds"):
        read_source(file)


def test_a_link_in_a_folder_that_leads_out_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    with zipfile.ZipFile(with_description(tmp_path / "a.zip")) as archive:
        archive.extractall(tmp_path / "folder")
    (tmp_path / "folder" / "net.onnx").unlink()
    (tmp_path / "folder" / "net.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="leads by a link"):
        read_source(tmp_path / "folder")


@pytest.mark.parametrize("source", ["../net.onnx", "/net.onnx"])
def test_a_description_that_names_a_file_outside_is_refused(tmp_path, source):
    file = with_description(tmp_path / "a.zip", weights={"onnx": {"source": source, "opset_version": 13}})
    with pytest.raises(UserError, match="names a file outside of it"):
        read_source(file)


def test_weights_at_an_address_are_not_fetched(tmp_path):
    weights = {"onnx": {"source": "https://server/net.onnx", "opset_version": 13}}
    with pytest.raises(UserError, match="only names an address"):
        read_source(with_description(tmp_path / "a.zip", weights=weights))


def test_missing_weights_are_a_sentence(tmp_path):
    weights = {"onnx": {"source": "gone.onnx", "opset_version": 13}}
    with pytest.raises(UserError, match=r"gone\.onnx is missing from a\.zip"):
        read_source(with_description(tmp_path / "a.zip", weights=weights))


def test_another_checksum_is_a_sentence(tmp_path):
    weights = {"onnx": {"source": "net.onnx", "sha256": "0" * 64, "opset_version": 13}}
    with pytest.raises(UserError, match="another SHA-256"):
        read_source(with_description(tmp_path / "a.zip", weights=weights))


def test_weights_of_pytorch_only_are_a_sentence_that_says_what_can_be_used(tmp_path):
    weights = {"torchscript": {"source": "net.pt", "pytorch_version": "2.0"}, "onnx": None}
    with pytest.raises(UserError, match="it has torchscript, and keras_v3 or onnx is needed"):
        read_source(with_description(tmp_path / "a.zip", weights=weights))


def axes(*names, channels=1):
    kinds = {"batch": {"type": "batch"}, "channel": {"type": "channel", "channel_names": ["c"] * channels}}
    return [kinds.get(n, {"type": "space", "id": n, "size": {"min": 32, "step": 16}}) for n in names]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([{"id": "a", "axes": axes("batch", "channel", "z", "y", "x")}], "is a 3-D network"),
        ([{"id": "a", "axes": axes("batch", "channel", "y", "x", channels=3)}], "takes images of 3 channels"),
        ([{"id": n, "axes": axes("batch", "channel", "y", "x")} for n in "ab"], "needs 2 inputs"),
        ([{"id": "a", "axes": axes("batch", "channel", "x", "y")}], "takes the axes batch, channel, x, y"),
        ([], "not of the format 0.5"),
        (
            [{"id": "a", "axes": axes("batch", "channel", "y", "x"), "preprocessing": [{"id": "custom"}]}],
            "processes its images with 'custom'",
        ),
        (
            [{"id": "a", "axes": axes("batch", "channel", "y", "x"), "preprocessing": [{"id": "clip"}]}],
            "processes its images with 'clip'",
        ),
    ],
)
def test_a_network_that_does_not_suit_is_a_sentence(tmp_path, inputs, words):
    with pytest.raises(UserError, match=words):
        read_source(with_description(tmp_path / "a.zip", inputs=inputs))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": "0.4.10"}, "has the format 0\\.4\\.10"),
        ({"type": "dataset"}, "is a dataset of bioimage.io and not a model"),
        ({"outputs": "none"}, "outputs"),
        ({"weights": []}, "weights"),
    ],
)
def test_another_description_is_a_sentence(tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        read_source(with_description(tmp_path / "a.zip", **changes))


@pytest.mark.parametrize("text", ["", "[", "- a", "a: !!python/object/apply:os.system [ls]", "x" * 2**21])
def test_a_description_that_is_no_yaml_is_a_sentence_and_runs_nothing(tmp_path, text):
    with pytest.raises(UserError, match="damaged description"):
        read_source(zipped(tmp_path / "a.zip", **{"rdf.yaml": text}))


def bomb(levels: int) -> str:
    """Text of a part that becomes twice as long with each level."""
    return "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, levels))


@pytest.mark.parametrize("text", ["a0: &a0 [x]\n" + bomb(60), "a: &a [*a]", "a: &a\n  <<: [*a]\n"])
def test_a_description_that_becomes_very_long_by_repetition_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="damaged description"):
        read_source(zipped(tmp_path / "a.zip", **{"rdf.yaml": text}))


def test_a_zip_file_without_a_description_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"is not a bioimage\.io package"):
        read_source(zipped(tmp_path / "a.zip", a="b"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.pth", "is a file of PyTorch"),
        ("a.h5", "of a format before Keras 3"),
        ("a.txt", "is not a network"),
        ("a.zip", "damaged or not a package"),
    ],
)
def test_other_files_are_a_sentence(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(UserError, match=words):
        read_source(tmp_path / name)


def test_what_is_missing_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_source(tmp_path / "gone.zip")


def test_what_must_be_asked_is_known_before_a_network_is_tried(tmp_path):
    source = read_source(package(tmp_path / "a.zip", two_channels(), IMAGE, [], names=("a", "b")))
    assert source.known.missing == ["channel", "channel_is"]
