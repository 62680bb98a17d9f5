"""From MONAI to sam3d: the loader, the metric and the segmenter, each replaced by itself.

A notebook as a script: the cells begin with `# %%`, as editors and jupytext know them. It makes its own CT, so that it runs anywhere;
what one has in MONAI is shown in comments above what replaces it.
"""

# %% A CT with a target, as files
import time

import numpy as np

import sam3d

rng = np.random.default_rng(0)
k, j, i = np.ogrid[:48, :80, :80]
target = ((k - 24) * 2.5) ** 2 + ((j - 40) * 1.5) ** 2 + ((i - 38) * 1.5) ** 2 < 25**2
hu = np.rint(rng.normal(-100, 12, target.shape) + 120 * target).astype(np.int16)
affine = np.diag([-1.5, -1.5, 2.5, 1.0])  # voxels (i, j, k) to millimetres, RAS+
# Arrays are [k, j, i]. For an array [i, j, k], as nibabel and MONAI have it: sam3d.Volume(array.transpose(2, 1, 0), affine)
sam3d.write("ct.nii.gz", hu, like=sam3d.Volume(hu, affine), overwrite=True)
sam3d.write("lesion.nii.gz", target, like=sam3d.Volume(hu, affine), overwrite=True)

# %% The loader
# In MONAI:
#   transform = Compose([
#       LoadImaged(keys), EnsureChannelFirstd(keys), Orientationd(keys, axcodes="SPL"), Spacingd(keys, pixdim=(2, 2, 2)),
#       ScaleIntensityRanged("image", -160, 240, ...), RandZoomd(...), RandCropByPosNegLabeld(...), RandFlipd(...), RandRotate90d(...),
#   ])
#   loader = DataLoader(CacheDataset(files, transform), num_workers=4)
preprocessing = sam3d.Preprocessing(clip_hu=(-160, 240), mean=40, std=80, spacing_mm=(2, 2, 2))
crops = sam3d.Crops([("case", "ct.nii.gz", "lesion.nii.gz")], preprocessing, side=48, seed=0)
crops.training(0)  # reads and resamples the case, which is kept
start = time.perf_counter()
samples = list(crops.epoch(0, per_case=20))
seconds = time.perf_counter() - start
print(f"{len(samples)} samples in {seconds:.2f} s, {np.mean([sample.label.any() for sample in samples]):.0%} with target")

try:
    from torch import from_numpy, stack
except ImportError:
    print("torch's own Python part is not installed: the batch stays an array")
    batch = np.stack([sample.image for sample in samples[:2]])[:, None]
else:
    # No copy for each sample; stack copies once into the batch.
    batch = stack([from_numpy(sample.image) for sample in samples[:2]])[:, None]
assert tuple(batch.shape) == (2, 1, 48, 48, 48)

# %% The segmenter
# In MONAI: a bundle, or a server of MONAI Label, with SlidingWindowInferer, Invertd and SaveImaged.
volume = sam3d.read("ct.nii.gz")
session = sam3d.Segmenter().session(volume)
session.click((38, 40, 24))
session.box((26, 28, 24), (50, 52, 24))
sam3d.write("mask.nii.gz", session.mask(), like=volume, overwrite=True)

# %% The metric
# In MONAI: DiceMetric, SurfaceDiceMetric, HausdorffDistanceMetric on one-hot batches [B, C, ...].
session.undo()
truth = sam3d.read_label("lesion.nii.gz", like=volume)
try:
    import sam3d_metrics
except ImportError:
    print("sam3d-metrics is not installed: Dice alone")
    mask = session.mask()
    print(f"Dice after 1 click: {2 * (mask * truth.array).sum() / (mask.sum() + truth.array.sum()):.3f}")
else:
    scores = sam3d_metrics.Comparison(
        volume.to_dhw(truth.array), volume.to_dhw(session.mask()), volume.spacing_dhw_mm()
    )
    print(f"Dice after 1 click: {scores.dice:.3f}")
    print(f"surface Dice at 2 mm: {scores.nsd(2.0):.3f}, 95th percentile of distances: {scores.hausdorff_mm(95):.1f} mm")
