import dataclasses

import numpy as np
import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.effects import CameraEffects
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.simulation.transients import Transients

STILL = {
    "vibration": 0.0,
    "drift": 0.0,
    "tilt": 0.0,
    "height_wander": 0.0,
    "defocus": 0.0,
    "jolts": 0.0,
}


def picture(height=900, width=1400):
    rng = np.random.default_rng(0)
    base = rng.integers(40, 200, (height // 20, width // 20, 3), np.uint8)
    return np.kron(base, np.ones((20, 20, 1), np.uint8))


def test_view_has_the_asked_size_and_follows_from_seed_and_frame():
    base = picture()
    mask = np.where(base[..., 0] > 150, 255, 0).astype(np.uint8)
    for size in ((1280, 720), (330, 250)):
        one, two = (CameraEffects(RIGS["manual"], 3, *size) for _ in range(2))
        two.view(base, mask, 500, 400, 9)
        a, b = one.view(base, mask, 600, 450, 4), two.view(base, mask, 600, 450, 4)
        assert a[0].shape == (size[1], size[0], 3) and a[1].shape == (size[1], size[0])
        assert np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])
        assert set(np.unique(a[1])) == {0, 255}
        assert not np.array_equal(a[0], one.image(base, 600, 450, 5))
        assert np.array_equal(one.mask(mask, 600, 450, 4), a[1])


# The blur of an even number of pixels moves the image by half a one.
@pytest.mark.parametrize(("speed", "within"), [(0, 0.1), (1125, 0.1), (1450, 0.7)])
def test_image_and_mask_move_together(speed, within):
    # Even light, no noise and no sparks: a pixel is as bright as it is defect.
    even = dict.fromkeys(
        ("falloff", "glare", "noise", "smoke", "sparks", "spatter", "flashes"), 0.0
    )
    base = np.full((900, 1400, 3), 30, np.uint8)
    mask = np.zeros((900, 1400), np.uint8)
    base[380:520, 620:780] = 150
    mask[380:520, 620:780] = 255
    effects = CameraEffects(dataclasses.replace(RIGS["manual"], **even), 3)
    centres = []
    for k in range(0, 60, 6):
        image, seen = effects.view(base, mask, 700, 450, k, scale=1.2, angle=0.2, speed=speed)
        light = image.sum(2, dtype=float)
        light -= np.median(light)
        seen_at, lit_at = (
            np.average(np.indices(weights.shape), axis=(1, 2), weights=weights)
            for weights in (seen, light)
        )
        assert lit_at == pytest.approx(seen_at, abs=within)
        centres.append(seen_at)
    assert np.ptp(centres, axis=0).max() > 1  # the rig shakes


def test_place_scale_and_angle_without_vibration():
    rig = dataclasses.replace(RIGS["automatic"], **STILL)
    effects = CameraEffects(rig, 1)
    mask = np.zeros((900, 1400), np.uint8)
    mask[440:460, 690:710] = 255
    seen = effects.mask(mask, 699.5, 449.5, 0, scale=2.0)
    assert np.argwhere(seen).mean(axis=0) == pytest.approx([359.5, 639.5], abs=0.6)
    assert np.count_nonzero(seen) == pytest.approx(1600, rel=0.05)
    # With a positive angle the view's x axis points down in the base picture: what lies below the
    # looked-at place appears to its right.
    seen = effects.mask(mask, 699.5, 349.5, 0, angle=np.pi / 2)
    row, column = np.argwhere(seen).mean(axis=0)
    assert (row, column) == pytest.approx((359.5, 739.5), abs=0.6)


def test_motion_blur_lies_along_the_seam():
    quiet = dataclasses.replace(
        RIGS["automatic"], **STILL, noise=0.0, sparks=0.0, spatter=0.0, smoke=0.0, flashes=0.0
    )
    effects = CameraEffects(quiet, 1)
    base = picture()
    sharp, blurred = (
        effects.image(base, 700, 450, 0, speed=speed).astype(float) for speed in (0, 4000)
    )
    across = [np.abs(np.diff(image, axis=1)).max() for image in (sharp, blurred)]
    down = [np.abs(np.diff(image, axis=0)).mean() for image in (sharp, blurred)]
    assert across[1] < 0.5 * across[0]
    assert down[1] > 0.6 * down[0]


def test_transients_last_a_frame_or_two_and_do_not_travel_with_the_seam():
    rig = dataclasses.replace(RIGS["automatic"], sparks=0.0, spatter=1.0)
    transients = Transients(rig, 5, 1280, 720)
    blank = np.full((720, 1280, 3), 150, np.uint8)
    dark = []
    for k in range(40):
        image = blank.copy()
        transients.draw(image, k)
        dark.append(image[..., 1] < 100)
    areas = np.array([frame.sum() for frame in dark])
    assert (areas > 300).any() and (areas == 0).any()
    # What is dark in a frame is not there, moved on with the seam by 27 pixels a frame, in the
    # next one; and nothing stays for a third frame.
    for lag in (1, 2):
        pairs = [(np.roll(dark[k], -27 * lag, axis=1), dark[k + lag]) for k in range(40 - lag)]
        assert sum((moved & later).sum() for moved, later in pairs) < 0.15 * areas.sum()
        pairs = [(dark[k], dark[k + lag]) for k in range(40 - lag)]
        assert sum((stayed & later).sum() for stayed, later in pairs) < 0.15 * areas.sum()


def test_sparks_are_bright_and_stay_out_of_the_mask():
    rig = dataclasses.replace(RIGS["automatic"], **STILL, sparks=30.0, noise=0.0, flashes=0.0)
    effects = CameraEffects(rig, 5)
    base = np.full((900, 1400, 3), 40, np.uint8)
    image, mask = effects.view(base, np.zeros((900, 1400), np.uint8), 700, 450, 3)
    assert (image > 220).any() and not mask.any()


def test_light_changes_from_frame_to_frame_but_stays_within_bounds():
    effects = CameraEffects(RIGS["manual"], 2)
    base = np.full((900, 1400, 3), 100, np.uint8)
    means = [effects.image(base, 700, 450, k).mean() for k in range(0, 200, 10)]
    assert np.ptp(means) > 2
    assert 40 < min(means) and max(means) < 220


def test_the_camera_leaves_the_base_picture_alone():
    base = picture()
    kept = base.copy()
    CameraEffects(RIGS["manual"], 2).image(base, 700, 450, 0, speed=2000)
    assert np.array_equal(base, kept)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"seed": -1}, "seed"),
        ({"width": 8}, "64x64"),
        ({"frame_rate": 0.0}, "frame rate"),
        ({"frame_rate": float("nan")}, "frame rate"),
    ],
)
def test_bad_cameras_are_refused(arguments, told):
    with pytest.raises(InspectionError, match=told):
        CameraEffects(RIGS["manual"], **{"seed": 0, **arguments})


def test_bad_pictures_and_numbers_are_refused():
    effects = CameraEffects(RIGS["manual"], 0)
    with pytest.raises(InspectionError, match="8-bit BGR"):
        effects.image(np.zeros((100, 100), np.uint8), 50, 50, 0)
    with pytest.raises(InspectionError, match="mask of 8 bits"):
        effects.mask(np.zeros((100, 100), np.float32), 50, 50, 0)
    with pytest.raises(InspectionError, match="scale above 0"):
        effects.image(np.zeros((100, 100, 3), np.uint8), 50, 50, 0, scale=0)
    with pytest.raises(InspectionError, match="frame number"):
        effects.image(np.zeros((100, 100, 3), np.uint8), 50, 50, -1)
