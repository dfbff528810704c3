"""Reading and writing of objects by their addresses, with TensorStore's drivers for HTTP, S3 and GCS.

What fails for a moment is tried again, for a limited time; then it is a `StoreError`: a sentence with the
address and without any secret. An object appears whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from emseg_napari.core.extras import import_extra
from emseg_napari.io.pure_address import PureAddress
from emseg_napari.io.store_errors import OF_THE_STORE, Refused, StoreError, Taken, explained

# TensorStore reads them when it is first used: a connection that gives nothing for so long has broken off.
os.environ.setdefault("TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS", "10")
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS", "20")
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES", "1")

RETRIES = {"max_retries": 4, "initial_delay": "500ms", "max_delay": "8s"}
_KNOWN_MARK = b"\0"  # begins TensorStore's generation of an object with an ETag
PATIENCE_S = 300.0  # for all tries together


def import_tensorstore() -> Any:
    """Import TensorStore, which takes a while; `UserError` if it is not installed."""
    return import_extra("tensorstore", "stores", "An N5 or precomputed volume, or any address,")


def read(address: PureAddress, part: slice | None = None) -> bytes:
    """Return an object or a part of it, see `Address.read_bytes`; `ValueError` if it is too short."""
    with explained(address):
        found = _read(address, part)
    if found is None:
        raise FileNotFoundError(f"{address} does not exist")
    return found


def _read(address: PureAddress, part: slice | None) -> bytes | None:
    store = _bucket(address)
    try:
        found = store.read(address.key, byte_range=part).result(timeout=PATIENCE_S)
    except ValueError as error:
        if "was ignored by server" not in str(error):  # which gives whole objects only
            raise
        found = store.read(address.key).result(timeout=PATIENCE_S)
        return None if found.state == "missing" else bytes(found.value)[part or slice(None)]
    return None if found.state == "missing" else bytes(found.value)


def is_there(address: PureAddress) -> bool:
    """Whether there is an object; one that may not be read counts as none.

    Stores that do not let be listed what they have refuse what is missing, too.
    """
    try:
        return _read_or_explain(address) is not None
    except Refused:
        return False


def _read_or_explain(address: PureAddress) -> bytes | None:
    with explained(address):
        return _read(address, slice(0, 0))


def mark_of(address: PureAddress) -> bytes:
    """Return what tells two contents of an object apart: the store's own mark (ETag), or else all of it.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StoreError
    """
    with explained(address):
        found = _bucket(address).read(address.key, byte_range=slice(0, 0)).result(timeout=PATIENCE_S)
    if found.state == "missing":
        raise FileNotFoundError(f"{address} does not exist")
    mark = bytes(found.stamp.generation)
    return mark if mark.startswith(_KNOWN_MARK) else read(address)


def keys_below(address: PureAddress) -> Iterator[str]:
    """Give the keys of all objects below an address, relative to it; TensorStore lists no single level.

    Raises
    ------
    StoreError
        If it cannot be listed, as on a web server, or there are too many: some millions.
    """
    if address.is_web:
        raise StoreError(
            f"{address} is on a web server, which does not list what it has; append the path of what to open."
        )
    tensorstore = import_tensorstore()
    prefix = f"{address.key}/".lstrip("/")
    every = tensorstore.KvStore.KeyRange(prefix, prefix[:-1] + "0" if prefix else "")  # "0" follows "/"
    with explained(address):
        listing = _bucket(address).list(every, strip_prefix_length=len(prefix.encode()))
        try:
            keys = listing.result(timeout=PATIENCE_S)
        except TimeoutError:
            raise StoreError(
                f"{address} has more objects below it than the store lists in {PATIENCE_S:g} s; append the "
                "path of what is meant, or choose another address."
            ) from None
    return (key.decode("utf-8", "replace") for key in keys)


def names_below(address: PureAddress) -> list[str]:
    """Return the names directly below an address; see `keys_below`, all of which it takes.

    So what has a known name, such as the metadata of an array, is asked for by it and not looked for here.
    """
    return sorted({key.partition("/")[0] for key in keys_below(address)} - {""})


def write(address: PureAddress, content: bytes, is_new: bool = False) -> None:
    """Write an object, which appears whole or not at all.

    Parameters
    ----------
    address : Address
    content : bytes
    is_new : bool
        Whether no object may be there: of two writers at the same moment the store takes one. A store that
        knows no such condition is only asked before.

    Raises
    ------
    Taken
        If one is there that must not be.
    StoreError
        If it cannot be written.
    """
    check_writable(address)
    with explained(address, "written"):
        if is_new:
            _write_new(address, content)
        else:
            _bucket(address).write(address.key, content).result(timeout=PATIENCE_S)


def _write_new(address: PureAddress, content: bytes) -> None:
    store = _bucket(address)
    found = store.read(address.key, byte_range=slice(0, 0)).result(timeout=PATIENCE_S)
    if found.state == "missing":
        nothing = found.stamp.generation
        with suppress(NotImplementedError):
            written = store.write(address.key, content, if_equal=nothing).result(timeout=PATIENCE_S)
            if written.generation:  # empty if the condition does not hold
                return
        if _read(address, slice(0, 0)) is None:  # the store knows no conditions, or there is no bucket
            store.write(address.key, content).result(timeout=PATIENCE_S)
            return
    raise Taken(f"{address} is there already; choose another name.")


def remove(address: PureAddress) -> None:
    """Remove an object, if it is there."""
    check_writable(address)
    with explained(address, "removed"):
        _bucket(address).write(address.key, None).result(timeout=PATIENCE_S)


def check_writable(address: PureAddress) -> None:
    """Raise `StoreError` if an address is not in S3; no store is asked."""
    if address.scheme != "s3":
        where = "on a web server" if address.is_web else "in Google Cloud Storage"
        raise StoreError(
            f"{address} is {where}, where nothing is written; choose a folder, or for predictions an s3:// "
            "address."
        )


def kvstore(location: Path | PureAddress) -> dict[str, Any]:
    """Return TensorStore's specification of a folder, or of what lies below an address.

    Credentials and the server of S3 come from the environment, as with other programs: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_ENDPOINT_URL, AWS_REGION; of GCS GOOGLE_APPLICATION_CREDENTIALS.
    """
    if isinstance(location, Path):
        return {"driver": "file", "path": f"{location}{os.sep}"}
    return {**_store(location), "path": f"{location.key}/".lstrip("/")}


def _store(address: PureAddress) -> dict[str, Any]:
    """Return the specification of a whole bucket or server."""
    retries = {f"{driver}_request_retries": RETRIES for driver in ("http", "s3", "gcs")}
    if address.is_web:
        query = f"?{address.query}" if address.query else ""
        return {"driver": "http", "base_url": address.base + query, "context": retries}
    bucket = {"bucket": address.base.partition("://")[2], "context": retries}
    return {"driver": "gcs", **bucket} if address.scheme == "gs" else {"driver": "s3", **bucket, **_of_aws()}


def _of_aws() -> dict[str, Any]:
    """Return what the environment says of S3; without credentials only public buckets can be read."""
    known = os.environ
    endpoint = known.get("AWS_ENDPOINT_URL_S3") or known.get("AWS_ENDPOINT_URL")
    region = known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION") or ("us-east-1" if endpoint else None)
    files = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config")
    kind = "anonymous"
    if "AWS_ACCESS_KEY_ID" in known:
        kind = "environment"
    elif any(Path(known.get(name) or usual).expanduser().is_file() for name, usual in files):
        kind = "default"
    elif "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in known or "AWS_CONTAINER_CREDENTIALS_FULL_URI" in known:
        kind = "ecs"
    stated = {"endpoint": endpoint, "aws_region": region}
    return {"aws_credentials": {"type": kind}} | {name: one for name, one in stated.items() if one}


def _bucket(address: PureAddress) -> Any:
    return _opened(json.dumps(_store(address)))


@lru_cache(64)
def _opened(specification: str) -> Any:
    return import_tensorstore().KvStore.open(json.loads(specification)).result()


def open_array(location: Path | PureAddress, driver: dict[str, Any]) -> Any:
    """Open an array with TensorStore, to read.

    Parameters
    ----------
    location : Path or Address
        Of the array.
    driver : dict
        The specification without its "kvstore".

    Raises
    ------
    StoreError
        If the store cannot be reached, or refuses.
    ValueError
        If it is damaged or not such an array.
    """
    tensorstore = import_tensorstore()
    specification = {**driver, "kvstore": kvstore(location)}
    with explained(location, pattern=OF_THE_STORE):
        return tensorstore.open(specification, read=True, open=True).result(timeout=PATIENCE_S)


def read_array(location: Path | PureAddress, part: Any) -> Any:
    """Return the values of a part of an array of `open_array`, with its errors."""
    with explained(location, pattern=OF_THE_STORE):
        return part.read().result(timeout=PATIENCE_S)
