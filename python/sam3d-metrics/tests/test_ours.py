"""What surface-distance does not have, and how arrays are read."""

import math
import subprocess
import sys

import numpy as np
import pytest

import sam3d_metrics as metrics

SPACING_MM = (2.5, 0.8, 0.7)


def pair(seed=0, shape=(12, 20, 30)):
    rng = np.random.default_rng(seed)
    truth, prediction = np.zeros(shape, bool), np.zeros(shape, bool)
    truth[2:9, 3:14, 5:20] = True
    prediction[3:10, 3:12, 8:24] = True
    return truth ^ (rng.random(shape) < 0.01), prediction


def layouts(mask):
    """The same mask in other memory."""
    padded = np.zeros([2 * n for n in mask.shape], mask.dtype)
    padded[::2, ::2, ::2] = mask
    yield "Fortran order", np.asfortranarray(mask)
    yield "negative strides", np.ascontiguousarray(mask[::-1, :, ::-1])[::-1, :, ::-1]
    yield "steps", padded[::2, ::2, ::2]
    yield "permuted axes", np.ascontiguousarray(mask.transpose(2, 0, 1)).transpose(1, 2, 0)
    read_only = mask.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    for dtype in [np.uint8, np.int8, np.int16, np.uint32, np.int64, np.float32, np.float64]:
        yield dtype.__name__, mask.astype(dtype) * 3
    yield "bytes of a boolean that are neither 0 nor 1", (mask.astype(np.uint8) * 6).view(bool)


def test_memory_layout_and_type_do_not_matter():
    truth, prediction = pair()
    expected = metrics.Comparison(truth, prediction, SPACING_MM)
    elements = metrics.compute_surface_distances(truth, prediction, SPACING_MM)
    click = metrics.corrective_click(truth, prediction, SPACING_MM)
    for (name, a), (_, b) in zip(layouts(truth), layouts(prediction)):
        found = metrics.Comparison(a, b, SPACING_MM)
        assert (found.dice, found.nsd(1.0)) == (expected.dice, pytest.approx(expected.nsd(1.0), rel=1e-12)), name
        assert found.hausdorff_mm(95) == pytest.approx(expected.hausdorff_mm(95), rel=1e-12), name
        for key, values in metrics.compute_surface_distances(a, b, SPACING_MM).items():
            np.testing.assert_allclose(values, elements[key], rtol=1e-12, err_msg=name)
        assert metrics.corrective_click(a, b, SPACING_MM) == click, name
        assert metrics.compute_dice_coefficient(a, b) == expected.dice, name


def test_masks_of_one_byte_are_not_copied():
    # In a process of its own, whose peak of memory is this call's: two masks of 128 MiB, and no copy of either.
    program = """
import resource, numpy, sam3d_metrics
masks = [numpy.zeros((128, 1024, 1024), bool, order=order) for order in "CF"]
for mask in masks:
    mask.fill(False)
    mask[100:110, 100:110, 100:110] = True
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
turned = masks[0][::-1, :, ::-1][::-1, :, ::-1]
assert sam3d_metrics.Comparison(masks[0], turned, (1, 1, 1)).dice == 1
assert sam3d_metrics.Comparison(masks[1], masks[1][:, ::-1, :][:, ::-1, :], (1, 1, 1)).dice == 1
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # Growth in KiB.
    assert int(done.stdout) < 64 * 1024


def test_comparison_and_labels():
    truth, prediction = pair()
    found = metrics.Comparison(truth, prediction, SPACING_MM)
    assert found.dice == 2 * (truth & prediction).sum() / (truth.sum() + prediction.sum())
    assert found.iou == (truth & prediction).sum() / (truth | prediction).sum()
    assert (found.truth_voxels, found.prediction_voxels) == (truth.sum(), prediction.sum())
    difference = float(prediction.sum()) - float(truth.sum())
    assert found.volume_error_mm3 == pytest.approx(difference * math.prod(SPACING_MM))
    assert found.relative_volume_error == pytest.approx(difference / truth.sum())
    distances = metrics.compute_surface_distances(truth, prediction, np.array(SPACING_MM))
    assert found.nsd(1.0) == pytest.approx(metrics.compute_surface_dice_at_tolerance(distances, 1.0), rel=1e-9)
    assert found.average_mm == pytest.approx(metrics.compute_average_surface_distance(distances), rel=1e-9)
    assert found.surface_overlap(1.0) == pytest.approx(metrics.compute_surface_overlap_at_tolerance(distances, 1.0))
    assert found.hausdorff_mm() == metrics.compute_robust_hausdorff(distances, 100)
    empty = np.zeros_like(truth)
    nothing = metrics.Comparison(empty, empty, SPACING_MM)
    assert (nothing.dice, nothing.nsd(1.0), nothing.average_symmetric_mm) == (None, None, None)
    assert repr(found).startswith("Comparison(truth_voxels=")

    labels = truth.astype(np.uint16) * 300
    by_label = metrics.compare_labels(labels, prediction.astype(np.uint16) * 300, SPACING_MM)
    assert list(by_label) == [300] and by_label[300].dice == found.dice
    small = metrics.compare_labels(truth.astype(np.uint8), prediction.astype(np.uint8), SPACING_MM, labels=[1, 7])
    assert (small[1].dice, small[7].dice) == (found.dice, None)
    with pytest.raises(ValueError, match="255"):
        metrics.compare_labels(truth.astype(np.uint8), prediction.astype(np.uint8), SPACING_MM, labels=[300])
    with pytest.raises(ValueError, match="uint16"):
        metrics.compare_labels(truth, prediction, SPACING_MM)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda mask: metrics.Comparison(mask, mask[:1], SPACING_MM), "do not lie on one grid"),
        (lambda mask: metrics.Comparison(mask[0], mask[0], SPACING_MM), "three axes"),
        (lambda mask: metrics.Comparison(mask, mask, (1, -1, 1)), "spacing"),
        (lambda mask: metrics.Comparison(mask, mask, SPACING_MM).nsd(-1), "tolerance"),
        (lambda mask: metrics.Comparison(mask, mask, SPACING_MM).hausdorff_mm(101), "percentile"),
        (lambda mask: metrics.components(mask, "diagonals"), "connectivity"),
        (lambda mask: metrics.components(np.full((2, 2, 2), "a")), "booleans or numbers"),
        (lambda mask: metrics.corrective_click(mask, ~mask, SPACING_MM, rule="luck"), "click rule"),
        (lambda mask: metrics.corrective_click(mask, ~mask, SPACING_MM, rule="random"), "rng"),
        (lambda mask: metrics.measure_mask(mask, [[1, 0, 0, 0]]), "three rows"),
        (lambda mask: metrics.compute_dice_coefficient(mask, mask[0]), "one grid"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(pair()[0])


def test_components():
    mask = np.zeros((4, 4, 5), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = mask[3, 3, 4] = True
    assert [len(metrics.components(mask, name)) for name in ["faces", "edges", "corners"]] == [3, 3, 2]
    largest = max(metrics.components(mask), key=lambda component: component.voxels)
    assert (largest.voxels, largest.start, largest.end) == (2, (1, 1, 1), (3, 3, 3))


def test_corrective_clicks():
    truth, prediction = np.zeros((9, 9, 16), bool), np.zeros((9, 9, 16), bool)
    truth[2:7, 2:7, 1:14] = True
    prediction[2:7, 2:7, 1:9] = True
    click = metrics.corrective_click(truth, prediction, (2.5, 0.8, 0.8))
    assert (click.voxel, click.positive, click.component_voxels) == ((2, 4, 11), True, 125)
    [component] = metrics.error_components(truth, prediction)
    depth = component.depth_map_mm((2.5, 0.8, 0.8))
    assert (depth.shape, depth.dtype, depth.flags.c_contiguous) == ((5, 5, 5), np.float32, True)
    assert component.deepest((2.5, 0.8, 0.8)) == (click.voxel, click.depth_mm)
    assert component.contains(click.voxel) and not component.contains((0, 0, 0))
    assert depth[0, 2, 2] == np.float32(click.depth_mm) == depth.max()
    drawn = {
        metrics.corrective_click(truth, prediction, SPACING_MM, "random", np.random.default_rng(seed)).voxel
        for seed in range(20)
    }
    assert len(drawn) > 10 and all(truth[voxel] and not prediction[voxel] for voxel in drawn)
    assert metrics.corrective_click(prediction, truth, SPACING_MM).positive is False
    assert metrics.corrective_click(truth, truth, SPACING_MM) is None


def test_an_error_of_the_generator_is_raised():
    class Broken:
        def integers(self, n):
            raise RuntimeError("no luck today")

    truth, prediction = pair()
    with pytest.raises(RuntimeError, match="no luck"):
        metrics.corrective_click(truth, prediction, SPACING_MM, "random", Broken())


def test_measurements():
    mask = np.zeros((5, 8, 9), bool)
    mask[1:4, 2:6, 3:8] = True
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    found = metrics.measure_mask(mask, affine)
    assert (found["voxels"], found["volume_mm3"], found["components"]) == (60, 120.0, 1)
    assert found["bounding_box_mm"] == [6.0, 4.0, 5.0]
    assert found["bounding_box"] == ([1, 2, 3], [4, 6, 8])
    # Between the centres of outer faces of a rectangle of 4 x 5 voxels: 5 steps along W and 3 along H.
    assert found["axial_longest_mm"] == pytest.approx(math.hypot(3, 5))
    assert metrics.measure_mask(np.zeros_like(mask), affine[:3]) is None
    image = np.arange(mask.size, dtype=np.int16).reshape(mask.shape)
    inside = metrics.intensity_statistics(image, mask)
    assert inside["mean"] == pytest.approx(image[mask].mean()) and inside["maximum"] == image[mask].max()
    distances = metrics.distance_transform_mm(mask, (4.0, 3.0, 1.0))
    assert distances.dtype == np.float32 and distances[0, 1, 4] == 5.0 and distances[2, 3, 4] == 0.0


def test_statistics():
    scores = [0.6, 0.75, 0.82, 0.88]
    assert metrics.summary(scores) == metrics.summary(np.array(scores))
    assert metrics.summary(scores).mean == pytest.approx(np.mean(scores))
    assert metrics.summary([]) is None
    low, high = metrics.bootstrap_mean(scores, seed=1)
    assert low < np.mean(scores) < high
    assert metrics.bootstrap_mean(scores, seed=1) == (low, high) != metrics.bootstrap_mean(scores, seed=2)
    ratio = metrics.bootstrap_ratio([(1, 2), (3, 4), (0, 5)])
    assert ratio is not None and ratio[0] < 4 / 11 < ratio[1]
    test = metrics.wilcoxon_signed_rank([1, 2, 3, 4, 5], [0, 0, 0, 0, 0])
    assert (test.pairs, test.exact, test.p) == (5, True, 2 / 2**5)
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.click_auc(scores) == pytest.approx((0.785 + 0.85, (0.785 + 0.85) / 2))
    assert metrics.clicks_to_reach(scores, 0.8) == 2 and metrics.clicks_to_reach(scores, 0.9) is None


def test_everything_is_documented():
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__, name
