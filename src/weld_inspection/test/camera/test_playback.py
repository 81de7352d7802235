"""Recordings played as cameras: pace, stamps, order, loop, end."""

import threading
import time

import numpy as np
import pytest

from weld_inspection.camera.clock import Clock
from weld_inspection.camera.pacer import Pacer
from weld_inspection.camera.playback import LONGEST_PAUSE_NS, Playback
from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError

PERIOD = 50_000_000


class Listed(Recording):
    """A recording of listed stamps; a stamp that is an error is raised."""

    def __init__(self, stamps, rate=20.0):
        self.name, self.frame_rate, self.width, self.height = "listed", rate, 4, 2
        self.stamps, self.next, self.closed = stamps, 0, threading.Event()

    def read(self):
        if self.next == len(self.stamps):
            return None
        stamp = self.stamps[self.next]
        self.next += 1
        if isinstance(stamp, Exception):
            raise stamp
        return RecordedImage(np.full((2, 4, 3), self.next % 256, np.uint8), stamp)

    def rewind(self):
        self.next = 0

    def close(self):
        self.closed.set()


def read_all(source):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def test_nominal_stamps_follow_the_rate_exactly(clock, t0):
    frames = read_all(Playback(Listed([None] * 100, rate=30.0), clock=clock))
    assert [frame.stamp_ns for frame in frames] == [t0 + round(k * 1e9 / 30) for k in range(100)]
    assert [frame.image[0, 0, 0] for frame in frames] == [k + 1 for k in range(100)]
    assert clock.time == frames[-1].stamp_ns  # released when due, not before


def test_asked_rate_goes_before_the_recordings_own(clock, t0):
    source = Playback(Listed([None] * 3, rate=30.0), frame_rate=10.0, clock=clock)
    assert source.frame_rate == 10.0
    assert [frame.stamp_ns - t0 for frame in read_all(source)] == [0, 100_000_000, 200_000_000]


def test_recorded_stamps_are_kept_and_paced_by_their_steps(clock, t0):
    stamps = [5, 5 + PERIOD, 5 + 3 * PERIOD, 5 + 4 * PERIOD]
    source = Playback(Listed(stamps), clock=clock)
    released = []
    for stamp in stamps:
        assert source.read().stamp_ns == stamp
        released.append(clock.time - t0)
    assert released == [0, PERIOD, 3 * PERIOD, 4 * PERIOD]


def test_a_pace_asked_for_leaves_recorded_stamps_alone(clock, t0):
    stamps = [7, 7 + PERIOD, 7 + 2 * PERIOD]
    frames = read_all(Playback(Listed(stamps), frame_rate=1.0, clock=clock))
    assert [frame.stamp_ns for frame in frames] == stamps
    assert clock.time == t0 + 2 * 10**9


@pytest.mark.parametrize("step", [-10 * PERIOD, LONGEST_PAUSE_NS + 1])
def test_a_jump_of_the_recorded_clock_is_kept_in_stamps_and_not_waited_for(clock, t0, step):
    stamps = [10**12, 10**12 + PERIOD, 10**12 + PERIOD + step]
    frames = read_all(Playback(Listed(stamps), clock=clock))
    assert [frame.stamp_ns for frame in frames] == stamps
    assert clock.time == t0 + 2 * PERIOD


def test_loop_goes_on_with_nominal_stamps(clock, t0):
    source = Playback(Listed([None] * 3), loop=True, clock=clock)
    frames = [source.read() for _ in range(8)]
    source.close()
    assert [frame.stamp_ns - t0 for frame in frames] == [k * PERIOD for k in range(8)]
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 3, 1, 2, 3, 1, 2]


def test_loop_moves_recorded_stamps_on_by_the_length(clock):
    source = Playback(Listed([100, 100 + PERIOD]), loop=True, clock=clock)
    stamps = [source.read().stamp_ns for _ in range(5)]
    source.close()
    assert stamps == [100 + k * PERIOD for k in range(5)]


def test_loop_of_stamps_that_tell_no_rate_takes_the_one_asked_for(clock):
    source = Playback(Listed([100, 100], rate=0.0), frame_rate=20.0, loop=True, clock=clock)
    stamps = [source.read().stamp_ns for _ in range(4)]
    assert stamps == [100, 100, 100 + PERIOD, 100 + PERIOD]


def test_loop_over_what_has_become_empty_is_an_error(clock):
    recording = Listed([])
    with pytest.raises(CameraError, match="empty"):
        read_all(Playback(recording, loop=True, clock=clock))


def test_frames_before_damage_come_then_the_error(clock):
    recording = Listed([None, None, CameraError("cut here")])
    source = Playback(recording, clock=clock)
    assert [source.read().image[0, 0, 0] for _ in range(2)] == [1, 2]
    with pytest.raises(CameraError, match="cut here"):
        source.read()
    assert recording.closed.wait(5)


def test_end_stays_the_end_and_closes_the_recording(clock):
    recording = Listed([None])
    source = Playback(recording, clock=clock)
    assert source.read() is not None
    assert source.read() is None and source.read() is None
    assert recording.closed.wait(5)


def test_a_rate_nobody_knows_is_an_error(clock):
    recording = Listed([None], rate=0.0)
    with pytest.raises(CameraError, match="give frame_rate"):
        Playback(recording, clock=clock)
    assert recording.closed.is_set()


def test_close_ends_a_read_that_waits():
    source = Playback(Listed([0, 9 * 10**9]), clock=Clock())
    assert source.read() is not None
    got = []
    reader = threading.Thread(target=lambda: got.append(source.read()))
    reader.start()
    source.close()
    reader.join(5)
    assert got == [None]


def test_real_clock_releases_no_frame_early():
    source = Playback(Listed([None] * 10, rate=200.0), clock=Clock())
    while (frame := source.read()) is not None:
        assert time.time_ns() >= frame.stamp_ns


def test_late_frames_hurry_and_are_counted(clock, t0):
    pacer = Pacer(clock, PERIOD, threading.Event())
    assert pacer.wait_for(0) == t0
    clock.time += 3 * PERIOD
    assert [pacer.wait_for(k * PERIOD) - t0 for k in (1, 2, 3, 4)] == [
        PERIOD,
        2 * PERIOD,
        3 * PERIOD,
        4 * PERIOD,
    ]
    assert (pacer.late, pacer.reanchored) == (1, 0)
    assert clock.time == t0 + 4 * PERIOD


def test_after_a_pause_the_recording_goes_on_now(clock, t0):
    source = Playback(Listed([None] * 5), clock=clock)
    stamps = [source.read().stamp_ns for _ in range(2)]
    clock.time += 10 * PERIOD
    source.resume()
    stamps += [source.read().stamp_ns for _ in range(2)]
    assert [stamp - t0 for stamp in stamps] == [k * PERIOD for k in (0, 1, 11, 12)]
    assert (source.late, source.reanchored) == (0, 0)


@pytest.mark.parametrize("jump", [5 * 10**9, -3600 * 10**9])
def test_a_jump_of_the_clock_begins_the_times_anew(clock, t0, jump):
    pacer = Pacer(clock, PERIOD, threading.Event())
    pacer.wait_for(0)
    clock.time += jump
    assert pacer.wait_for(PERIOD) == t0 + jump
    assert pacer.wait_for(2 * PERIOD) == t0 + jump + PERIOD
    assert pacer.reanchored == 1
