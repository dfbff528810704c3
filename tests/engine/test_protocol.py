import io

import numpy as np

from emseg_napari.engine.protocol import LabelUpdate, Request, receive, send
from helpers.odd_arrays import odd_arrays


@odd_arrays
def test_arrays_reach_the_engine_however_they_lie_in_memory(odd):
    plain, stream = np.arange(60, dtype=np.uint16).reshape(3, 4, 5), io.BytesIO()
    send(stream, Request("predict", {"image": odd(plain)}))
    send(stream, LabelUpdate(1, odd(plain)[1]))
    stream.seek(0)
    assert np.array_equal(receive(stream).arguments["image"], plain)
    assert np.array_equal(receive(stream).labels, plain[1])
