"""Packages that only an extra of the installation brings, such as ``emseg-napari[stores]``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from emseg_napari.core.jobs import UserError


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import a module of a package that is not part of the base installation.

    Parameters
    ----------
    module : str
        Such as "tensorstore".
    extra : str
        The extra of emseg-napari that brings its package.
    purpose : str
        What needs it, as the subject of a sentence.

    Raises
    ------
    UserError
        If it is not installed, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise UserError(
            f"{purpose} needs the package {package}, which is not installed: run "
            f'pip install "emseg-napari[{extra}]" in this environment.'
        ) from None
