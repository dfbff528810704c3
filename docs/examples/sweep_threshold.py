"""Choose a threshold on two slices, and see what it is worth on two others."""

from emseg_napari import evaluate, predict
from emseg_napari.io.samples import phantom


def main(**settings) -> None:
    image, truth = phantom()

    def scored(first: int, end: int, **threshold: float):
        probability = predict(image, "starter", slices=(first, end), **settings)
        return evaluate(probability, truth, "starter", slices=(first, end), image=image, **threshold)

    chosen_on = scored(0, 2)
    # Thresholds of scores are those of the interior probability, as in the ISBI 2012 challenge.
    for threshold, scores in zip(chosen_on.thresholds, chosen_on.per_threshold, strict=True):
        print(f"interior above {threshold:.1f}: V_rand {scores.v_rand:.3f}, V_info {scores.v_info:.3f}")
    best = chosen_on.v_rand_threshold
    tested = scored(14, 16, threshold=best)
    print(f"chosen {best:.1f}; on other slices V_rand {tested.at_threshold.v_rand:.3f}")


if __name__ == "__main__":
    main()
