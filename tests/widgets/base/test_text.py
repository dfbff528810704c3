from emseg_napari.widgets.base.text import chosen, duration
from helpers.seen_runs import a_run


def test_a_time_is_told_in_the_units_that_matter():
    told = [duration(seconds) for seconds in (9.6, 61, 3600, 7380, 333_239)]
    assert told == ["10 s", "1 min 01 s", "1 h 00 min", "2 h 03 min", "3 d 20 h"]


def test_the_score_of_a_chosen_run_is_called_too_high_where_its_start_has_seen_the_slices(tmp_path):
    honest = a_run(tmp_path / "honest", [0, 1], [4], kept_accuracy=0.97)
    flattered = a_run(tmp_path / "flattered", [0, 1], [4], kept_accuracy=0.97, start_slices=[3, 4])
    assert chosen(honest) == "honest: compact, accuracy 97.0 % on what was held out."
    assert chosen(flattered).endswith(
        "The score counts slices that the start was trained on, so it is too high."
    )
