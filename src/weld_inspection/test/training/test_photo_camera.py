"""The camera over a photograph: same seed, same frames; the mask goes where the picture goes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from weld_inspection.simulation.rigs import RIGS
from weld_inspection.training.clips import ClipError
from weld_inspection.training.photo_camera import PhotoCamera
from weld_inspection.training.seam_line import find_seam

SEAM = 430


def photograph(height=960, width=1280, slope=0.0, place=0.55):
    """A grey plate with a rough bright bead; the defect, and nothing else, is pure green."""
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 110, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    line = SEAM + slope * (np.arange(width) - width / 2)
    rows = np.arange(height)[:, None]
    bead = np.abs(rows - line) < 28
    ripple = 150 + 60 * rng.random((height // 8 + 1, width // 8 + 1))
    ripple = cv2.resize(ripple, (width, height))
    image[bead] = ripple[bead, None]
    centre = (int(width * place), int(line[int(width * place)]) + 60)
    cv2.ellipse(mask, centre, (60, 45), 0, 0, 360, 255, -1)
    image[mask > 0] = (0, 255, 0)
    return image, mask


def is_green(image):
    blue, green, red = (channel.astype(int) for channel in cv2.split(image))
    return (green - np.maximum(blue, red)) > 60


@pytest.fixture
def clear_rig(monkeypatch):
    """Name of a rig with nothing between camera and seam."""
    clear = replace(RIGS["manual"], spatter=0.0, jolts=0.0, flashes=0.0)
    monkeypatch.setitem(RIGS, "clear", clear)
    return "clear"


@pytest.mark.parametrize("shape", [(960, 1280), (1280, 960), (591, 1280), (240, 320)])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_mask_lies_on_its_defect(shape, seed, clear_rig):
    image, mask = photograph(*shape) if shape[0] > 500 else photograph()
    if shape[0] < 500:
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST)
    camera = PhotoCamera(image, mask, seed=seed, frame_count=30, rig=clear_rig)
    seen = 0
    for k in range(0, 30, 3):
        frame, frame_mask = camera.frame(k)
        assert frame.shape == (720, 1280, 3) and frame.dtype == np.uint8
        assert frame_mask.shape == (720, 1280) and set(np.unique(frame_mask)) <= {0, 255}
        shown = is_green(frame)
        if np.count_nonzero(frame_mask) < 4000:
            continue
        seen += 1
        overlap = np.count_nonzero(shown & (frame_mask > 0))
        assert overlap / np.count_nonzero(shown | (frame_mask > 0)) > 0.75
    assert seen >= 3


def test_same_seed_same_frames_and_another_seed_others():
    image, mask = photograph()
    first, again, other = (PhotoCamera(image, mask, seed=s, frame_count=20) for s in (5, 5, 6))
    for k in (7, 0, 19):
        for a, b in zip(first.frame(k), again.frame(k), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.frame(7)[0], other.frame(7)[0])


def test_seeds_draw_both_directions_and_both_hands():
    image, mask = photograph()
    paths = [PhotoCamera(image, mask, seed=seed, frame_count=2).path for seed in range(16)]
    assert {path.reverse for path in paths} == {path.mirrored for path in paths} == {True, False}


def test_the_defect_travels_through_the_view_in_one_direction():
    image, mask = photograph(place=0.85)
    camera = PhotoCamera(image, mask, seed=1, frame_count=40)
    centres, sizes = [], []
    for k in range(40):
        _, frame_mask = camera.frame(k)
        sizes.append(np.count_nonzero(frame_mask))
        edges = frame_mask[:, 0].any() or frame_mask[:, -1].any()
        centres.append(np.nonzero(frame_mask)[1].mean() if sizes[-1] and not edges else np.nan)
    steps = np.diff(np.array(centres))
    steps = steps[np.isfinite(steps)]
    assert len(steps) >= 8
    # Vibration shakes the view by a few pixels; over five frames the travel outweighs it.
    sums = np.convolve(steps, np.ones(5), "valid")
    assert (sums > 0).all() or (sums < 0).all()
    assert min(sizes) == 0 and max(sizes) > 10_000  # sound stretches, too


def test_the_input_is_not_changed():
    image, mask = photograph()
    before = image.copy(), mask.copy()
    camera = PhotoCamera(image, mask, seed=0, frame_count=3)
    camera.frame(1)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.2])
def test_seam_is_found(slope):
    image, mask = photograph(slope=slope)
    expected = SEAM + slope * (np.arange(1280) - 640)
    assert np.abs(find_seam(image, mask) - expected).max() < 45


def test_plain_picture_and_empty_mask_work():
    image = np.full((960, 1280, 3), 128, np.uint8)
    mask = np.zeros((960, 1280), np.uint8)
    seam = find_seam(image, mask)
    assert np.isfinite(seam).all() and seam.min() >= 0 and seam.max() <= 959
    _, frame_mask = PhotoCamera(image, mask, seed=0, frame_count=1).frame(0)
    assert not frame_mask.any()


def test_bad_input():
    image, mask = photograph()
    with pytest.raises(ClipError, match="differ in size"):
        PhotoCamera(image, mask[:-1], seed=0)
    with pytest.raises(ClipError, match="unknown rig"):
        PhotoCamera(image, mask, seed=0, rig="flying")
    with pytest.raises(ClipError, match="1 frame or more"):
        PhotoCamera(image, mask, seed=0, frame_count=0)
