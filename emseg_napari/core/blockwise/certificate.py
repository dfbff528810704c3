"""The certificate by which a Dask scheduler, its workers and this process know each other.

Who does not have it can neither read what they say nor send anything.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emseg_napari.core.locks import lock_file

_PREFIX, _LOCK = ".emseg-", "lock"


@contextmanager
def certificate_folder() -> Iterator[Path]:
    """Give a new folder in the home folder, which all machines of a cluster share, and delete it at the end.

    Only this user can open it. Folders of processes of this machine that were killed are deleted, too.
    """
    _delete_left()
    with (
        TemporaryDirectory(prefix=_PREFIX, dir=Path.home(), ignore_cleanup_errors=True) as name,
        (Path(name) / "new").open("w", encoding="utf-8") as file,
    ):
        file.write(platform.node())
        file.flush()
        with suppress(OSError):  # without locks it is never taken for one that was left
            lock_file(file)
            Path(file.name).rename(Path(name) / _LOCK)  # it has its name only while it is locked
        yield Path(name)


def _delete_left() -> None:
    for lock in Path.home().glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open("r+", encoding="utf-8") as file:
            # Of other machines, where locks may not be seen, nothing is known.
            if file.read() == platform.node() and lock_file(file, wait=False):
                shutil.rmtree(lock.parent)


def new_certificate(folder: Path) -> Any:
    """Write a new certificate and its key into a folder that only this user can open.

    Returns
    -------
    distributed.Security
        That of `security_of` for this folder.
    """
    from distributed.security import Security

    security, made = security_of(folder), Security.temporary()
    Path(security.tls_ca_file).write_text(made.tls_ca_file)
    Path(security.tls_worker_key).write_text(made.tls_worker_key)
    return security


def security_of(folder: Path) -> Any:
    """Return the `distributed.Security` of scheduler, workers and client by the files of a folder.

    The files need not be there yet.
    """
    from distributed.security import Security

    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=certificate,
        **{f"tls_{role}_cert": certificate for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )
