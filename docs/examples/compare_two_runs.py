"""Compare a run with the network that it started from, slice by slice, on slices that neither has seen."""

from tempfile import TemporaryDirectory

import numpy as np

from emseg_napari import evaluate, predict, train
from emseg_napari.io.samples import phantom
from emseg_napari.models.run import open_run

TESTED = (12, 16)


def v_rand(image, truth, run) -> np.ndarray:
    probability = predict(image, run, slices=TESTED)
    scored = evaluate(probability, truth, run, slices=TESTED, image=image)
    assert not scored.trained_slices, "these slices prove nothing"
    return np.array([one.scores.v_rand for one in scored.per_slice])


def main(**shorter) -> None:
    image, truth = phantom()
    labels = truth.copy()
    labels[8:] = 0
    with TemporaryDirectory() as folder:
        run = train(image, labels, f"{folder}/run", **{"minutes": 0.5, **shorter})
        before, after = v_rand(image, truth, open_run("starter")), v_rand(image, truth, run)
    for z, one, other in zip(range(*TESTED), before, after, strict=True):
        print(f"slice {z}: starter {one:.3f}, run {other:.3f}")
    error = np.std(after - before, ddof=1) / np.sqrt(len(before))
    print(f"better by {np.mean(after - before):+.4f}, standard error {error:.4f}")


if __name__ == "__main__":
    main()
