"""Formats that are not read, and which program saves them as one that is."""

from __future__ import annotations

_FIJI = "open it in Fiji and save it as TIFF"
# suffixes, what the file is, and what to do
_FORMATS = (
    ((".am",), "an Amira mesh, as MIB and Amira write it", "save it as TIFF in MIB, or in Fiji"),
    (
        (".model", ".mod"),
        "a model of MIB or IMOD",
        "save the labels as TIFF in MIB, or as MRC with IMOD's imodmop",
    ),
    ((".ilp",), "a project of ilastik", "export its results there as HDF5 or TIFF"),
    (
        (".xml", ".xml.gz"),
        "a description of a project",
        "export the images of TrakEM2 as TIFF; of BigDataViewer open the .h5 or .n5 beside it",
    ),
    ((".wkw",), "a part of a dataset of webKnossos", "choose the folder with datasource-properties.json"),
    ((".zip", ".tar", ".gz", ".7z"), "an archive", "unpack it first"),
    ((".dm3", ".dm4", ".ser"), "an image of a microscope", _FIJI),
    ((".emd", ".ims", ".czi", ".lif", ".nd2", ".oib", ".oif", ".vsi"), "an image of a microscope", _FIJI),
    ((".nrrd", ".nii", ".mha", ".mhd"), "a volume of medical images", _FIJI),
    (
        (".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
        "a picture",
        "save it as PNG or TIFF, of the original if JPEG has changed its values",
    ),
    ((".npy", ".npz", ".mat"), "an array of numbers", "save it as TIFF, such as with tifffile.imwrite"),
)


def conversion(name: str) -> str | None:
    """Return what a file is by its name and how to convert it; None if that is not known.

    >>> conversion("brain.am")
    'is an Amira mesh, as MIB and Amira write it, which cannot be read: save it as TIFF in MIB, or in Fiji'
    """
    for suffixes, what, advice in _FORMATS:
        if name.lower().endswith(suffixes):
            return f"is {what}, which cannot be read: {advice}"
    return None
