"""The certificate by which a Dask scheduler, its workers and this process know each other.

Who does not have it can neither read what they say nor send anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def new_certificate(folder: Path) -> Any:
    """Write a new certificate and its key into a folder that nobody else can open.

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
