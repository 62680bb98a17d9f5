"""Files, axes, resampling and crops."""

import math

import numpy as np
import pytest

import sam3d


def test_a_file_is_read_as_it_was_written(case):
    volume = sam3d.read(case.image_path)
    assert volume.array.dtype == np.float32 and volume.array.flags.c_contiguous
    np.testing.assert_array_equal(volume.array, case.hu)
    np.testing.assert_allclose(volume.affine, case.affine, atol=1e-5)
    assert volume.shape_ijk == (72, 64, 40) == case.volume.shape_ijk
    assert volume.spacing_ijk_mm == pytest.approx((1.5, 1.25, 2.0), rel=1e-6)
    assert (volume.stored_type, volume.affine_source, volume.nan_voxels) == ("int16", "sform", 0)
    assert (case.volume.stored_type, case.volume.affine_source) == (None, "array")
    label = sam3d.read_label(case.label_path, like=volume)
    np.testing.assert_array_equal(label.array, case.mask)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_arrays_keep_their_type_and_place(case, tmp_path, dtype, ending):
    values = (case.mask * 5).astype(dtype)
    # In memory of another order, and reversed twice: what is written is what the array says.
    strided = np.asfortranarray(values)[::-1][::-1]
    path = tmp_path / ("out" + ending)
    sam3d.write(path, strided, like=case.volume)
    volume = sam3d.read(path)
    np.testing.assert_array_equal(volume.array, values)
    np.testing.assert_allclose(volume.affine, case.affine, atol=1e-4)
    assert volume.stored_type == ("uint8" if dtype is bool else np.dtype(dtype).name)
    with pytest.raises(FileExistsError, match="exists already"):
        sam3d.write(path, values, like=case.volume)
    sam3d.write(str(path), values, like=case.volume, overwrite=True)


def test_other_formats(fixtures):
    reference = sam3d.read(fixtures / "itk_oblique.nrrd")
    for name in ["itk_oblique.mha", "itk_oblique.mhd"]:
        volume = sam3d.read(fixtures / name)
        np.testing.assert_array_equal(volume.array, reference.array)
        np.testing.assert_allclose(volume.affine, reference.affine, atol=1e-5)
    # The same volume with its axes in another order.
    dicom, nifti = (sam3d.read(fixtures / "file_cases" / name) for name in ["d00_base", "d00_perm.nii.gz"])
    assert dicom.shape_ijk != nifti.shape_ijk
    np.testing.assert_array_equal(dicom.to_dhw(), nifti.to_dhw())
    assert dicom.affine_source == "image positions"


def test_axes_of_the_network(case):
    volume = sam3d.Volume(case.hu[::-1], case.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 39], [0, 0, 0, 1]]))
    dhw = volume.to_dhw()
    # k runs to inferior in this volume: D is turned, H and W are j and i.
    np.testing.assert_array_equal(dhw, case.hu)
    assert dhw.flags.c_contiguous and not np.shares_memory(dhw, volume.array)
    np.testing.assert_array_equal(volume.from_dhw(dhw), volume.array)
    assert volume.spacing_dhw_mm() == pytest.approx((2.0, 1.25, 1.5), rel=1e-6)
    d, h, w = 3, 20, 50
    world = volume.affine_dhw() @ (d, h, w, 1)
    np.testing.assert_allclose(world, volume.affine @ (w, h, 39 - d, 1), atol=1e-3)
    assert volume.voxel_at(world[:3]) == (w, h, 39 - d)
    assert volume.voxel_at(world[:3] * (-1, -1, 1), lps=True) == (w, h, 39 - d)
    stored = volume.to_dhw(case.mask, orientation=(0, 1, 2))
    assert stored.shape == (72, 64, 40) and stored.dtype == bool
    np.testing.assert_array_equal(stored, case.mask.transpose(2, 1, 0))
    np.testing.assert_array_equal(volume.from_dhw(stored, orientation=(0, 1, 2)), case.mask)


def test_values_that_are_not_finite(case):
    array = np.zeros((2, 3, 4))
    array[0, 0, 0], array[1, 1, 1] = np.nan, np.inf
    volume = sam3d.Volume(array, np.eye(4))
    assert volume.nan_voxels == 1 and volume.array[0, 0, 0] == 0
    assert np.isfinite(volume.array).all() and volume.array[1, 1, 1] == np.finfo(np.float32).max


def linear(array, positions):
    """Linear interpolation at positions along each axis, clamped."""
    for axis, at in enumerate(positions):
        at = np.clip(at, 0, array.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, array.shape[axis] - 1)
        weight = np.expand_dims(at - low, [a for a in range(3) if a != axis])
        array = np.take(array, low, axis) * (1 - weight) + np.take(array, high, axis) * weight
    return array


def test_resampling_agrees_with_its_definition():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(9, 14, 11))
    spacing, target = (2.5, 0.8, 0.8), (1.1, 1.0, 0.5)
    sizes = [math.floor(n * s / t) for n, s, t in zip(array.shape, spacing, target)]
    positions = [(np.arange(n) + 0.5) * t / s - 0.5 for n, s, t in zip(sizes, spacing, target)]
    resampled = sam3d.resample(array, spacing, target)
    np.testing.assert_allclose(resampled, linear(array, positions), atol=1e-5)
    shape = (20, 7, 11)
    positions = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, array.shape)]
    np.testing.assert_allclose(sam3d.resize(array, shape), linear(array, positions), atol=1e-5)
    np.testing.assert_array_equal(sam3d.resample(np.asfortranarray(array[::-1]), spacing, target), sam3d.resample(array[::-1].copy(), spacing, target))


def test_preprocessing(case, preprocessing):
    image = preprocessing.image(case.volume)
    native = case.hu.astype(np.float32)
    expected = (np.clip(sam3d.resample(native, (2, 1.25, 1.5), (2, 2, 2)), -160, 240) - 40) / 80
    np.testing.assert_allclose(image, expected, atol=1e-4)
    np.testing.assert_allclose(preprocessing.image(case.volume, normalise=False), expected * 80 + 40, atol=1e-2)
    label = preprocessing.label(sam3d.read_label(case.label_path, like=case.volume))
    assert label.shape == image.shape and label.dtype == np.uint8
    np.testing.assert_array_equal(label, sam3d.resample(case.mask, (2, 1.25, 1.5), (2, 2, 2)) > 0.5)
    back = preprocessing.to_file(case.volume, label) > 0.5
    assert back.shape == case.mask.shape
    assert 2 * (back & case.mask).sum() / (back.sum() + case.mask.sum()) > 0.9
    published = sam3d.Preprocessing.of_dataset("msd-colon")
    assert published.clip_hu[0] < published.clip_hu[1] and published != preprocessing
    assert eval(repr(published), {"Preprocessing": sam3d.Preprocessing}) == published


def test_crops():
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    padded = np.pad(array.astype(np.float32), 6, constant_values=-9)
    for start in [(0, 0, 0), (-2, 3, 4), (2, -3, 1)]:
        found = sam3d.crop(array, 4, start=start, fill=-9)
        d, h, w = (s + 6 for s in start)
        np.testing.assert_array_equal(found, padded[d : d + 4, h : h + 4, w : w + 4])
    np.testing.assert_array_equal(sam3d.crop(array, 4, around=(2, 2, 2)), array[:4, :4, :4])
    mask = sam3d.crop(array > 50, 3, start=(2, 2, 2))
    assert mask.dtype == np.uint8 and mask.sum() == (array[2:5, 2:5, 2:5] > 50).sum()


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (lambda c, d: sam3d.read(d / "no.nii.gz"), FileNotFoundError, "no.nii.gz: cannot be read: No such file"),
        (lambda c, d: sam3d.read(__file__), ValueError, "unrecognised file format: expected NIfTI"),
        (lambda c, d: sam3d.read(c.image_path, max_voxels=9), ValueError, "more than the limit of 9"),
        (lambda c, d: sam3d.read_label(c.image_path, c.volume, threshold=0).array.max(), None, None),
        (lambda c, d: sam3d.Volume(np.zeros((2, 2)), np.eye(4)), ValueError, "three axes"),
        (lambda c, d: sam3d.Volume(np.full((2, 2, 2), "a"), np.eye(4)), ValueError, "array of numbers"),
        (lambda c, d: sam3d.Volume(np.zeros((2, 2, 2)), np.zeros((4, 4))), ValueError, "fourth of 0, 0, 0, 1"),
        (lambda c, d: sam3d.Volume(np.zeros((2, 2, 2)), np.zeros((3, 4))), ValueError, "affine"),
        (lambda c, d: sam3d.Volume(np.zeros((0, 2, 2)), np.eye(4)), ValueError, "at least one voxel|voxels"),
        (lambda c, d: sam3d.write(d / "a.png", c.mask, c.volume), ValueError, "ends in .nii, .nii.gz"),
        (lambda c, d: sam3d.write(d / "a.nii", c.mask[1:], c.volume), ValueError, "should have the shape"),
        (lambda c, d: sam3d.write(d / "a.nii", c.mask * 1.0, c.volume), ValueError, "float64: convert it"),
        (lambda c, d: sam3d.write(d / "no" / "a.nii", c.mask, c.volume), FileNotFoundError, "cannot be written"),
        (lambda c, d: c.volume.to_dhw(orientation=(0, 0, 1)), ValueError, "0, 1 and 2|permutation"),
        (lambda c, d: c.volume.voxel_at((9e9, 0, 0)), ValueError, "outside the volume, which spans"),
        (lambda c, d: sam3d.resample(c.hu, (1, 1, 0), (1, 1, 1)), ValueError, "spacing"),
        (lambda c, d: sam3d.resample(c.hu, (1, 1, 1), (1e-9, 1, 1)), ValueError, "choose a larger target spacing"),
        (lambda c, d: sam3d.resize(c.hu, (0, 1, 1)), ValueError, "voxel"),
        (lambda c, d: sam3d.crop(c.hu, 4), ValueError, "either start or around"),
        (lambda c, d: sam3d.crop(c.hu, 10**9, start=(0, 0, 0)), ValueError, "side should be"),
        (lambda c, d: sam3d.Preprocessing.of_dataset("no-such-set"), ValueError, "no-such-set"),
    ],
)
def test_errors_say_what_is_wrong(case, tmp_path, call, kind, message):
    if kind is None:
        assert call(case, tmp_path) == 1
        return
    with pytest.raises(kind, match=message):
        call(case, tmp_path)
