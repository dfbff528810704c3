"""What TensorStore's errors about a store mean: sentences with the address, and without any secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emseg_napari.core.blockwise.work import FatalBlockError
from emseg_napari.io.pure_address import PureAddress

_SHOWN = 100  # characters of a reason that is not known here
OF_THE_STORE = re.compile(
    r"PERMISSION_DENIED|ABORTED: All|CURL error|HTTP code|http_response_code|NoSuchBucket"
)
_ANY = re.compile("")
_TOO_SHORT = re.compile(r"OUT_OF_RANGE|HTTP code 416|http_response_code='416'")  # for the part that is wanted
_CURL = {
    "6": "the server is not known; check the address and the network",
    "7": "the server cannot be reached; check the address and the network",
    "28": "the server does not answer in time; try again later",
    "35": "no secure connection can be made; check whether the address begins with https:// or http://",
    "51": "the certificate of the server is not valid; check the address",
    "60": "the certificate of the server is not valid; check the address",
}
_BROKE_OFF = "the connection broke off; check the network and try again"
_CREDENTIALS = {
    "s3": "the credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)",
    "gs": "the credentials in the environment (GOOGLE_APPLICATION_CREDENTIALS)",
}
_SIGNATURE = "whether its signature has expired, if it has one"


class StoreError(FatalBlockError):
    """An object store cannot be reached, refuses or broke off, after all tries."""


class Refused(StoreError):
    """An object store does not permit what was asked for."""


class Taken(StoreError):
    """An object that was to be new is there already."""


@contextmanager
def explained(
    location: Path | PureAddress, wish: str = "read", pattern: re.Pattern[str] = _ANY
) -> Iterator[None]:
    """Turn TensorStore's error about a store into a sentence.

    Raises
    ------
    StoreError
    ValueError
        Of a file, as it was; of an address, if it does not fit the pattern or an object is too short: it is
        about what the store holds. It says nothing of a signature.
    """
    try:
        yield
    except TimeoutError:
        raise StoreError(f"{location} cannot be {wish}: {_CURL['28']}.") from None
    except (ValueError, NotImplementedError) as error:
        if isinstance(location, Path):
            raise
        # Not "from error": it holds the query of a signed address.
        if _TOO_SHORT.search(str(error)) or not pattern.search(str(error)):
            raise ValueError(_reason(location, str(error))) from None
        raise _error(location, wish, str(error)) from None


def _error(address: PureAddress, wish: str, text: str) -> StoreError:
    code = re.search(r"HTTP code (\d+)|http_response_code='(\d+)'", text)
    number = next(filter(None, code.groups()), "") if code else ""
    if "NoSuchBucket" in text:
        return StoreError(f"{address} cannot be {wish}: there is no bucket {address.base}; check its name.")
    if "PERMISSION_DENIED" in text or number in ("401", "403"):
        check = _CREDENTIALS.get(address.scheme, _SIGNATURE)
        return Refused(f"{address} may not be {wish} ({number or 403}); check the address, and {check}.")
    curl = re.search(r"curl_code='(\d+)'", text)
    if curl:
        return StoreError(f"{address} cannot be {wish}: {_CURL.get(curl[1], _BROKE_OFF)}.")
    if number:
        return StoreError(
            f"{address} cannot be {wish}: the server answers with the error {number}; check the address, or "
            "try again later."
        )
    reason = _reason(address, text)[:_SHOWN]
    return StoreError(f"{address} cannot be {wish} ({reason}); check the address, or try again later.")


def _reason(address: PureAddress, text: str) -> str:
    """Return what TensorStore says is wrong, without what it was asked for and any signature."""
    text = " ".join(text.partition(" [")[0].split())
    if address.query:
        # However it was encoded on the way: up to the end of the word, or the colon there.
        text = re.sub(r"\?\S*?(?=:?(\s|$))", "", text.replace(f"?{address.query}", ""))
    return text
