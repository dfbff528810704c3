"""Files of a bioimage.io package, a zip file or a folder, which are read in memory and never unpacked."""

from __future__ import annotations

import stat
import zipfile
from hashlib import sha256
from pathlib import Path, PurePosixPath

from emseg_napari.core.jobs import UserError
from emseg_napari.core.owned_output import refuse_outside

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")
# Of the packages that this program writes; the first are of the run, by which an import makes it again.
OWN_FILES = ("settings.json", "run.json", "history.json")
ONNX_FILE, KERAS_FILE = "network.onnx", "network.keras"
_MOST_BYTES = 4 * 2**30  # of a package, unfolded
_MOST_FILES = 1000
_MOST_FOLD = 200  # times as large as in the zip file; weights fold to a half, test images of zeros to nothing
_SMALL_BYTES = 64 * 2**20  # a file of this size may be folded as far as it likes


class PackageFiles:
    """Files of a package by their names.

    Parameters
    ----------
    path : Path
        The zip file, the folder, or the description in the folder.

    Raises
    ------
    UserError
        If it is not a package, or a zip file that could do harm.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = path if path.is_dir() else path.parent if path.name in DESCRIPTIONS else None
        if self._folder is None:
            self._names = {info.filename for info in _checked(path)}
        else:
            self._names = {name for name in DESCRIPTIONS if (self._folder / name).is_file()}
        found = [name for name in DESCRIPTIONS if name in self._names]
        if not found:
            raise UserError(
                f"{path} is not a bioimage.io package (it has no {DESCRIPTIONS[0]} at its top); choose a "
                "package, a .keras or a .onnx file."
            )
        self.description = self.read(found[0])

    def read(self, name: str, checksum: str | None = None) -> bytes:
        """Return what a file holds.

        Raises
        ------
        UserError
            If it is missing, lies elsewhere or is damaged, or has another checksum.
        """
        if "://" in name:
            raise UserError(
                f"{self.path.name} only names an address, {name}, but not the file itself; make a whole "
                "package of it first: bioimageio package SOURCE PATH."
            )
        if _leads_out(name):
            raise UserError(f"{self.path.name} names a file outside of it, {name}, and is refused.")
        content = self._read(name)
        if checksum is not None and sha256(content).hexdigest() != checksum.lower():
            raise UserError(
                f"{name} in {self.path.name} is not the file that its description means (another SHA-256 "
                "checksum): it is damaged or was replaced; get the package again."
            )
        return content

    def _read(self, name: str) -> bytes:
        try:
            if self._folder is not None:
                refuse_outside(self._folder, self._folder / name)
                return (self._folder / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(str(PurePosixPath(name)))
        except UserError:
            raise
        except (KeyError, FileNotFoundError):
            raise UserError(f"{name} is missing from {self.path.name}; get the package again.") from None
        except Exception as error:  # of the archive, its compression, or a password
            reason = str(error) or type(error).__name__
            raise UserError(
                f"{name} in {self.path.name} cannot be read ({reason}); get the package again."
            ) from None


def _checked(path: Path) -> list[zipfile.ZipInfo]:
    """Return what a zip file holds, if it can be read without harm."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the name.") from None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        raise UserError(f"{path} is damaged or not a package (no zip file); get it again.") from None
    for info in parts:
        if _leads_out(info.filename) or stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(
                f"{path} holds {info.filename!r}, a link or a path that leads out of it, and is refused; "
                "get the package from its authors."
            )
    folded = any(info.file_size > max(_SMALL_BYTES, _MOST_FOLD * info.compress_size) for info in parts)
    if folded or len(parts) > _MOST_FILES or sum(info.file_size for info in parts) > _MOST_BYTES:
        raise UserError(
            f"{path} would unfold to more than any package holds ({len(parts)} files, "
            f"{sum(info.file_size for info in parts) / 2**30:.1f} GiB), and is refused."
        )
    return parts


def _leads_out(name: str) -> bool:
    """Say whether the name of a file leads out of its folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in path.parts[0] if path.parts else True
