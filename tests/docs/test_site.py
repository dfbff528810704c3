"""The site is built without a warning, needs nothing from elsewhere, and reads as GitHub shows its pages."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from emseg_napari import settings
from helpers.pages import DOCS, PAGES, name_of
from helpers.paths import CHECKOUT

CONFIG = CHECKOUT / ".mkdocs.yml"


class Parts(HTMLParser):
    """What a page loads, and its paragraphs."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.paragraphs: list[str] = []
        self._in_paragraph = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.loaded.append(values.get("src") or "")
        if tag == "link" and values.get("rel") in ("stylesheet", "preconnect", "preload", "icon"):
            self.loaded.append(values.get("href") or "")
        if tag == "p":
            self.paragraphs.append("")
        self._in_paragraph |= tag == "p"

    def handle_endtag(self, tag: str) -> None:
        self._in_paragraph &= tag != "p"

    def handle_data(self, data: str) -> None:
        if self._in_paragraph:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def parts(site: Path) -> dict[str, Parts]:
    """What the pages consist of, by their paths."""
    found = {}
    for path in site.rglob("*.html"):
        found[path.relative_to(site).as_posix()] = Parts()
        found[path.relative_to(site).as_posix()].feed(path.read_text("utf-8"))
    return found


def test_every_page_is_there_and_in_the_navigation(site):
    navigation = yaml.load(CONFIG.read_text("utf-8"), yaml.BaseLoader)["nav"]
    listed = re.findall(r"[\w/-]+\.md", str(navigation))
    pages = {name_of(page) for page in PAGES} | {"benchmarks.md", "changelog.md", "contributing.md"}
    assert sorted(listed) == sorted(pages)
    for page in pages - {"index.md"}:
        assert (site / page.removesuffix(".md") / "index.html").is_file()


def test_nothing_is_loaded_from_elsewhere(parts):
    foreign = {one for page in parts.values() for one in page.loaded if re.match(r"(https?:)?//", one)}
    assert foreign == set()


def test_styles_load_nothing_from_elsewhere(site):
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", path.read_text("utf-8")), path.name


def test_lists_and_tables_are_read_as_such(parts):
    raw = [
        (name, line)
        for name, page in parts.items()
        for text in page.paragraphs
        for line in text.splitlines()
        if re.match(r"\s*(- |\| |\d{1,2}\. |#+ |```|:::|<!--)", line)
    ]
    assert raw == []


def test_the_settings_are_those_of_the_program(site):
    page = (site / "settings" / "index.html").read_text("utf-8")
    for group in (settings.TrainingSettings, settings.PredictionSettings, settings.CellSettings):
        for name, field in group.model_fields.items():
            assert f">{name}<" in page
            assert field.title in page
    assert "--patch-px" in page
    assert "at least 16, at most 2048" in page
    assert "0.001 (from nothing: 0.003, reference: 0.0001)" in page


def test_the_functions_are_described_by_their_docstrings(site):
    page = (site / "api" / "index.html").read_text("utf-8")
    for name in ("api.train", "api.predict", "api.evaluate", "api.segment", "models.run.RunRecord"):
        assert f'id="emseg_napari.{name}"' in page
    assert "The run folder to write." in page


def test_pages_from_elsewhere_in_the_repository_link_to_those_of_the_site(site):
    page = (site / "contributing" / "index.html").read_text("utf-8")
    assert 'href="../architecture/"' in page
    assert 'href="../benchmarks/"' in page
    assert 'blob/main/CITATION.cff"' in (site / "citation" / "index.html").read_text("utf-8")


def test_scripts_and_notebooks_are_shown_and_not_copied(site):
    assert [path.name for path in site.rglob("*") if path.suffix in (".py", ".ipynb")] == []
    assert "def main" in re.sub("<[^>]+>", "", (site / "examples" / "index.html").read_text("utf-8"))
    assert (DOCS / "hooks.py").is_file()
