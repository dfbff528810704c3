"""The starter: a trained network that comes with the package, a run folder like any other.

Its card (README.md) and its licence lie beside it.
"""

from pathlib import Path

STARTER = "starter"  # the name by which users ask for it
STARTER_FOLDER = Path(__file__).parent
