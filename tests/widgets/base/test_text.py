from emseg_napari.widgets.base.text import duration


def test_a_time_is_told_in_the_units_that_matter():
    told = [duration(seconds) for seconds in (9.6, 61, 3600, 7380, 333_239)]
    assert told == ["10 s", "1 min 01 s", "1 h 00 min", "2 h 03 min", "3 d 20 h"]
