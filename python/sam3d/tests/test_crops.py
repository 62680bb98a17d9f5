"""Training samples and the loader."""

import multiprocessing
import sys

import numpy as np
import pytest

import sam3d

SIDE = 32


def crops(cases, preprocessing, **options):
    files = [(f"case{n}", case.image_path, case.label_path) for n, case in enumerate(cases)]
    return sam3d.Crops(files, preprocessing, side=SIDE, **options)


def same(a, b):
    return (
        a.case == b.case
        and np.array_equal(a.image, b.image)
        and np.array_equal(a.label, b.label)
        and np.array_equal(a.points, b.points)
    )


def test_samples(cases, preprocessing):
    loader = crops(cases, preprocessing)
    assert (len(loader), loader.cases, loader.preprocessing) == (3, ["case0", "case1", "case2"], preprocessing)
    epoch = loader.epoch(0, per_case=2, workers=2)
    assert len(epoch) == 6
    samples = list(epoch)
    assert len(epoch) == 0 and sorted(sample.case for sample in samples) == sorted(2 * loader.cases)
    for sample in samples:
        assert sample.image.shape == (SIDE,) * 3 and sample.image.dtype == np.float32
        assert sample.image.flags.c_contiguous and sample.image.flags.writeable
        assert sample.label.shape == (SIDE,) * 3 and set(np.unique(sample.label)) <= {0, 1}
        assert sample.points.dtype == np.int64 and sample.points.shape in [(30, 3), (20, 3)]
        assert (sample.points >= 0).all() and (sample.points < SIDE).all()
    # Ten clicks lie in the target where there is one.
    with_target = [sample for sample in samples if sample.label.any()]
    assert with_target and all(sample.label[tuple(sample.points[:10].T)].all() for sample in with_target)
    validation = loader.validation(1)
    assert same(validation, loader.validation(1)) and validation.points.shape == (10, 3)


def test_a_crop_depends_on_seed_case_and_draw_alone(cases, preprocessing, tmp_path):
    one = list(crops(cases, preprocessing, seed=5).epoch(3, per_case=2, workers=0))
    cached = crops(cases, preprocessing, seed=5, cache=tmp_path / "cache")
    for workers in [1, 3]:
        for a, b in zip(one, cached.epoch(3, per_case=2, workers=workers)):
            assert same(a, b)
    rest = list(cached.epoch(3, per_case=2, workers=2, skip=4))
    assert len(rest) == 2 and all(same(a, b) for a, b in zip(one[4:], rest))
    by_number = cached.training(0, draw=6), cached.training(0, draw=7)
    assert all(any(same(drawn, sample) for sample in one) for drawn in by_number)
    other = list(crops(cases, preprocessing, seed=6).epoch(3, per_case=2))
    assert not any(same(a, b) for a in one for b in other)


def test_augmentation_in_memory_is_that_of_the_loader(cases, preprocessing):
    case = cases[0]
    image = preprocessing.image(case.volume, normalise=False)
    label = preprocessing.label(sam3d.read_label(case.label_path, like=case.volume))
    drawn = sam3d.augment(image, label, preprocessing, side=SIDE, seed=4, draw=9, case="case0")
    # The volume was written in int16, as it is.
    assert same(drawn, crops(cases, preprocessing, seed=4).training(0, draw=9))
    plain = sam3d.published_augmentation()
    assert plain["shift_hu"] == 20.0 and plain["resampling"] == {"zoom": {"factors": [0.85, 1.25], "probability": 0.8}}
    for name in plain:
        if name.endswith("_probability"):
            plain[name] = 0.0
    plain["resampling"] = "none"
    plain["target_probability"] = 1.0
    drawn = sam3d.augment(image, label, preprocessing, augmentation=plain, side=SIDE)
    normalised = preprocessing.image(case.volume)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(normalised, SIDE), (SIDE,) * 3)
    found = np.argwhere((windows[..., 0, 0, 0] == drawn.image[0, 0, 0]) & (windows[..., 9, 9, 9] == drawn.image[9, 9, 9]))
    assert any(np.array_equal(windows[tuple(at)], drawn.image) for at in found)


def test_iterating_stops_early_without_waiting(cases, preprocessing):
    epoch = crops(cases, preprocessing).epoch(0, per_case=1000, workers=2)
    assert next(epoch).case in ["case0", "case1", "case2"]
    assert len(epoch) == 2999
    del epoch


def draw_in_child(loader, iterator, queue):
    try:
        samples = list(loader.epoch(1, workers=2))
        volume = sam3d.resample(np.ones((40, 40, 40)), (1, 1, 1), (0.5, 1, 1))
        try:
            next(iterator)
            refused = ""
        except RuntimeError as error:
            refused = str(error)
        queue.put(([sample.image.sum() for sample in samples], volume.shape, refused))
    except BaseException as error:
        queue.put(error)
        raise


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_draws_too(cases, preprocessing):
    # PyTorch's DataLoader forks: threads of the parent are not there in a child.
    loader = crops(cases, preprocessing)
    expected = [sample.image.sum() for sample in loader.epoch(1, workers=2)]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=draw_in_child, args=(loader, loader.epoch(0), queue))
    child.start()
    result = queue.get(timeout=60)
    child.join(60)
    assert not isinstance(result, BaseException), result
    sums, shape, refused = result
    assert sums == expected and shape == (80, 40, 40)
    assert "in the process that uses it" in refused


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (lambda c, p, d: sam3d.Crops([("a b", "x", "y")], p), ValueError, "a b"),
        (lambda c, p, d: sam3d.Crops([("a", "no.nii", "y")], p).training(0), FileNotFoundError, "case a: no.nii"),
        (lambda c, p, d: crops(c, p).training(3), IndexError, "no case number 3: there are 3"),
        (lambda c, p, d: crops(c, p, augmentation={}), ValueError, "augmentation: missing field"),
        (lambda c, p, d: crops(c, p, augmentation={**sam3d.published_augmentation(), "flip_probability": 2}), ValueError, "0 to 1"),
        (lambda c, p, d: sam3d.Crops.of_prepared(d), ValueError, "prepare|dataset.toml"),
        (lambda c, p, d: sam3d.Crops.of_prepared(d, "dev"), ValueError, "'train', 'validation' or 'test'"),
        (lambda c, p, d: sam3d.augment(np.zeros((4, 4, 4)), np.zeros((4, 4, 5), bool), p), ValueError, "one grid"),
        (lambda c, p, d: sam3d.augment(np.zeros((4, 4, 4)), np.zeros((4, 4, 4)), p), ValueError, "threshold first"),
    ],
)
def test_errors_say_what_is_wrong(cases, preprocessing, tmp_path, call, kind, message):
    with pytest.raises(kind, match=message):
        call(cases, preprocessing, tmp_path)
