"""The pictures of the pages: each is shown and small, and the keys on the page about correcting exist."""

import re

import imageio.v3 as imageio
import pytest

from emseg_napari.widgets.base.keys import KEYS, NAPARI_KEYS
from emseg_napari.widgets.correct.repair_tools import TOOLS
from helpers.paths import CHECKOUT

FOLDER = CHECKOUT / "docs" / "pictures"
SHOWN = {
    page: re.findall(r"!\[(.*?)\]\(([^)\s]+)\)", page.read_text("utf-8"))
    for page in CHECKOUT.glob("docs/**/*.md")
}
CORRECTING = (CHECKOUT / "docs" / "correcting.md").read_text("utf-8")
NAMES = {name for one in (KEYS, NAPARI_KEYS) for keys in one for name in re.split(r" (?:or|and) ", keys)}


def test_every_picture_is_shown_by_a_page():
    shown = {picture.rpartition("/")[2] for pictures in SHOWN.values() for _, picture in pictures}
    there = {path.name for path in FOLDER.iterdir()}
    assert there - shown == set()


def test_every_picture_that_a_page_shows_exists_and_is_described():
    for page, pictures in SHOWN.items():
        for text, picture in pictures:
            if not picture.startswith("https://"):
                assert (page.parent / picture).is_file(), (page.name, picture)
            assert len(text.split()) > 3, (page.name, picture)


def test_the_pictures_are_small_enough_for_a_slow_connection():
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert [name for name, size in sizes.items() if size > 60_000] == []
    assert sum(sizes.values()) < 1_500_000


def test_no_picture_is_wider_than_a_page():
    assert [path.name for path in FOLDER.iterdir() if imageio.imread(path).shape[1] > 900] == []


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_repair_tool_has_a_heading_with_its_key_and_a_series(tool):
    part = CORRECTING.partition(f"\n### {tool.name} ({tool.key})\n")[2].partition("\n#")[0]
    assert f"](pictures/{tool.name.lower().replace(' ', '-')}.png)" in part


def test_the_page_about_correcting_names_keys_that_exist():
    in_tables = re.findall(r"^\|.*\| ([^|]*) \|$", CORRECTING, re.MULTILINE)
    named = {key for cell in in_tables for key in cell.split(", ") if re.fullmatch(r"[A-Z0-9]|Ctrl.*", key)}
    named |= set(re.findall(r"\((Shift\+N|[A-Z0-9])\)", CORRECTING))
    assert {"G", "D", "J", "K", "I", "Q", "W", "U", "N", "A", "S", "C", "Y"} <= named
    assert named - NAMES == set()
