"""Phantoms: imitated electron micrographs with exact boundary labels, of many kinds, fast to make.

    settings = draw(seed)                       # or draw(seed, "fly"), "cortex", "between"
    image, labels, cells = render(settings, (4, 512, 512), seed)

The sample stack of ``sample_data/`` is drawn by its own script and stays as it is.
"""

from .rendering import Phantom, render
from .settings import KINDS, PhantomSettings, draw

__all__ = ["KINDS", "Phantom", "PhantomSettings", "draw", "render"]
