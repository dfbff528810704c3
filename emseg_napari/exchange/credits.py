"""Who made a network, under which licence it may be passed on, and what is to be cited."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from emseg_napari.core.files import read_json, write_json
from emseg_napari.core.jobs import UserError
from emseg_napari.core.user_folder import config_folder
from emseg_napari.models.imported import Imported
from emseg_napari.models.run import Run, is_starter, open_run, starter_folder
from emseg_napari.settings import Settings, validated

# Names of https://spdx.org/licenses, as bioimage.io asks for.
Licence = Literal[
    "CC-BY-4.0",
    "CC0-1.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "GPL-3.0-or-later",
]


class Citation(Settings):
    """Work to cite.

    Attributes
    ----------
    text : str
    doi : str, optional
    url : str, optional
        One of both is needed.
    """

    text: str
    doi: str | None = None
    url: str | None = None


class Credits(Settings):
    """Authors, licence and citations of a package.

    Attributes
    ----------
    authors : list of str
        Names.
    licence : str
    citations : list of Citation
        Beside those that every network of this program has.
    """

    authors: list[str] = Field(min_length=1)
    licence: Licence
    citations: list[Citation] = Field(default_factory=list)


U_NET = Citation(
    text="Ronneberger et al. 2015: U-Net: Convolutional Networks for Biomedical Image Segmentation",
    doi="10.1007/978-3-319-24574-4_28",
)
# The licence of what the starter was trained on asks for it, also of networks that start from it.
_MEDULLA = Citation(
    text="Parag et al. 2015, the FlyEM medulla sample (CC BY 3.0), on which the starter was trained",
    doi="10.1371/journal.pone.0125825",
)
_STARTER = Credits(authors=["emseg-napari developers"], licence="BSD-3-Clause")


def credits_of(run: Run, authors: list[str], licence: Licence | None, citations: list[Citation]) -> Credits:
    """Return the credits of a package: as given, else those of the starter, else as given the last time.

    Of a network that was imported, or started from one, its authors, licence and citations stay.

    Raises
    ------
    UserError
        If there is no author or no licence, or not that of the network that was imported.
    """
    if run.record.imported is not None:
        return _credits_of_imported(run.record.imported, authors, licence, [*citations, *_owed(run)])
    known = _STARTER if is_starter(run.folder) else remembered()
    authors = [name for name in map(str.strip, authors) if name] or (known.authors if known else [])
    licence = licence or (known.licence if known else None)
    missing = [
        words
        for words, value in (("an author (--author)", authors), ("a licence (--license)", licence))
        if not value
    ]
    if missing:
        raise UserError(
            f"A package needs {' and '.join(missing)}; give them once, and they are remembered for the next "
            "export."
        )
    return validated(Credits, authors=authors, licence=licence, citations=[*citations, *_owed(run)])


def _credits_of_imported(
    imported: Imported, authors: list[str], licence: Licence | None, citations: list[Citation]
) -> Credits:
    if imported.licence not in get_args(Licence):
        raise UserError(
            f"{imported.title} was imported with {imported.licence or 'no licence'}, under which "
            "emseg-napari passes nothing on; ask its authors, or pass on the file that it came from."
        )
    if licence not in (None, imported.licence):
        raise UserError(
            f"{imported.title} was imported under {imported.licence}, and cannot be passed on under "
            f"{licence}; leave the licence out (--license)."
        )
    kept = [_citation_of(words) for words in imported.cite]
    return validated(
        Credits,
        authors=list(dict.fromkeys([*imported.authors, *filter(None, map(str.strip, authors))])),
        licence=imported.licence,
        citations=[*kept, *(one for one in citations if one not in kept)],
    )


def _citation_of(words: str) -> Citation:
    """Return a work that was imported in words, which end with its DOI or address."""
    text, _, where = words.rpartition(" ")
    if where.startswith("doi:"):
        return Citation(text=text, doi=where.removeprefix("doi:"))
    return Citation(text=text, url=where) if "://" in where else Citation(text=words)


def _owed(run: Run) -> list[Citation]:
    """Return what is cited for the data and the method of a run."""
    starter = starter_folder()
    its_slices = set(open_run(starter).record.fingerprints) if starter else set()
    from_starter = its_slices and its_slices <= set(run.record.fingerprints)  # at whatever distance
    return [*([_MEDULLA] if from_starter else []), U_NET]


def remembered() -> Credits | None:
    """Return the author and the licence of the last export, None if there was none."""
    try:
        return validated(Credits, **read_json(_file()))
    except (UserError, TypeError):  # none yet, or damaged
        return None


def remember(credits: Credits) -> None:
    """Keep author and licence for the next export."""
    _file().parent.mkdir(parents=True, exist_ok=True)
    write_json(_file(), {"authors": credits.authors, "licence": credits.licence})


def _file() -> Path:
    return config_folder() / "credits.json"
