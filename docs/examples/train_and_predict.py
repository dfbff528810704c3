"""Train on eight slices of the sample, predict the others, and score them."""

from tempfile import TemporaryDirectory

from emseg_napari import evaluate, predict, train
from emseg_napari.io.samples import phantom


def main(**shorter) -> None:
    image, truth = phantom()
    labels = truth.copy()
    labels[8:] = 0  # unlabelled, so they do not train
    with TemporaryDirectory() as folder:
        run = train(image, labels, f"{folder}/run", **{"minutes": 0.5, **shorter})
        probability = predict(image, run, slices=(12, 16))
        scores = evaluate(probability, truth, run, slices=(12, 16), image=image).at_threshold
    print(f"trained on slices {run.record.trained_slices}, held out {run.record.held_out_slices}")
    print(f"V_rand {scores.v_rand:.3f}, V_info {scores.v_info:.3f}, accuracy {scores.accuracy:.3f}")


if __name__ == "__main__":
    main()
