"""Connections to Dask schedulers that run already."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from emseg_napari.core.jobs import UserError

SECONDS_TO_CONNECT = 5.0
SECONDS_TO_CLOSE = 5.0


@contextmanager
def open_client(scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler for a while.

    Parameters
    ----------
    scheduler : str
        Its address.

    Yields
    ------
    distributed.Client

    Raises
    ------
    UserError
        If Dask is not installed, or no scheduler answers at the address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            'Schedulers need Dask, which is not installed; run: pip install "emseg-napari[cluster]"'
        ) from None
    with _quiet():
        _check_answers(scheduler)
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        try:
            yield client
        finally:
            client.close(timeout=SECONDS_TO_CLOSE)


def _check_answers(address: str) -> None:
    """Check that a scheduler answers; a `Client` would wait for ever for one that does not."""
    # In a thread of its own: the caller's may run an event loop, as in a notebook.
    with ThreadPoolExecutor(1, "emseg-check") as pool:
        try:
            kind = pool.submit(asyncio.run, _kind(address)).result()
        except (
            OSError,
            ValueError,
            TypeError,
            MemoryError,
        ) as error:  # other servers answer with absurd lengths
            raise UserError(_no_answer(address)) from error
    if kind != "Scheduler":
        raise UserError(_no_answer(address))


async def _kind(address: str) -> Any:
    from distributed import rpc

    async with asyncio.timeout(SECONDS_TO_CONNECT), rpc(address) as there:
        return (await there.identity()).get("type")


def _no_answer(address: str) -> str:
    return (
        f"No Dask scheduler answers at {address}; check the address, start one there with 'dask scheduler', "
        "or leave it out to work without one."
    )


def lost(client: Any) -> bool:
    """Say whether the connection to the scheduler is lost."""
    return client.status != "running"


def dashboard(client: Any) -> str | None:
    """Return the address of the page that shows what the workers do, None if there is none."""
    with suppress(KeyError):
        return str(client.dashboard_link) or None
    return None


@contextmanager
def _quiet() -> Iterator[None]:
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
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
