"""Connections to Dask schedulers."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

from emseg_napari.core.jobs import UserError

SECONDS_TO_CONNECT = 5.0
SECONDS_TO_CLOSE = 5.0
_MISSING = (
    "Schedulers need Dask, and batch systems dask-jobqueue, which are not all installed; run: "
    'pip install "emseg-napari[cluster]"'
)

# What Dask says of a file of settings that is not YAML.
_MALFORMED = re.compile(r"A dask config file at '(.*?)' is malformed(.*)", re.DOTALL)


@contextmanager
def imported() -> Iterator[None]:
    """Import Dask and what belongs to it within a block, which takes no signals.

    dask-jobqueue would take Ctrl+C for itself, and end the process without a word.

    Raises
    ------
    UserError
        If it is not installed, or a file of its settings cannot be read.
    """
    take = signal.signal
    signal.signal = lambda *_: None
    try:
        yield
    except ImportError:
        raise UserError(_MISSING) from None
    except ValueError as error:
        if (found := _MALFORMED.match(str(error))) is None:
            raise
        raise UserError(_unreadable(found[1], found[2])) from None
    finally:
        signal.signal = take


def _unreadable(file: str, details: str) -> str:
    """Return the sentence about a file of settings: the line, and what the reader of YAML says of it."""
    problems = re.findall(r"(.*)\n *in .*, line (\d+)", details)
    reason = "line {1}: {0}".format(*problems[-1]) if problems else details.strip(" -")
    return f"{file}, a file of Dask's settings, cannot be read ({reason}); correct it there."


@contextmanager
def open_client(scheduler: str, security: Any = None) -> Iterator[Any]:
    """Connect to a scheduler for a while.

    Parameters
    ----------
    scheduler : str
        Its address.
    security : distributed.Security, optional
        The certificate for a tls:// address; when not given, that of Dask's settings.

    Yields
    ------
    distributed.Client

    Raises
    ------
    UserError
        If Dask is not installed, or no scheduler answers at the address.
    """
    with imported():
        from distributed import Client, Security
    with quiet():
        security = security or Security()
        _check_answers(scheduler, security)
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False, security=security)
        try:
            yield client
        finally:
            client.close(timeout=SECONDS_TO_CLOSE)


def _check_answers(address: str, security: Any) -> None:
    """Check that a scheduler answers; a `Client` would wait for ever for one that does not."""
    # In a thread of its own: the caller's may run an event loop, as in a notebook.
    with ThreadPoolExecutor(1, "emseg-check") as pool:
        try:
            kind = pool.submit(asyncio.run, _kind(address, security)).result()
        except (
            OSError,
            ValueError,
            TypeError,
            MemoryError,
        ) as error:  # other servers answer with absurd lengths
            raise UserError(_no_answer(address, security)) from error
    if kind != "Scheduler":
        raise UserError(_no_answer(address, security))


async def _kind(address: str, security: Any) -> Any:
    from distributed import rpc

    with_certificate = security.get_connection_args("client")
    async with (
        asyncio.timeout(SECONDS_TO_CONNECT),
        rpc(address, connection_args=with_certificate) as there,
    ):
        return (await there.identity()).get("type")


def _no_answer(address: str, security: Any) -> str:
    if address.startswith("tls://") and not security.tls_client_cert:
        return (
            f"No certificate is there for {address}: Dask's settings name none; write its files under "
            "distributed.comm.tls (ca-file, client.cert, client.key) in ~/.config/dask/distributed.yaml."
        )
    if address.startswith("tls://"):
        return (
            f"No Dask scheduler answers at {address} to the certificate that Dask's settings name "
            "(distributed.comm.tls in ~/.config/dask/distributed.yaml); check both."
        )
    return (
        f"No Dask scheduler answers at {address}; check the address, start one there with 'dask scheduler', "
        "or leave it out to work without one."
    )


def lost(client: Any) -> bool:
    """Say whether the connection to the scheduler is lost."""
    return client.status != "running"


def is_open_to_others(address: str) -> bool:
    """Say whether what is sent to a scheduler leaves this machine without encryption."""
    from distributed.comm import get_address_host, resolve_address

    if not address.startswith(("tcp://", "ws://")):
        return False
    return not ip_address(get_address_host(resolve_address(address))).is_loopback


def dashboard(client: Any) -> str | None:
    """Return the address of the page that shows what the workers do, None if there is none."""
    with suppress(KeyError):
        return str(client.dashboard_link) or None
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's own log off the terminal: what concerns the user is reported as an event."""
    names = ("distributed", "tornado", "bokeh")
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith(names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            # Versions that differ are named in a sentence.
            warnings.filterwarnings("ignore", module="distributed")
            # That OAR is not asked for memory, as the guide to clusters says.
            warnings.filterwarnings("ignore", module="dask_jobqueue")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
