"""Starter: the trained network that comes with the package, in a run folder.

With it a first prediction needs no labels. Its card (README.md) and its licence lie beside it.
"""

from pathlib import Path

STARTER = "starter"  # the name by which users ask for it
STARTER_FOLDER = Path(__file__).parent
