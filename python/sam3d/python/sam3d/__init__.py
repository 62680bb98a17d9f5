"""CT volumes, training crops, and segmentation by clicks, for numpy arrays.

    import sam3d

    volume = sam3d.read("ct.nii.gz")                 # NIfTI, NRRD, MetaImage, DICOM
    session = sam3d.Segmenter().session(volume)      # the built-in weights
    session.click((212, 180, 64))                    # voxel (i, j, k)
    session.click((214, 186, 90), positive=False)
    sam3d.write("mask.nii.gz", session.mask(), like=volume)

Two orders of axes meet here. A file's own: voxels are (i, j, k), arrays [k, j, i]. The network's: arrays [D, H, W], by default with D
to superior, H to posterior and W to the patient's left; Volume.to_dhw and Volume.from_dhw change from one to the other.

The network runs in the libtorch of the package torch, of which exactly version 2.13.0 has to be installed; it need not be imported.
Arrays that are returned are contiguous and own their memory: torch.from_numpy and torch.from_dlpack take them without a copy.
"""

from . import _libtorch

_libtorch.load()

from ._native import (  # noqa: E402
    Change,
    CropIterator,
    Crops,
    Preprocessing,
    Prompt,
    Sample,
    Segmenter,
    Session,
    Volume,
    augment,
    built_in_weights,
    crop,
    published_augmentation,
    read,
    read_label,
    resample,
    resize,
    write,
)

__all__ = [
    "Change",
    "CropIterator",
    "Crops",
    "Preprocessing",
    "Prompt",
    "Sample",
    "Segmenter",
    "Session",
    "Volume",
    "augment",
    "built_in_weights",
    "crop",
    "published_augmentation",
    "read",
    "read_label",
    "resample",
    "resize",
    "write",
]
