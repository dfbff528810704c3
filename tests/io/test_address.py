"""Addresses: what they are made of, what they say and what they keep to themselves."""

import os
import pickle
from pathlib import Path

import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.io import pure_address
from emseg_napari.io.address import Address, local_path, location_of
from emseg_napari.io.object_store import kvstore


@pytest.mark.parametrize(
    ("text", "base", "key"),
    [
        ("s3://bucket/em/a.zarr/0/", "s3://bucket", "em/a.zarr/0"),
        ("S3://bucket/a?b#c.zarr", "s3://bucket", "a?b#c.zarr"),
        ("gs://bucket", "gs://bucket", ""),
        ("https://server:8000/a%20b.n5", "https://server:8000", "a b.n5"),
        ("http://server/a.zarr?X-Signature=secret#top", "http://server", "a.zarr"),
    ],
)
def test_an_address_has_a_server_or_bucket_and_a_key(text: str, base: str, key: str) -> None:
    assert location_of(text) == Address(base, key)


@pytest.mark.parametrize("text", ["a.zarr", "/data/a.zarr", "C:/data/a.zarr", "s3.zarr", "https"])
def test_all_else_is_a_path(text: str) -> None:
    assert location_of(text) == Path(text)


def test_the_text_of_an_address_leads_to_it_again() -> None:
    for text in ("s3://bucket/em/a b.zarr", "https://server/a%20b.zarr", "gs://bucket"):
        assert str(location_of(text)) == text
        assert location_of(str(location_of(text))) == location_of(text)


def test_it_is_joined_and_taken_apart_as_a_path_is() -> None:
    whole = location_of("s3://bucket/em/a.zarr") / "volumes/raw"
    assert str(whole) == "s3://bucket/em/a.zarr/volumes/raw"
    assert (whole.name, whole.parent.name, whole.parents[1].suffix) == ("raw", "volumes", ".zarr")
    assert whole.parents[-1] == Address("s3://bucket")
    assert whole.relative_to(whole.parents[1]).as_posix() == "volumes/raw"


def test_a_signature_is_sent_but_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = location_of("https://server/em/a.zarr?sig=secret")
    level = signed / "0"
    assert "secret" not in repr(level) + str(level)
    assert kvstore(level)["base_url"] == "https://server?sig=secret"
    assert kvstore(location_of("https://server/em/b.zarr"))["base_url"] == "https://server"
    travelling = pickle.dumps(level)
    monkeypatch.setattr(pure_address, "QUERIES", {})  # as in another process
    assert kvstore(pickle.loads(travelling))["base_url"] == "https://server?sig=secret"


def test_a_renewed_signature_reaches_a_process_that_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    level = pickle.dumps(location_of("https://server/em/a.zarr?sig=old") / "0")
    renewed = pickle.dumps(location_of("https://server/em/a.zarr?sig=new") / "1")
    monkeypatch.setattr(pure_address, "QUERIES", {})  # as in another process
    assert pickle.loads(level).query == "sig=old"
    assert pickle.loads(renewed).query == "sig=new"
    assert location_of("https://server/em/a.zarr/0").query == "sig=new"
    assert pickle.loads(level).query == "sig=new"  # an answer that was under way does not bring it back


def test_a_signature_stands_for_all_below_that_had_another_one() -> None:
    location_of("https://server/em/a.zarr/0?sig=old")
    location_of("https://server/em/a.zarr2?sig=other")
    location_of("https://server/em/a.zarr?sig=new")
    assert location_of("https://server/em/a.zarr/0").query == "sig=new"
    assert location_of("https://server/em/a.zarr2").query == "sig=other"


def test_a_signature_from_elsewhere_leaves_later_ones_below(monkeypatch: pytest.MonkeyPatch) -> None:
    travelling = pickle.dumps(location_of("https://server/em/a.zarr?sig=old") / "1")
    monkeypatch.setattr(pure_address, "QUERIES", {})
    level = location_of("https://server/em/a.zarr/0?sig=new")
    assert pickle.loads(travelling).query == "sig=old"
    assert level.query == "sig=new"


@pytest.mark.parametrize(
    "text",
    [
        "https://me:secret@server/a.zarr",
        "https://me:the/secret@server/a.zarr",
        "https://me:the?secret@server/a.zarr",
        "https://me:the#secret@server/a.zarr",
        "https://me:with@/secret@server/a.zarr",
        "s3://me:the/secret@bucket/a.zarr",
    ],
)
def test_a_password_in_an_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UserError, match="was given with a name or password") as raised:
        location_of(text)
    assert "secret" not in str(raised.value)


def test_an_at_sign_in_a_key_is_no_password() -> None:
    assert location_of("https://server:8000/a@b.zarr") == Address("https://server:8000", "a@b.zarr")
    assert location_of("s3://bucket/a:1@b.zarr") == Address("s3://bucket", "a:1@b.zarr")


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(UserError, match="not a whole address"):
        location_of("s3:///a.zarr")


@pytest.mark.parametrize(
    "text", ["htp://127.0.0.1/a.zarr", "http:/127.0.0.1/a.zarr", "s3:/bucket/a.zarr", "ftp://server/a.zarr"]
)
def test_a_kind_of_address_that_is_not_read_is_named(text: str) -> None:
    kind = text.partition("/")[0]
    with pytest.raises(UserError, match=rf"^{kind}//? is not a kind of address that emseg reads: http://, "):
        location_of(text)


def test_a_folder_that_is_there_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if os.name != "nt":
        (tmp_path / "em:").mkdir()
        (tmp_path / "em:" / "a.tif").touch()
        assert location_of("em:/a.tif") == Path("em:/a.tif")
    assert location_of("C:/em/a.tif") == Path("C:/em/a.tif")


def test_what_lies_on_a_disk_has_no_address() -> None:
    with pytest.raises(UserError, match="s3://bucket/run is an address"):
        local_path("s3://bucket/run")


def test_an_address_of_google_becomes_its_driver() -> None:
    found = kvstore(location_of("gs://bucket/em/a.zarr"))
    assert (found["driver"], found["bucket"], found["path"]) == ("gcs", "bucket", "em/a.zarr/")
    assert found["context"]["gcs_request_retries"]["max_retries"] > 0


def test_credentials_and_server_of_s3_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    address = location_of("s3://bucket/a.zarr")
    found = kvstore(address)
    assert (found["endpoint"], found["aws_region"]) == ("http://127.0.0.1:9000", "us-east-1")
    assert found["aws_credentials"] == {"type": "anonymous"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-name")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    found = kvstore(address)
    assert (found["aws_credentials"], found["aws_region"]) == ({"type": "environment"}, "eu-central-1")
    assert "a-name" not in str(found)
