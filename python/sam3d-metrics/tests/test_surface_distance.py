"""The functions of surface-distance: cases computed by hand, agreement with that package where it is installed, and time."""

import math
import time

import numpy as np
import pytest

import sam3d_metrics as ours


def scores(package, truth, prediction, spacing_mm):
    """All scores of a pair by one of the two packages."""
    distances = package.compute_surface_distances(truth, prediction, spacing_mm)
    return [
        *package.compute_average_surface_distance(distances),
        package.compute_robust_hausdorff(distances, 100),
        package.compute_robust_hausdorff(distances, 95),
        package.compute_robust_hausdorff(distances, 50),
        *package.compute_surface_overlap_at_tolerance(distances, 1.0),
        package.compute_surface_dice_at_tolerance(distances, 1.0),
        package.compute_surface_dice_at_tolerance(distances, 2.5),
        package.compute_dice_coefficient(truth, prediction),
    ]


def reference():
    """The package surface-distance, which names things that newer numpy and SciPy have dropped."""
    pytest.importorskip("surface_distance", reason="surface-distance-based-measures is not installed")
    scipy = pytest.importorskip("scipy.ndimage")
    for name, value in [("Inf", np.inf), ("NaN", np.nan), ("bool", np.bool_)]:
        if not hasattr(np, name):
            setattr(np, name, value)
    for name in ["filters", "morphology"]:
        setattr(scipy, name, scipy)
    import surface_distance

    return surface_distance


def masks(shape, *voxels):
    made = []
    for voxel in voxels:
        mask = np.zeros(shape, bool)
        if voxel is not None:
            mask[voxel] = True
        made.append(mask)
    return made


def test_two_pixels_two_mm_apart():
    truth, prediction = masks((128, 128), (50, 70), (50, 72))
    distances = ours.compute_surface_distances(truth, prediction, (2, 1))
    corner = 0.5 * math.sqrt(5)
    assert set(distances) == {"distances_gt_to_pred", "distances_pred_to_gt", "surfel_areas_gt", "surfel_areas_pred"}
    for name in ["gt", "pred"]:
        np.testing.assert_array_equal(distances[f"surfel_areas_{name}"], [corner] * 4)
    for name in ["gt_to_pred", "pred_to_gt"]:
        np.testing.assert_array_equal(distances[f"distances_{name}"], [1, 1, 2, 2])
    np.testing.assert_allclose(scores(ours, truth, prediction, (2, 1)), [1.5, 1.5, 2, 2, 1, 0.5, 0.5, 0.5, 1, 0])


def test_two_squares_shifted_by_one_pixel():
    truth, prediction = masks((6, 6), np.s_[1:3, 1:3], np.s_[1:4, 1:3])
    distances = ours.compute_surface_distances(truth, prediction, (2, 1))
    corner = 0.5 * math.sqrt(5)
    # Of eight elements of the ground truth, one, its lower middle, lies one pixel inside the prediction.
    np.testing.assert_array_equal(distances["distances_gt_to_pred"], [0] * 7 + [1])
    np.testing.assert_array_equal(distances["surfel_areas_gt"], [1] + [corner] * 4 + [2, 2] + [1])
    # Of ten elements of the prediction, the three of its lower border are two mm outside.
    np.testing.assert_array_equal(distances["distances_pred_to_gt"], [0] * 7 + [2] * 3)
    assert ours.compute_dice_coefficient(truth, prediction) == 2 * 4 / 10


def test_two_voxels_two_mm_apart():
    truth, prediction = masks((128, 128, 128), (50, 60, 70), (50, 60, 72))
    np.testing.assert_allclose(scores(ours, truth, prediction, (3, 2, 1)), [1.5, 1.5, 2, 2, 1, 0.5, 0.5, 0.5, 1, 0])


def test_two_slabs_shifted_by_one_slice():
    truth, prediction = masks((100, 100, 100), np.s_[0:50], np.s_[0:51])
    found = scores(ours, truth, prediction, (2, 1, 1))
    expected = {0: 0.322, 1: 0.339, 2: 2.0, 3: 2.0, 5: 0.842, 6: 0.830, 7: 0.836, 9: 0.990}
    for index, value in expected.items():
        assert found[index] == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize("shape, spacing_mm", [((128, 128), (3, 2)), ((64, 64, 64), (3, 2, 1))])
def test_empty_masks(shape, spacing_mm):
    voxel = tuple(n // 2 for n in shape)
    nan, inf = np.nan, np.inf
    cases = [
        ((voxel, None), [inf, nan, inf, inf, inf, 0, nan, 0, 0, 0]),
        ((None, voxel), [nan, inf, inf, inf, inf, nan, 0, 0, 0, 0]),
        ((None, None), [nan, nan, inf, inf, inf, nan, nan, nan, nan, nan]),
    ]
    for voxels, expected in cases:
        found = scores(ours, *masks(shape, *voxels), spacing_mm)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "truth, prediction, spacing_mm, message",
    [
        ((2, 2, 2), (2, 2), (1, 1), "The arguments must be of compatible shape"),
        ((2, 2), (2, 2, 2), (1, 1), "The arguments must be of compatible shape"),
        ((2, 2), (2, 2), (1, 1, 1), "The arguments must be of compatible shape"),
        ((2,), (2,), (1,), "Only 2D and 3D masks are supported"),
        ((2, 2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1), "Only 2D and 3D masks are supported"),
        ((2, 2), (2, 3), (1, 1), "do not lie on one grid"),
        ((2, 2, 2), (2, 2, 2), (1, 0, 1), "spacing"),
    ],
)
def test_what_does_not_fit_is_refused(truth, prediction, spacing_mm, message):
    with pytest.raises(ValueError, match=message):
        ours.compute_surface_distances(np.zeros(truth, bool), np.zeros(prediction, bool), spacing_mm)


def blobs(rng, shape):
    """A mask of several boxes, some of them at the border."""
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 5)):
        first = [rng.integers(0, n) for n in shape]
        mask[tuple(np.s_[start : start + rng.integers(1, n + 1)] for start, n in zip(first, shape))] = True
    return mask


@pytest.mark.parametrize("seed", range(40))
def test_agreement_with_surface_distance(seed):
    package = reference()
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, size=2 + seed % 2))
    spacing_mm = rng.uniform(0.3, 4.0, size=len(shape)).tolist()
    truth, prediction = blobs(rng, shape), blobs(rng, shape) & (rng.random(shape) < 0.9)
    if not prediction.any():
        prediction[(0,) * len(shape)] = True
    ours_found, theirs = (one.compute_surface_distances(truth, prediction, spacing_mm) for one in (ours, package))
    for key, expected in theirs.items():
        assert ours_found[key].dtype == expected.dtype
        if key.startswith("distances"):
            np.testing.assert_allclose(ours_found[key], expected, rtol=1e-6)
        else:
            np.testing.assert_allclose(np.sort(ours_found[key]), np.sort(expected), rtol=1e-6)
    found, expected = scores(ours, truth, prediction, spacing_mm), scores(package, truth, prediction, spacing_mm)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_faster_than_surface_distance(capsys):
    package = reference()
    d, h, w = np.ogrid[:256, :256, :256]
    truth = ((d - 128) / 100) ** 2 + ((h - 128) / 90) ** 2 + ((w - 128) / 110) ** 2 <= 1
    prediction = ((d - 122) / 97) ** 2 + ((h - 131) / 93) ** 2 + ((w - 128) / 104) ** 2 <= 1

    def best(package, times):
        """The shortest wall-clock and processor times in seconds, and the scores."""
        wall, processor = [], []
        for _ in range(times):
            start = time.perf_counter(), time.process_time()
            found = scores(package, truth, prediction, (1.5, 0.8, 0.8))
            wall.append(time.perf_counter() - start[0])
            processor.append(time.process_time() - start[1])
        return min(wall), min(processor), found

    (ours_wall, ours_processor, found), (wall, processor, expected) = best(ours, 4), best(package, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    with capsys.disabled():
        for kind, theirs_s, ours_s in [("wall-clock", wall, ours_wall), ("processor", processor, ours_processor)]:
            ratio = theirs_s / ours_s
            print(f"\n256^3, {kind} time: surface-distance {theirs_s:.2f} s, ours {ours_s:.3f} s, ratio {ratio:.1f}", end="")
        print()
    # Other work on the machine stretches wall-clock times, and processor times less.
    assert processor > 5 * ours_processor
