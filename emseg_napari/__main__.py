"""``python -m emseg_napari`` is the same as ``emseg``."""

from emseg_napari.cli import main

if __name__ == "__main__":
    main()
