"""Sessions: the same masks as the program's, and what is Python's own."""

import json
import os
import subprocess
import threading
import time

import numpy as np
import pytest

import sam3d


def dice(a, b):
    return 2 * np.logical_and(a, b).sum() / (a.sum() + b.sum())


def test_a_click_becomes_a_mask(case, segmenter):
    session = segmenter.session(case.volume)
    assert session.mask().sum() == 0 == session.probability().max() and len(session) == 0
    change = session.click(case.centre_ijk)
    mask = session.mask()
    assert mask.dtype == np.uint8 and mask.shape == case.mask.shape and mask.flags.c_contiguous
    assert dice(mask, case.mask) > 0.6
    assert change.crops == 1 and change.encoding_seconds > 0 and not change.held
    low, high = change.region
    outside = mask.copy()
    outside[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = 0
    assert not outside.any()
    probability = session.probability()
    assert probability.dtype == np.float32
    np.testing.assert_array_equal(probability > 0.5, mask)
    np.testing.assert_array_equal(probability > 0.9, session.mask(0.9))


def test_prompts_undo_and_other_objects(case, segmenter):
    i, j, k = case.centre_ijk
    session = segmenter.session(case.volume)
    session.click((i, j, k))
    first = session.mask()
    assert first[k, j, i - 6] == 1
    session.click((i - 6, j, k), positive=False)
    assert session.mask()[k, j, i - 6] == 0
    session.box((i - 9, j - 9, k), (i + 9, j + 9, k))
    session.scribble([(i, j, k), (i + 4, j, k)], width=2)
    session.lasso([(i - 4.5, j - 4.5, k), (i + 4, j - 4, k), (i, j + 5, k)])
    assert len(session) == 5
    last = session.mask()
    session.undo()
    session.redo()
    np.testing.assert_array_equal(session.mask(), last)
    for _ in range(4):
        session.undo()
    np.testing.assert_array_equal(session.mask(), first)
    other = session.another()
    assert len(other) == 0
    other.initial_mask(np.asfortranarray(case.mask))
    assert len(session) == 1 and dice(other.mask(), case.mask) > 0.9
    together = session.another()
    Prompt = sam3d.Prompt
    together.add(Prompt.click((i, j, k)), Prompt.click((i + 5, j, k)), Prompt.box((i - 9, j - 9, k), (i + 9, j + 9, k)))
    assert len(together) == 1 and together.mask()[k, j, i] == 1
    session.reset()
    assert session.mask().sum() == 0


def test_a_log_replays_to_the_same_mask(case, segmenter, tmp_path):
    i, j, k = case.centre_ijk
    session = segmenter.session(case.volume)
    session.click((i, j, k))
    session.click((i, j + 22, k), positive=False)
    session.add(sam3d.Prompt.click((i + 3, j, k)), max_crops=3)
    session.save_log(tmp_path / "log.json")
    text = (tmp_path / "log.json").read_text()
    assert text == session.log() and str(tmp_path) not in text
    assert json.loads(text)["weights_sha256"] == segmenter.weights_sha256()[0]
    # Another segmenter with the same weights, on the file.
    again = sam3d.Segmenter(sam3d.built_in_weights()[0]).session(sam3d.read(case.image_path))
    change = again.replay(text)
    assert change is not None and len(again) == 3
    np.testing.assert_array_equal(again.probability(), session.probability())
    assert again.log() == text
    moved = segmenter.session(sam3d.Volume(case.hu + 1, case.affine))
    with pytest.raises(ValueError, match="recorded with an image of SHA-256"):
        moved.replay(text)
    moved.replay(text, force=True)
    with pytest.raises(FileExistsError):
        session.save_log(tmp_path / "log.json")


def test_the_program_gives_the_same_bit_for_bit(case, segmenter, tmp_path):
    program = os.environ.get("SAM3D_PROGRAM")
    if not program:
        pytest.skip("SAM3D_PROGRAM does not name the program sam3d")
    i, j, k = case.centre_ijk
    session = segmenter.session(sam3d.read(case.image_path))
    session.add(sam3d.Prompt.click((i, j, k)), sam3d.Prompt.click((i, j + 22, k), positive=False))
    session.box((i - 11, j - 12, k), (i + 11, j + 12, k))
    session.scribble([(i - 3, j, k + 2), (i + 3, j, k + 2)], positive=True)
    session.save_log(tmp_path / "session.json")
    shared = ["segment", "--image", str(case.image_path), "--out", "mask.nii.gz", "--prob-out", "prob.nii.gz"]
    replayed = [program, *shared, "--session", "session.json", "--log", "replayed.json"]
    done = subprocess.run(replayed, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(sam3d.read(tmp_path / "mask.nii.gz").array, session.mask())
    np.testing.assert_array_equal(sam3d.read(tmp_path / "prob.nii.gz").array, session.probability())
    assert (tmp_path / "replayed.json").read_text() == session.log()
    # And the other way: what the program recorded is replayed here.
    clicked = [program, *shared, "--point", f"{i},{j},{k}", "--force", "--log", "clicked.json"]
    done = subprocess.run(clicked, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = segmenter.session(case.volume)
    ours.replay((tmp_path / "clicked.json").read_text())
    np.testing.assert_array_equal(sam3d.read(tmp_path / "mask.nii.gz").array, ours.mask())
    np.testing.assert_array_equal(sam3d.read(tmp_path / "prob.nii.gz").array, ours.probability())


def test_python_goes_on_while_the_network_works(case, segmenter):
    session = segmenter.session(case.volume)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.monotonic()
    session.click(case.centre_ijk)
    took = time.monotonic() - start
    done.set()
    thread.join()
    during = [at for at in ticks if start < at < start + took]
    # While the lock is held, no tick comes at all.
    assert len(during) >= min(5, took / 0.05)


def test_a_segmenter_can_be_used_from_any_thread(case, segmenter):
    expected = segmenter.session(case.volume)
    expected.click(case.centre_ijk)
    masks = []

    def work():
        session = segmenter.session(case.volume)
        session.click(case.centre_ijk)
        masks.append(session.mask())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(masks) == 3
    for mask in masks:
        np.testing.assert_array_equal(mask, expected.mask())


def test_what_a_segmenter_says_of_itself(segmenter):
    assert segmenter.accepts == {"clicks": True, "negative_clicks": True, "shapes": True}
    assert segmenter.weights == sam3d.built_in_weights()[:1]
    assert segmenter.crop > 0 and len(segmenter.preprocessing.spacing_mm) == 3
    assert sam3d.built_in_weights()[0] in repr(segmenter)
    averaged = sam3d.Segmenter(sam3d.built_in_weights()[:1] * 2, test_time_augmentation="flips", threads=1)
    assert len(averaged.weights) == 2


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (lambda c, s: s.click((900, 0, 0)), ValueError, "voxel .900, 0, 0. lies outside the volume: i runs from 0 to 71"),
        (lambda c, s: s.click((-1, 0, 0)), ValueError, "an index is 0 or more"),
        (lambda c, s: s.undo(), ValueError, "no step to undo"),
        (lambda c, s: s.add(), ValueError, "at least one prompt"),
        (lambda c, s: s.add("a click"), TypeError, "Prompt"),
        (lambda c, s: s.lasso([(1, 1, 1), (2, 2, 1)]), ValueError, "lasso|corners|outline"),
        (lambda c, s: s.scribble([(1, 1, 1), (2, 2, 2)]), ValueError, "slice"),
        (lambda c, s: s.initial_mask(c.mask[1:]), ValueError, "not of the image's shape"),
        (lambda c, s: s.initial_mask(c.mask * 0), ValueError, "empty"),
        (lambda c, s: s.initial_mask(c.mask * 0.5), ValueError, "compare probabilities with a threshold first"),
        (lambda c, s: s.replay("{}"), ValueError, "session log: missing field"),
        (lambda c, s: sam3d.Segmenter("no.safetensors"), FileNotFoundError, "no.safetensors"),
        (lambda c, s: sam3d.Segmenter([]), ValueError, "at least one checkpoint"),
        (lambda c, s: sam3d.Segmenter(7), TypeError, "weights should be"),
        (lambda c, s: sam3d.Segmenter(device="gpu"), ValueError, "device should be 'cpu'"),
        (lambda c, s: sam3d.Segmenter(device="cuda:99"), ValueError, "cuda:99: libtorch finds"),
        (lambda c, s: sam3d.Segmenter(threads=0), ValueError, "threads should be"),
        (lambda c, s: sam3d.Segmenter(test_time_augmentation="all"), ValueError, "'none' or 'flips'"),
    ],
)
def test_errors_say_what_is_wrong(case, segmenter, call, kind, message):
    session = segmenter.session(case.volume)
    with pytest.raises(kind, match=message):
        call(case, session)
    # A step that fails leaves the session as it was, and the segmenter usable.
    assert len(session) == 0
