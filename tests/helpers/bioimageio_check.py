"""Test a package with bioimageio.core: ``python bioimageio_check.py PACKAGE IMAGE OUTPUT``.

In a process of its own, since it imports Keras. IMAGE is float32 (1, y, x, 1) in a .npy file; what each kind
of weights predicts of it is written to OUTPUT, a .npz file. What bioimageio.core finds wrong is an error.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np


def main() -> None:
    package, image, output = sys.argv[1:]
    from bioimageio.core import create_prediction_pipeline, test_model
    from bioimageio.core.digest_spec import create_sample_for_model
    from bioimageio.spec import load_model_description

    found = {}
    for weights in ("keras_v3", "onnx"):
        summary = test_model(package, weight_format=weights)
        errors = [error.msg for detail in summary.details for error in detail.errors]
        assert summary.status == "passed", errors
        # Not in a block of `with`, at whose end it would wait for itself where Keras predicts.
        model = load_model_description(package)
        pipeline = create_prediction_pipeline(model, weight_format=weights)
        sample = create_sample_for_model(model, inputs={"image": np.load(image)})
        # As a whole, without a halo around it: so does emseg, too.
        sample = pipeline.predict_sample_without_blocking(
            sample, skip_input_padding=True, skip_output_cropping=True
        )
        found[weights] = np.asarray(sample.members["boundary"].data)
    np.savez(output, **found)


if __name__ == "__main__":
    main()
