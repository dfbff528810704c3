"""Voxel sizes in every spelling of their units."""

import pytest

from emseg_napari.io.axes import Voxel
from emseg_napari.io.units import voxel_of

NANOMETRES = {
    0.1: ["angstrom", "Å"],
    1: ["nanometer", "nm", "nanometre", " NM "],
    1e3: [
        "micrometer",
        "\N{MICRO SIGN}m",
        "\N{GREEK SMALL LETTER MU}m",
        "um",
        "\\u00B5m",
        "micron",
        "Microns",
        "micrometre",
    ],
    1e6: ["millimeter", "mm"],
    1e7: ["centimeter", "cm"],
    1e9: ["meter", "m"],
}


@pytest.mark.parametrize(("factor", "unit"), [(f, u) for f, units in NANOMETRES.items() for u in units])
def test_a_size_in_another_unit_than_that_of_x_is_converted(factor, unit):
    assert voxel_of((3, 2, 5), (unit, "nm", "nm")) == Voxel((pytest.approx(3 * factor), 2, 5), "nanometer")
    assert voxel_of((3, 2, 5), ("nm", "nm", unit)).size == pytest.approx((3 / factor, 2 / factor, 5))


def test_one_unit_may_be_of_all_sizes_and_numbers_may_be_text():
    assert voxel_of(("40", 4, 4.5), "um") == Voxel((40.0, 4.0, 4.5), "micrometer")


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), None, "wide"])
@pytest.mark.parametrize("axis", range(3))
def test_what_is_no_size_is_none(size, axis):
    sizes = [1.0, 1.0, 1.0]
    sizes[axis] = size
    assert voxel_of(sizes, "nm") is None


@pytest.mark.parametrize("units", [None, "", "parsec", ("nm", "nm", None), ("nm", "", "nm"), ("nm", "nm")])
def test_what_is_no_unit_is_none(units):
    assert voxel_of((1, 1, 1), units) is None
