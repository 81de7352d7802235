import threading

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.defects import ISO_6520_NAMES
from weld_inspection.simulation.patch import LEAST_AREA
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.simulation.surface import METRES_PER_PIXEL, STRIP_HEIGHT
from weld_inspection.simulation.weld import SimulatedWeld
from weld_inspection.testing.waiting import wait_for


@pytest.fixture(scope="module")
def weld():
    return SimulatedWeld(5, "manual", duration=3.0)


def columns_of(mask):
    return np.flatnonzero(mask.any(axis=0))


def test_frames_have_the_cameras_size_and_type(weld):
    image, mask = weld.frame(7)
    assert image.shape == (720, 1280, 3) and image.dtype == np.uint8
    assert mask.shape == (720, 1280) and mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}
    assert weld.frame_count == 60 and weld.frame_rate == 20.0
    assert image.std() > 10  # a picture, not a grey card


def test_same_seed_same_bytes_in_any_order(weld):
    again = SimulatedWeld(5, "manual", duration=3.0)
    assert again.defects == weld.defects
    late, early = again.frame(50), again.frame(3)
    for k, frame in ((3, early), (50, late)):
        image, mask = weld.frame(k)
        assert np.array_equal(image, frame[0]) and np.array_equal(mask, frame[1])
        assert np.array_equal(weld.image(k), image) and np.array_equal(weld.mask(k), mask)


def test_a_seam_is_the_same_however_long_the_run():
    short, long = (SimulatedWeld(5, "automatic", d, defects_per_metre=0) for d in (2.0, 60.0))
    assert np.array_equal(short.image(10), long.image(10))


def test_other_seed_or_rig_gives_another_weld(weld):
    image = weld.image(3)
    for other in (SimulatedWeld(6, "manual", 3.0), SimulatedWeld(5, "automatic", 3.0)):
        assert np.abs(other.image(3).astype(int) - image).mean() > 5


def test_rigs_differ_in_every_respect_that_matters():
    manual, automatic = RIGS["manual"], RIGS["automatic"]
    for name in ("light", "vibration", "speed", "metres_per_pixel", "noise", "colour"):
        assert getattr(manual, name) != getattr(automatic, name)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(RIGS)), st.floats(0, 600), st.floats(0.001, 5))
def test_position_grows_and_speed_is_its_derivative(rig, t, step):
    run = test_position_grows_and_speed_is_its_derivative.runs[rig]
    assert run.position(0.0) == 0.0
    assert run.position(t + step) > run.position(t)
    slope = (run.position(t + 1e-3) - run.position(t - 1e-3)) / 2e-3
    assert slope == pytest.approx(run.speed(t), rel=1e-3)
    assert abs(run.speed(t) / run.rig.speed - 1) <= run.rig.speed_wander + 1e-12


test_position_grows_and_speed_is_its_derivative.runs = {
    name: SimulatedWeld(1, name, 1.0, defects_per_metre=0) for name in RIGS
}


def test_speeds_are_those_of_the_rigs():
    automatic = SimulatedWeld(1, "automatic", 1.0)
    assert automatic.position(30.0) == pytest.approx(0.6)
    assert all(0.02 < SimulatedWeld(1, "manual", 1.0).speed(t) < 0.065 for t in range(60))


def test_defects_are_listed_by_place_class_and_distance():
    weld = SimulatedWeld(2, "automatic", duration=60.0)
    defects = weld.defects
    length = weld.position(60.0)
    assert 7 * length <= len(defects) <= 10 * length
    places = [defect.place for defect in defects]
    assert places == sorted(places)
    assert np.diff(places).min() >= 0.075
    for defect in defects:
        assert ISO_6520_NAMES[defect.code] == defect.name
        assert 0 < defect.start < defect.place < defect.end < length
    assert len({defect.code for defect in defects}) >= 6


@pytest.mark.parametrize(("speed", "seconds"), [(0.01, 0.5), (0.02, 1.0), (0.04, 1.0)])
def test_a_run_too_short_for_a_whole_defect_shows_a_part_of_a_seam(speed, seconds):
    welds = [
        SimulatedWeld(seed, "automatic", seconds, defects_per_metre=50.0, speed=speed)
        for seed in range(3)
    ]
    for weld in welds:
        places = [defect.place for defect in weld.defects]
        assert len(places) >= 50 * 0.8 * 0.048
        assert min(places) >= -0.024 and max(places) <= weld.position(seconds) + 0.024
    assert any(weld.frame(0)[1].any() for weld in welds)
    assert not SimulatedWeld(0, "automatic", seconds, defects_per_metre=0.0, speed=speed).defects


def test_only_the_wanted_classes_are_planted_as_many_as_of_all():
    everything, two = (
        SimulatedWeld(2, "automatic", duration=60.0, classes=classes)
        for classes in ((), ("501", "602"))
    )
    assert {defect.code for defect in two.defects} == {"501", "602"}
    assert [d.place for d in two.defects] == [d.place for d in everything.defects]


@pytest.mark.parametrize("code", sorted(ISO_6520_NAMES))
def test_every_class_is_large_enough_to_be_flagged_and_changes_the_surface(code):
    # 6400 camera pixels in view of either rig make eq. (9) fire.
    found = 0
    for seed in range(40):
        weld = SimulatedWeld(seed, "manual", duration=4.0)
        for defect in weld.defects:
            if defect.code != code:
                continue
            found += 1
            assert defect.area >= LEAST_AREA
            surface = weld._seam.surface(int(defect.start / METRES_PER_PIXEL) - 20, 900)
            before = surface.colour.copy()
            defect.patch(weld._seam).paint(surface)
            inside = surface.mask > 0
            assert np.abs(surface.colour - before)[:, inside].mean() > 0.01
        if found >= 2:
            return
    assert found


def test_masks_lie_where_the_list_says():
    weld = SimulatedWeld(8, "automatic", duration=8.0, defects_per_metre=25)
    assert len(weld.defects) >= 2
    slack = 12 * weld.rig.metres_per_pixel  # vibration and tilt
    for defect in weld.defects:
        k = round((defect.start + defect.end) / 2 / weld.rig.speed * weld.frame_rate)
        columns = columns_of(weld.mask(k))
        seam = weld.position(k / 20) + (columns - 639.5) * weld.rig.metres_per_pixel
        listed = np.zeros(len(seam), bool)
        for other in weld.defects:
            listed |= (seam > other.start - slack) & (seam < other.end + slack)
        assert listed.all()
        assert seam.min() < defect.start + slack and seam.max() > defect.end - slack


def test_the_mask_travels_with_the_seam():
    weld = SimulatedWeld(8, "automatic", duration=8.0, defects_per_metre=25)
    defect = weld.defects[0]
    middle = round((defect.start + defect.end) / 2 / weld.rig.speed * weld.frame_rate)
    shift = weld.rig.speed / weld.frame_rate / weld.rig.metres_per_pixel
    before, after = (weld.mask(k).astype(np.float32) for k in (middle, middle + 6))
    moved = cv2.warpAffine(before, np.float32([[1, 0, -6 * shift], [0, 1, 0]]), (1280, 720))
    both = np.minimum(moved, after).sum() / np.maximum(moved, after).sum()
    stayed = np.minimum(before, after).sum() / np.maximum(before, after).sum()
    assert both > 0.75 and both > stayed + 0.2


def test_without_defects_marks_and_transients_leave_the_mask_empty():
    weld = SimulatedWeld(4, "automatic", duration=6.0, defects_per_metre=0)
    assert weld.defects == []
    assert not any(weld.mask(k).any() for k in range(0, weld.frame_count, 17))


def test_tiles_fit_together():
    # A defect and the seam's texture must not show where one tile ends and the next begins.
    weld = SimulatedWeld(5, "manual", duration=3.0)
    image, mask = weld._strip.window(0, 3000)
    assert image.shape == (STRIP_HEIGHT, 3000, 3)
    steps = np.abs(np.diff(image.astype(int), axis=1)).mean(axis=(0, 2))
    for edge in (1023, 2047):
        assert steps[edge] < 1.5 * np.median(steps[edge - 40 : edge + 40])
    direct = weld._seam.surface(1000, 60)
    for defect in weld.defects:
        defect.patch(weld._seam).paint(direct)
    assert np.array_equal(direct.mask, mask[:, 1000:1060])


def test_a_seam_rendered_ahead_is_the_same_seam():
    weld, ahead = (SimulatedWeld(5, "automatic", duration=3.0) for _ in range(2))
    ahead.render_ahead()
    for number in range(-1, 3):  # of 38 mm each: 60 mm of travel and a view's width
        wait_for(lambda number=number: number in ahead._strip._tiles, 60)
        ahead._strip._tiles[number].result(60)
    for k in (0, weld.frame_count - 1):
        assert np.array_equal(weld.image(k), ahead.image(k))
    assert sorted(ahead._strip._tiles) == [-1, 0, 1, 2, 3]  # the last one ahead of the last view


def test_what_is_not_yet_rendered_ahead_is_given_up():
    weld = SimulatedWeld(5, "automatic", duration=30.0, defects_per_metre=0)
    began, given_up = threading.Event(), threading.Event()

    def render(number):
        began.set()
        assert given_up.wait(60)
        return np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8)

    weld._strip._render = render
    weld.render_ahead()
    assert began.wait(60)
    weld.close()
    given_up.set()
    (tile,) = weld._strip._tiles.values()
    tile.result(60)
    weld._strip._ahead.shutdown(wait=True)
    assert len(weld._strip._tiles) == 1


def test_memory_of_a_long_seam_is_bounded():
    def render(number):
        shape = (STRIP_HEIGHT, 1024)
        return np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)

    weld = SimulatedWeld(5, "manual", duration=600.0, defects_per_metre=0)
    weld._strip._render = render
    weld.render_ahead()
    wait_for(lambda: 22 in weld._strip._tiles and weld._strip._tiles[22].done())
    weld._strip.close()
    assert sorted(weld._strip._tiles) == list(range(-1, 23))
    weld = SimulatedWeld(5, "manual", duration=600.0, defects_per_metre=0)
    weld._strip._render = render
    for x0 in range(0, 400_000, 1024):
        weld._strip.window(x0, 1400)
    assert len(weld._strip._tiles) <= 24


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"rig": "robot"}, "manual, automatic"),
        ({"seed": -1}, "seed"),
        ({"duration": 0.0}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"frame_rate": -20.0}, "frame_rate"),
        ({"defects_per_metre": -1.0}, "defects_per_metre"),
        ({"speed": 0.0}, "speed .* above 0 and at most 1.0 m/s, not 0.0"),
        ({"classes": ("501", "rust")}, "class rust .* 501 undercut"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(InspectionError, match=told):
        SimulatedWeld(**{"seed": 1, **arguments})


@pytest.mark.parametrize("k", [-1, 60])
def test_no_frame_outside_the_run(weld, k):
    with pytest.raises(InspectionError, match="frames 0 to 59"):
        weld.frame(k)
