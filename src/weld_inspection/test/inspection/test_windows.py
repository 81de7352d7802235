import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.windows import FrameWindows, Restart

PERIOD = 50_000_000
PIXELS = np.zeros((2, 2, 3), np.uint8)


def add(windows, stamp_ns, *, width=1280, encoding="bgr8", tag=None):
    return windows.add(
        PIXELS, stamp_ns, image_width=width, image_height=720, encoding=encoding, tag=tag
    )


def feed(windows, stamps):
    return [w for stamp in stamps if (w := add(windows, stamp)) is not None]


def stamps_of(window):
    return [frame.stamp_ns for frame in window.frames]


def test_windows_follow_each_other_without_overlap():
    windows = FrameWindows(4)
    stamps = [k * PERIOD for k in range(10)]
    assert [stamps_of(w) for w in feed(windows, stamps)] == [stamps[0:4], stamps[4:8]]
    assert windows.frames_discarded == windows.frames_lost == 0


def test_stride_makes_windows_overlap():
    windows = FrameWindows(4, stride=2)
    stamps = [k * PERIOD for k in range(9)]
    assert [stamps_of(w) for w in feed(windows, stamps)] == [stamps[0:4], stamps[2:6], stamps[4:8]]


def test_gap_begins_a_new_window_and_counts_what_was_lost():
    told = []
    windows = FrameWindows(4, on_restart=lambda cause, sentence: told.append((cause, sentence)))
    before = [k * PERIOD for k in range(6)]
    after = [(k + 9) * PERIOD for k in range(4)]
    assert [stamps_of(w) for w in feed(windows, before + after)] == [before[0:4], after]
    assert windows.frames_discarded == 2
    assert windows.frames_lost == 3
    assert windows.restarts == {Restart.GAP: 1}
    assert told == [(Restart.GAP, "no frame for 0.200 s")]


def test_single_lost_frame_is_counted_but_does_not_break_the_window():
    windows = FrameWindows(4)
    stamps = [k * PERIOD for k in (0, 1, 2, 3, 4, 6, 7, 8)]
    found = feed(windows, stamps)
    assert [stamps_of(w) for w in found] == [stamps[:4], stamps[4:]]
    assert windows.frames_lost == 1
    assert not windows.restarts
    assert [window.frames_lost for window in found] == [0, 1]


@pytest.mark.parametrize("stride", [1, 3, 10])
def test_late_stamps_are_not_taken_for_losses(stride):
    """A camera stamped by a busy computer: any frame may be late, by up to 1.4 periods."""
    rng = np.random.default_rng(1)
    windows = FrameWindows(10, stride=stride)
    late = np.where(rng.random(600) < 0.25, rng.uniform(0, 1.4, 600), 0.0)
    stamps = np.maximum.accumulate((np.arange(600) + late) * PERIOD).astype(int)
    feed(windows, (stamps + np.arange(600)).tolist())
    assert windows.frames_lost <= 2
    assert not windows.restarts


@pytest.mark.parametrize("stride", [1, 3, 10])
def test_losses_are_counted_in_spite_of_jitter(stride):
    rng = np.random.default_rng(2)
    windows = FrameWindows(10, stride=stride)
    lost = {37, 120, 121, 122, 123, 400, 488}
    numbers = np.array([k for k in range(600) if k not in lost])
    stamps = ((numbers + rng.uniform(0, 0.3, len(numbers))) * PERIOD).astype(int)
    feed(windows, stamps.tolist())
    assert windows.frames_lost == len(lost)
    assert windows.restarts == {Restart.GAP: 1}


@pytest.mark.parametrize(
    ("stamp", "cause"),
    [(PERIOD, Restart.STAMP_BACK), (3600 * 10**9, Restart.CLOCK_JUMP)],
)
def test_clock_changes_begin_a_new_window_and_estimate_no_loss(stamp, cause):
    windows = FrameWindows(4)
    feed(windows, [k * PERIOD for k in range(6)])
    after = [stamp + k * PERIOD for k in range(4)]
    assert [stamps_of(w) for w in feed(windows, after)] == [after]
    assert windows.restarts == {cause: 1}
    assert (windows.frames_lost, windows.frames_discarded) == (0, 2)


def test_losses_before_a_clock_change_are_counted():
    windows = FrameWindows(10)
    stamps = [k * PERIOD for k in [*range(20), *range(25, 30)]]  # five lost, and no window since
    assert len(feed(windows, stamps)) == 2 and windows.frames_lost == 0
    feed(windows, [10**12 + k * PERIOD for k in range(10)])
    assert windows.frames_lost == 5


@pytest.mark.parametrize("change", [{"width": 640}, {"encoding": "mono8"}])
def test_change_of_format_begins_a_new_window(change):
    windows = FrameWindows(2)
    add(windows, 0)
    assert add(windows, PERIOD, **change) is None
    window = add(windows, 2 * PERIOD, **change)
    assert stamps_of(window) == [PERIOD, 2 * PERIOD]
    assert window.image_width == change.get("width", 1280)
    assert windows.restarts == {Restart.FORMAT: 1}
    assert windows.frames_discarded == 1


def test_repeated_stamp_is_left_out():
    windows = FrameWindows(2)
    assert feed(windows, [5, 5, 5]) == []
    assert windows.frames_repeated == 2
    assert stamps_of(feed(windows, [6])[0]) == [5, 6]


@pytest.mark.parametrize("arguments", [{"length": 0}, {"stride": 5}, {"stride": 0}])
def test_numbers_out_of_bounds_are_refused(arguments):
    with pytest.raises(InspectionError):
        FrameWindows(**{"length": 4, **arguments})


def test_max_frame_gap_must_not_be_negative():
    with pytest.raises(InspectionError, match="max_frame_gap"):
        FrameWindows(4, max_frame_gap=-0.1)


@pytest.mark.parametrize("rate", [2, 5, 20, 60, 200])
def test_gap_is_told_by_the_rate_of_the_source(rate):
    period = 10**9 // rate
    windows = FrameWindows(4)
    stamps = [k * period for k in (0, 1, 2, 3, 4, 6, 7, 8, 9, 12, 13, 14, 15)]
    found = [stamps_of(window) for window in feed(windows, stamps)]
    assert found == [stamps[:4], stamps[4:8], stamps[9:13]]
    assert windows.restarts == {Restart.GAP: 1}
    assert (windows.frames_lost, windows.frames_discarded) == (3, 1)


def test_source_that_becomes_slower_is_inspected_again():
    windows = FrameWindows(4)
    fast = [k * PERIOD for k in range(40)]
    slow = [fast[-1] + (k + 1) * 5 * PERIOD for k in range(40)]
    found = [stamps_of(window) for window in feed(windows, fast + slow)]
    of_slow = [window for window in found if window[0] >= slow[0]]
    # Sixteen of the 31 intervals remembered must be slow ones before that is the usual.
    assert of_slow[0][0] <= slow[17] and len(of_slow) >= 5


@settings(deadline=None)
@given(
    length=st.integers(1, 6),
    stride_part=st.floats(0, 1),
    steps=st.lists(
        st.one_of(
            st.just(PERIOD),
            st.integers(1, 4 * PERIOD),  # some of them gaps
            st.just(0),  # a repeat
            st.integers(-5 * PERIOD, -1),  # the stamp goes back
            st.integers(10**10, 10**12),  # the clock jumps
            st.sampled_from(["size"]),  # another format from here on
        ),
        max_size=60,
    ),
)
def test_every_frame_is_accounted_for_and_no_window_spans_a_break(length, stride_part, steps):
    stride = 1 + round(stride_part * (length - 1))
    windows = FrameWindows(length, stride=stride, max_frame_gap=0.12)
    stamp, width = 10**13, 1280
    frames = repeats = 0
    found = []
    newest = 0
    for index, step in enumerate([PERIOD, *steps]):
        if step == "size":
            width, step = (640 if width == 1280 else 1280), PERIOD
        stamp += step
        frames += 1
        repeats += step == 0 and index > 0
        window = add(windows, stamp, width=width, tag=(index, width))
        if window is not None:
            found.append(window)
            assert window.frames[-1].stamp_ns == stamp
    covered = 0
    for window in found:
        intervals = np.diff(stamps_of(window))
        assert len(window.frames) == length
        assert np.all(intervals > 0) and np.all(intervals <= 0.12 * 1e9)
        assert {frame.tag[1] for frame in window.frames} == {window.image_width}
        fresh = [frame for frame in window.frames if frame.number > newest]
        newest = window.frames[-1].number
        covered += len(fresh)
    waiting = frames - repeats - covered - windows.frames_discarded
    assert 0 <= waiting < length
    assert windows.frames_repeated == repeats
