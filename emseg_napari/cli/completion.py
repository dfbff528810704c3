"""What the shell proposes for runs when Tab is pressed."""

from __future__ import annotations

from glob import escape, glob
from os.path import dirname

from emseg_napari.models.run import installed_networks
from emseg_napari.models.starter import STARTER

RECORD = "run.json"


def runs(incomplete: str) -> list[str]:
    """Return the runs that a word may become: 'starter', and folders here or one level below.

    Parameters
    ----------
    incomplete : str
        What was typed so far.

    Returns
    -------
    list of str
        Empty if there are none, so that the shell proposes files and folders.
    """
    beginning = escape(incomplete)
    records = {found for depth in ("*", "*/*") for found in glob(f"{beginning}{depth}/{RECORD}")}
    folders = sorted(map(dirname, records))  # no Path, which would drop the ./ that was typed
    starter = [STARTER] if installed_networks() and STARTER.startswith(incomplete) else []
    return [*starter, *folders]
