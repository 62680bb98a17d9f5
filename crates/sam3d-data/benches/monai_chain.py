"""Crops per second of MONAI's dictionary transforms for the training chain of docs/data.md, on one core.

    pip install monai nibabel
    python crates/sam3d-data/benches/monai_chain.py [CROPS]

The volume is the one that `cargo run --release -p sam3d-data --example crops_per_second` generates, held in memory: nothing
is read or resampled while the clock runs. Compare with that program's line for one worker.
"""

import sys
import time

import numpy as np
import torch
from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureTyped,
    Lambdad,
    NormalizeIntensityd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandRotate90d,
    RandRotated,
    RandShiftIntensityd,
    RandSpatialCropd,
    RandZoomd,
    SpatialPadd,
)

SIDE, SIZES = 128, (260, 340, 340)
LOW, HIGH, MEAN, STD = -57.0, 175.0, 65.175035, 32.651197
BOTH = ["image", "label"]


def volume():
    """A body in air with a tumour, at 1 mm, clipped."""
    d, h, w = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in SIZES), indexing="ij")
    tissue = np.floor(60 + 50 * np.sin(d / 7) * np.cos(h / 9) * np.sin(w / 11))
    body = ((h - 170) / 130) ** 2 + ((w - 170) / 150) ** 2 < 1
    image = np.clip(np.where(body, tissue, -1000), LOW, HIGH)
    label = (d - 120) ** 2 + (h - 150) ** 2 + (w - 200) ** 2 < 25**2
    return image[None].astype(np.float32), label[None].astype(np.float32)


def chain(in_plane):
    first = int(SIDE * 1.2)
    linear = ("bilinear", "bilinear")
    if in_plane:
        resample = [
            RandRotated(BOTH, range_x=np.pi / 6, prob=0.3, keep_size=False, mode=linear, padding_mode="border"),
            RandZoomd(BOTH, prob=0.3, min_zoom=(1, 0.9, 0.9), max_zoom=(1, 1.1, 1.1), mode=("trilinear",) * 2,
                      padding_mode="edge"),
        ]
    else:
        resample = [RandZoomd(BOTH, prob=0.8, min_zoom=0.85, max_zoom=1.25, mode=("trilinear",) * 2, padding_mode="edge")]
    return Compose([
        RandShiftIntensityd("image", offsets=20, prob=0.5),
        CropForegroundd(BOTH, source_key="image", select_fn=lambda x: x > LOW, allow_smaller=True),
        NormalizeIntensityd("image", subtrahend=MEAN, divisor=STD),
        *resample,
        Lambdad("label", lambda x: (x > 0.5).float()),
        SpatialPadd(BOTH, spatial_size=(first,) * 3),
        RandCropByPosNegLabeld(BOTH, label_key="label", spatial_size=(first,) * 3, pos=2, neg=1, num_samples=1),
        RandSpatialCropd(BOTH, roi_size=(SIDE,) * 3, random_size=False),
        *(RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)),
        RandRotate90d(BOTH, prob=0.5, max_k=3, spatial_axes=(0, 1)),
    ])


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(1)
    image, label = volume()
    case = EnsureTyped(BOTH)({"image": image, "label": label})
    for name, in_plane in [("zoom", False), ("in-plane", True)]:
        transforms = chain(in_plane)
        transforms.set_random_state(0)
        transforms(case)
        start = time.perf_counter()
        for _ in range(count):
            crop = transforms(case)[0]
            assert crop["image"].shape == (1, SIDE, SIDE, SIDE)
        seconds = time.perf_counter() - start
        print(f"{name:>9}, 1 core: {count / seconds:6.2f} crops/s")


if __name__ == "__main__":
    main()
