"""Environments of workers that differ from this process."""

from pathlib import Path


def other_numpy(folder: Path) -> Path:
    """Make a folder of packages with a numpy that says that it has another version."""
    about = folder / "numpy-1.2.3.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.2.3\n")
    return folder
