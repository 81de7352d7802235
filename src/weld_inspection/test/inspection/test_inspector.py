import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.inspector import Inspector
from weld_inspection.inspection.seam import CarriagePositions
from weld_inspection.inspection.windows import FrameWindows

PERIOD = 50_000_000
SPEED = 0.02  # m/s


def picture(*boxes):
    """A black 1280x720 frame with bright boxes (left, top, width, height)."""
    image = np.zeros((720, 1280, 3), np.uint8)
    for left, top, width, height in boxes:
        image[top : top + height, max(0, left) : max(0, left + width)] = 255
    return image


def hide(engine, places):
    """Lets an engine see no defect in a part of each window's (T, H, W)."""
    judge = engine.judge

    def judged(progress):
        probabilities = judge(progress)
        probabilities[places] = 0
        return probabilities

    engine.judge = judged


def run(inspector, images, *, first=0):
    results = []
    for k, image in enumerate(images, start=first):
        results += inspector.add(image, k * PERIOD, tag=k)
    return results


def test_window_of_a_travelling_defect(brightness_engine):
    """A pore of 64 x 64 pixels that leaves the view on the left during the window."""
    carriage = CarriagePositions()
    for k in range(-5, 15):
        carriage.add(k * PERIOD, k * PERIOD / 1e9 * SPEED, SPEED, "W7")
    inspector = Inspector(brightness_engine(), carriage=carriage)
    images = [picture((120 - 24 * k, 320, 64, 64)) for k in range(10)]
    (result,) = run(inspector, images)
    assert [frame.tag for frame in result.frames] == list(range(10))
    assert (result.start_ns, result.end_ns, result.tag) == (0, 9 * PERIOD, 9)
    assert [np.count_nonzero(frame.mask) for frame in result.frames] == list(
        result.frame_defect_pixels
    )
    # 8 x 8 mask pixels while it is wholly in view, nothing in the last two frames.
    assert result.frame_defect_pixels == (64, 64, 64, 64, 64, 64, 40, 16, 0, 0)
    assert result.defect_pixels == 440
    assert not result.defective
    assert result.confidence == 1.0
    (region,) = result.regions
    assert region.stamp_ns == 7 * PERIOD
    assert region.track_id == 1
    assert (region.x, region.y, region.width, region.height) == (0, 320, 16, 64)
    assert region.seam_position == pytest.approx(0.007 + (7.5 - 639.5) * 3.75e-5)
    first = result.frames[0].regions[0]
    assert first.seam_position == pytest.approx((151.5 - 639.5) * 3.75e-5)
    assert result.frames[3].seam_position == pytest.approx(0.003)


def test_seam_position_is_nan_without_a_carriage(brightness_engine):
    (result,) = run(Inspector(brightness_engine()), [picture((600, 304, 80, 80))] * 10)
    assert math.isnan(result.regions[0].seam_position)
    assert math.isnan(result.frames[0].seam_position)


def test_regions_come_largest_first_each_defect_from_its_last_frame(brightness_engine):
    images = [picture((600, 304, 80, 80))] * 5 + [picture((200, 304, 160, 80))] * 5
    (result,) = run(Inspector(brightness_engine()), images)
    assert [(r.track_id, r.area, r.stamp_ns) for r in result.regions] == [
        (2, 12800, 9 * PERIOD),
        (1, 6400, 4 * PERIOD),
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 75), st.integers(0, 3)), max_size=3),
        min_size=20,
        max_size=20,
    ),
    st.sampled_from([1, 2, 5, 10]),
)
def test_reports_follow_from_the_window_alone(brightness_engine, shown, stride):
    """What was seen before changes the numbers of defects, not which regions are reported.

    That holds where a network takes a frame for something else in each of the windows with it.
    """
    boxes = [[(16 * x, 170 * y, 80, 80) for x, y in frame] for frame in shown]
    carriage = CarriagePositions()
    carriage.add(0, 0.0, SPEED)
    carriage.add(20 * PERIOD, 20 * PERIOD / 1e9 * SPEED, SPEED)
    told = []
    for first in (0, 10):
        engine = brightness_engine()
        hide(engine, np.s_[1::2, :45])
        windows = FrameWindows(10, stride=stride)
        inspector = Inspector(engine, windows=windows, carriage=carriage)
        images = [picture(*frame) for frame in boxes[first:]]
        last = run(inspector, images, first=first)[-1]
        regions = [replace(region, track_id=0) for region in last.regions]
        told.append((last.frame_defect_pixels, last.defective, regions))
        assert bool(regions) == (last.defect_pixels > 0)
        assert 0 not in [region.track_id for region in last.regions]
    assert told[0] == told[1]


def test_a_defect_that_no_mask_shows_keeps_its_number(brightness_engine):
    """A network that sees it only in hindsight, in frames that have their mask already."""
    engine = brightness_engine()
    hide(engine, np.s_[-2:])
    inspector = Inspector(engine, windows=FrameWindows(10, stride=2))
    results = run(inspector, [picture((600, 320, 120, 120))] * 40)
    for k, result in enumerate(results):
        (region,) = result.regions
        assert region.track_id == 1
        assert region.stamp_ns == (7 + 2 * k) * PERIOD
        assert all(not frame.regions for frame in result.frames[-2:])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_defect_seen_in_hindsight_first_keeps_its_number(brightness_engine, stride):
    """Its number is that of the first report, in masks too, once it is seen as it comes."""
    engine = brightness_engine()
    hidden = np.s_[-2:]
    judge = engine.judge

    def judged(progress):
        probabilities = judge(progress)
        if engine.calls <= 4:
            probabilities[hidden] = 0
        return probabilities

    engine.judge = judged
    inspector = Inspector(engine, windows=FrameWindows(10, stride=stride))
    images = [picture()] * 8 + [picture((900 - 8 * k, 320, 120, 120)) for k in range(24)]
    results = run(inspector, images)
    numbers = [[region.track_id for region in result.regions] for result in results]
    assert [] in numbers and [1] in numbers
    assert [number for number in numbers if number not in ([], [1])] == []
    shown = [r.track_id for result in results for frame in result.frames for r in frame.regions]
    assert set(shown) == {1}


def test_thresholds_hold_from_the_next_window_on(brightness_engine):
    inspector = Inspector(brightness_engine())
    images = [picture((600, 304, 80, 80))] * 10
    (before,) = run(inspector, images)
    inspector.settings = DecisionSettings(pixel_threshold=999, min_region_area=6401)
    (after,) = run(inspector, images, first=10)
    assert (before.defective, before.pixel_threshold, len(before.regions)) == (False, 1000, 1)
    assert (after.defective, after.pixel_threshold, len(after.regions)) == (True, 999, 0)


def test_frames_dropped_tell_of_lost_discarded_and_skipped_frames(brightness_engine):
    inspector = Inspector(brightness_engine())
    image = picture()
    (result,) = run(inspector, [image] * 10)
    assert result.frames_dropped == 0
    run(inspector, [image] * 3, first=10)  # discarded by the gap
    (result,) = run(inspector, [image] * 10, first=20)  # 13 to 19 are lost
    assert result.frames_dropped == 10
    for k in range(30, 40):
        skipped = inspector.collect(image, k * PERIOD)
    assert skipped is not None
    (result,) = run(inspector, [image] * 10, first=40)
    assert result.frames_dropped == 10


def test_skipped_window_leaves_its_frames_to_the_next_that_holds_them(brightness_engine):
    windows = FrameWindows(10, stride=5)
    inspector = Inspector(brightness_engine(), windows=windows)
    collected = [inspector.collect(picture(), k * PERIOD, tag=k) for k in range(25)]
    first, _, third, fourth = [window for window in collected if window]
    assert [f.tag for f in inspector.inspect(first).frames] == list(range(10))
    result = inspector.inspect(third)
    assert [f.tag for f in result.frames] == list(range(10, 20))
    assert result.frames_dropped == 0
    assert [f.tag for f in inspector.inspect(fourth).frames] == list(range(20, 25))


@settings(deadline=None, max_examples=30)
@given(stride=st.integers(1, 10), gaps=st.lists(st.integers(0, 40), max_size=3))
def test_each_frame_gets_one_mask_whatever_the_stride(brightness_engine, stride, gaps):
    engine = brightness_engine(width=16, height=16)
    inspector = Inspector(engine, windows=FrameWindows(10, stride=stride))
    image = np.zeros((16, 16, 3), np.uint8)
    masked, dropped = [], 0
    for k in range(50):
        late = sum(k > gap for gap in gaps) * 10  # a gap of ten frames after each of these
        for result in inspector.add(image, (k + late) * PERIOD, tag=k):
            assert len(result.frame_defect_pixels) == 10
            masked += [frame.tag for frame in result.frames]
            dropped += result.frames_dropped
    assert len(set(masked)) == len(masked) and masked == sorted(masked)
    windows = inspector.windows
    waiting = 50 - len(masked) - windows.frames_discarded
    assert 0 <= waiting < 10
    assert dropped <= windows.frames_discarded + windows.frames_lost


def test_frames_are_worked_on_ahead_of_their_window_and_once(brightness_engine):
    engine = brightness_engine()
    inspector = Inspector(engine)
    for k in range(9):
        assert inspector.collect(picture(), k * PERIOD) is None
        if k in (3, 8):
            while inspector.work_ahead():
                pass
    assert engine.looked == engine.advanced == 9 and engine.calls == 0
    assert not inspector.work_ahead() and engine.advanced == 9
    window = inspector.collect(picture(), 9 * PERIOD)
    assert not inspector.work_ahead()  # the full window goes first
    result = inspector.inspect(window)
    assert engine.looked == engine.advanced == 10 and len(result.frames) == 10
    # After a gap, what was looked at of the broken window is let go.
    for k in (10, 11, 12, *range(40, 60)):
        inspector.collect(picture(), k * PERIOD)
        inspector.work_ahead()
    assert len(inspector._looks) <= 10


@settings(deadline=None, max_examples=50)
@given(
    stride=st.integers(1, 4),
    ahead=st.lists(st.integers(0, 5), min_size=24, max_size=24),
    gap=st.integers(0, 30),  # after this frame
)
def test_the_network_sees_each_window_whatever_was_done_ahead(
    brightness_engine, stride, ahead, gap
):
    engine = brightness_engine(width=16, height=16, window=4)
    inspector = Inspector(engine, windows=FrameWindows(4, stride=stride))
    windows = 0
    for k, calls in enumerate(ahead):
        image = np.full((16, 16, 3), 10 * k, np.uint8)
        window = inspector.collect(image, (k + 10 * (k > gap)) * PERIOD, tag=k)
        if window is not None:
            windows += 1
            inspector.inspect(window)
            assert engine.window[:, 0, 0, 0].tolist() == [10 * f.tag for f in window.frames]
        for _ in range(calls):
            inspector.work_ahead()
    assert engine.calls == windows >= 4
    assert engine.looked <= 24
    if stride == 4:  # where windows overlap, a frame is a step of several
        assert engine.advanced <= 24


def test_keep_image_hands_the_frame_back(brightness_engine):
    inspector = Inspector(brightness_engine(window=1))
    image = picture()
    (frame,) = inspector.inspect(inspector.collect(image, 0, keep_image=True)).frames
    assert frame.image is image
    (frame,) = inspector.inspect(inspector.collect(image, PERIOD)).frames
    assert frame.image is None


def test_windows_of_another_length_are_refused(brightness_engine):
    with pytest.raises(InspectionError, match="8 frames do not fit a network that takes 10"):
        Inspector(brightness_engine(), windows=FrameWindows(8))


def test_answer_that_is_not_a_number_does_not_pass_for_sound(brightness_engine):
    engine = brightness_engine(window=1)
    engine.judge = lambda looks: np.full((1, 90, 160), np.nan, np.float32)
    with pytest.raises(InspectionError, match="not a number"):
        Inspector(engine).add(picture(), 0)


def test_overlapping_windows_look_at_each_frame_once(brightness_engine):
    engine = brightness_engine()
    inspector = Inspector(engine, windows=FrameWindows(10, stride=2))
    results = run(inspector, [picture((8 * k, 320, 64, 64)) for k in range(20)])
    assert len(results) == engine.calls == 6 and engine.looked == 20
    apart = brightness_engine()
    whole = run(Inspector(apart), [picture((8 * k, 320, 64, 64)) for k in range(20)])
    assert apart.calls == 2 and apart.looked == 20
    masks = [frame.mask for result in results for frame in result.frames]
    wanted = [frame.mask for result in whole for frame in result.frames]
    assert all(map(np.array_equal, masks, wanted)) and len(masks) == len(wanted) == 20
