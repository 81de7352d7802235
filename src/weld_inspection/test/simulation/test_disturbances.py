"""Knocks and flashes: how often, what they do to a frame, and that masks do not know of flashes."""

import dataclasses

import numpy as np
import pytest

from weld_inspection.simulation.disturbances import Disturbances
from weld_inspection.simulation.effects import CameraEffects
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.simulation.transients import Transients
from weld_inspection.simulation.weld import SimulatedWeld

QUIET = dict.fromkeys(
    ("falloff", "glare", "noise", "smoke", "sparks", "spatter", "flicker", "light_drift"), 0.0
)


@pytest.mark.parametrize("rig", list(RIGS))
def test_the_rig_says_how_many_frames_are_disturbed(rig):
    disturbances = Disturbances(RIGS[rig], 3, 20.0)
    frames = range(4000)
    flashes = sum(disturbances.flash(k) is not None for k in frames)
    assert flashes == pytest.approx(4000 * RIGS[rig].flashes, rel=0.15)
    # Two knocks a second, each felt in two frames: 18 % of the frames, as some share one.
    jolts = sum(disturbances.jolt(k) is not None for k in frames)
    assert jolts == pytest.approx(4000 * (1 - np.exp(-2 * RIGS[rig].jolts / 20)), rel=0.15)


def test_a_rig_without_them_has_none():
    calm = Disturbances(dataclasses.replace(RIGS["manual"], jolts=0.0, flashes=0.0), 3, 20.0)
    assert all(calm.jolt(k) is None and calm.flash(k) is None for k in range(200))


def test_a_flash_hides_the_picture_for_a_frame_and_leaves_the_mask():
    rig = dataclasses.replace(RIGS["automatic"], **QUIET, jolts=0.0)
    flashing = Disturbances(rig, 5, 20.0)
    lit, dark = CameraEffects(rig, 5), CameraEffects(dataclasses.replace(rig, flashes=0.0), 5)
    base = np.random.default_rng(0).integers(20, 180, (900, 1400, 3), np.uint8)
    mask = np.zeros((900, 1400), np.uint8)
    mask[400:500, 600:800] = 255
    seen = 0
    for k in range(40):
        image, seen_mask = lit.view(base, mask, 700, 450, k)
        plain, plain_mask = dark.view(base, mask, 700, 450, k)
        assert np.array_equal(seen_mask, plain_mask)
        flash = flashing.flash(k)
        if flash is None:
            assert np.array_equal(image, plain)
            continue
        seen += 1
        row, column = (
            int((place + 1) / 2 * size)
            for place, size in zip((flash.v, flash.u), image.shape[:2], strict=True)
        )
        middle = np.s_[row - 30 : row + 30, column - 30 : column + 30]
        assert image[middle].mean() > plain[middle].mean() + 60
        assert image[middle].std() < 0.5 * plain[middle].std()
    assert seen >= 2


def test_a_knock_blurs_a_frame_or_two():
    rig = dataclasses.replace(RIGS["automatic"], **QUIET, flashes=0.0, jolts=1.0)
    disturbances, effects = Disturbances(rig, 5, 20.0), CameraEffects(rig, 5)
    base = np.random.default_rng(0).integers(20, 180, (900, 1400, 3), np.uint8)
    jolts = [disturbances.jolt(k) for k in range(60)]
    texture = [effects.image(base, 700, 450, k).std() for k in range(60)]
    blurred = [value for value, jolt in zip(texture, jolts, strict=True) if jolt]
    sharp = [value for value, jolt in zip(texture, jolts, strict=True) if not jolt]
    assert blurred and max(blurred) < min(sharp)
    assert sum(jolt is None for jolt in jolts) > 40


def test_a_droplet_is_as_dark_as_a_pore():
    blank = np.full((720, 1280, 3), 150, np.uint8)
    transients = Transients(dataclasses.replace(RIGS["manual"], sparks=0.0), 5, 1280, 720)
    droplets = []
    for k in range(40):
        image = blank.copy()
        transients.draw(image, k)
        assert transients.droplets(k) or np.array_equal(image, blank)
        droplets.append(image[(image < 75).all(axis=2)])
    droplets = np.concatenate(droplets)
    weld = SimulatedWeld(7, "manual", 5.0, classes=["2017"])
    pores = []
    for k in range(0, 100, 10):
        image, mask = weld.frame(k)
        pores.append(image[(mask > 0) & (image < 75).all(axis=2)])
    pores = np.concatenate(pores)
    assert len(droplets) > 1000 and len(pores) > 1000
    assert np.median(droplets) == pytest.approx(np.median(pores), abs=12)
