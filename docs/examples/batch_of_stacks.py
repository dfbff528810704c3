"""Predict every TIFF file of a folder with one network, and go on after a bad one."""

from pathlib import Path
from tempfile import TemporaryDirectory

import tifffile

from emseg_napari import predict
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import from_probability, to_isbi
from emseg_napari.io.samples import phantom
from emseg_napari.io.stacks import read_image
from emseg_napari.models.run import open_run


def predict_folder(source: Path, target: Path, **settings) -> None:
    run = open_run("starter")
    target.mkdir(exist_ok=True)
    for file in sorted(source.glob("*.tif")):
        try:
            probability = predict(read_image(file), run, **settings)
        except UserError as error:
            print(f"{file.name} left out: {error}")
            continue
        tifffile.imwrite(target / file.name, to_isbi(from_probability(probability, run.record.threshold)))
        print(f"{file.name}: {len(probability)} slices")


def main(**settings) -> None:
    image, _ = phantom()
    with TemporaryDirectory() as folder:
        for name, stack in {"a.tif": image[:2], "b.tif": image[0] * 0, "c.tif": image[2]}.items():
            tifffile.imwrite(Path(folder, name), stack)
        predict_folder(Path(folder), Path(folder, "masks"), **settings)


if __name__ == "__main__":
    main()
