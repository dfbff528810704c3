"""Units of length, in the spellings that programs use."""

import re

import pytest

from emseg_napari.io.axes import Voxel
from emseg_napari.io.units import in_one_unit, spelled, stated_voxel

SPELLINGS = {
    "nanometer": ["nm", "NM", " nm ", "nanometre", "nanometers", "Nanometres"],
    "micrometer": ["um", "\u00b5m", "\u03bcm", r"\u00B5m", r"\u03bcm", "micron", "Microns", "micrometers"],
    "angstrom": [
        "\u00c5",
        "\u212b",
        "\u00e5",
        "A\u030a",
        "angstrom",
        "Angstroms",
        "\u00c5ngstr\u00f6m",
        "ang",
    ],
    "millimeter": ["mm", "millimetres"],
    "centimeter": ["cm"],
    "picometer": ["pm"],
    "meter": ["m", "metre", "meters"],
}


@pytest.mark.parametrize(("unit", "spelling"), [(u, s) for u, all_ in SPELLINGS.items() for s in all_])
def test_spellings_of_a_unit_are_one_unit(unit, spelling):
    assert spelled(spelling) == unit
    assert stated_voxel((3, 2, 1), spelling) == (Voxel((3, 2, 1), unit), ())


def test_units_that_differ_become_that_of_x():
    voxel, notes = stated_voxel((0.05, 40, 4), ("\u00b5m", "\u212b", "nm"))
    assert voxel.size == pytest.approx((50, 4, 4))
    assert (voxel.unit, notes) == ("nanometer", ())


def test_lengths_are_put_in_one_unit_if_there_is_one():
    lengths, unit = in_one_unit((0.05, 40, 4), ("micrometer", "angstrom", "nanometer"))
    assert (lengths, unit) == (pytest.approx([50, 4, 4]), "nanometer")
    assert in_one_unit((1, 2), ("furlong", "furlong")) == ([1, 2], "furlong")
    assert in_one_unit((1, 2), ("nanometer", "pixel")) is None


@pytest.mark.parametrize("unit", ["pixel", "", None, "px", ("", "pixel", None)])
def test_a_size_of_one_pixel_states_nothing(unit):
    assert stated_voxel((1, 1, 1), unit) == (None, ())


@pytest.mark.parametrize(
    ("sizes", "unit", "words"),
    [
        ((40, 5, 4), "", "40 x 5 x 4 is stated in no unit"),
        ((40, 5, 4), "pixel", "stated in pixel"),
        ((40, 5, 4), ("nm", "nm", "furlong"), "nm, furlong, which is no known length"),
        ((40, 5, 4), "inch", "inch"),
        ((40, 5, 4), ("nm", "nm"), "no known length"),
        ((40, 5, 0), "nm", "40 x 5 x 0 is stated"),
        ((40, 5, -4), "nm", "-4"),
        ((40, 5, float("nan")), "nm", "nan"),
        ((40, 5), "nm", "40 x 5 is stated"),
        ((40, 5, "thick"), "nm", "thick"),
        ((40, 5, None), "nm", "None"),
    ],
)
def test_a_size_that_is_not_understood_is_said_and_not_used(sizes, unit, words):
    voxel, (note,) = stated_voxel(sizes, unit)
    assert voxel is None
    assert note.startswith("no size of a voxel is known")
    assert re.search(words, note)


NANOMETRES = {"angstrom": 0.1, "nm": 1, "um": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9}


@pytest.mark.parametrize(("unit", "factor"), NANOMETRES.items())
def test_a_size_in_another_unit_than_that_of_x_is_converted(unit, factor):
    voxel, _ = stated_voxel(("3", 2, 5), (unit, "nm", "nm"))
    assert voxel == Voxel((pytest.approx(3 * factor), 2, 5), "nanometer")
    voxel, _ = stated_voxel((3, 2, 5), ("nm", "nm", unit))
    assert voxel.size == pytest.approx((3 / factor, 2 / factor, 5))
