"""The bar of a job says how far it is, in words too."""

from emseg_napari.core.jobs import Progress
from emseg_napari.widgets.base.progress_bar import JobBar


def test_a_bar_says_how_far_a_job_is_and_how_long_it_takes(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    assert bar.format() == ""
    seen = []
    for event in (Progress(0.1234, None, "step 5"), Progress(1.0, 65, "step 9")):
        bar.show_progress(event)
        seen.append((bar.value() / bar.maximum(), bar.format()))
    assert seen == [(0.123, "step 5"), (1.0, "step 9, 1 min 05 s left")]


def test_long_words_are_cut_in_the_middle_and_stand_in_the_tooltip(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    bar.resize(160, 20)
    bar.show_progress(Progress(0.5, 65, "block 5 of 24 blocks, 0.14 megavoxels a second"))
    assert bar.text().startswith("block")
    assert bar.text().endswith("s left")
    assert len(bar.text()) < len(bar.format())
    assert bar.toolTip() == bar.format()
