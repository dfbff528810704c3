"""What live learning shows of the slice in view."""

from types import SimpleNamespace

import numpy as np
from scipy import ndimage

from emseg_napari.core.jobs import JobContext, JobControl, PreviewReady
from emseg_napari.models.run import RunRecord
from emseg_napari.training.live.preview import SlicePreview


def test_gaps_are_closed_with_the_thresholds_of_the_record_as_in_every_prediction():
    found = np.full((60, 61), 0.05, np.float32)
    found[:, 29:32] = 0.95
    found[27:33, 29:32] = 0.3
    predictor = SimpleNamespace(
        levels=lambda plane: SimpleNamespace(inside=None), window=lambda *asked: found.copy()
    )
    about = {"image_shape": (1, 60, 61), "image_dtype": "uint8", "label_counts": {}}
    about |= {"trained_slices": [], "held_out_slices": []}
    for merge_threshold, cells in ((0.7, 2), (0.99, 1)):
        events = []
        context = JobContext(report=events.append, control=lambda: JobControl(z=0))
        record = RunRecord(**about, threshold=0.5, merge_threshold=merge_threshold)
        SlicePreview(np.zeros((1, 60, 61), np.uint8), context).show(0, 1, 1, predictor, record)
        (preview,) = (event for event in events if isinstance(event, PreviewReady))
        assert ndimage.label(preview.probability < 0.5)[1] == cells
