"""What measure_live makes of what it has heard."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from live_system import Use, Watcher
from measure_live import (
    memory_each_minute,
    percentiles,
    recorder_while_writing,
    tone_delays,
)

from weld_inspection.errors import InspectionError

TONE, SILENCE = np.full(480, 3000, np.int16), np.zeros(480, np.int16)


def heard(*tones):
    """Ten seconds of an ear, chunk by chunk; tones from one second to another."""
    times = np.arange(0, 10, 0.01)
    chunks = [
        (float(t), TONE if any(first <= t < last for first, last in tones) else SILENCE)
        for t in times
    ]
    return SimpleNamespace(chunks=lambda: chunks)


def raised_alarm(*moments):
    """Reports of these moments of the ear's clock, each of which raised the alarm."""
    clock = time.time() - time.monotonic()

    def report(sequence, moment):
        # Published a quarter of a second after its window's last frame.
        stamp = moment + clock - 0.25
        header = SimpleNamespace(stamp=SimpleNamespace(sec=int(stamp), nanosec=stamp % 1 * 1e9))
        latency = SimpleNamespace(sec=0, nanosec=0.25e9)
        return SimpleNamespace(sequence=sequence, header=header, latency=latency)

    reports = [report(number, moment) for number, moment in enumerate(moments)]
    return SimpleNamespace(reports=reports, alarm_delays=dict.fromkeys(range(len(moments)), 0.001))


def test_a_tone_is_told_from_one_that_sounds_already_and_from_none():
    ear = heard((1.03, 1.5), (3.0, 5.0))
    delays, masked, unheard = tone_delays(raised_alarm(1.0, 4.0, 7.0), ear)
    assert delays == [pytest.approx(0.03, abs=0.011)]
    assert (masked, unheard) == (1, 1)


def test_reports_that_raised_no_alarm_have_no_tone():
    watcher = raised_alarm(1.0)
    watcher.alarm_delays.clear()
    assert tone_delays(watcher, heard((1.03, 1.5))) == ([], 0, 0)


def test_processor_time_counts_while_a_bag_is_written():
    spent = [0.0, 0.1, 0.2, 0.9, 1.0]  # of 1 s each; a bag from the second sample to the third
    samples = [{"recorder": Use(processor, 60.0 + processor)} for processor in spent]
    times = [0.0, 1.0, 2.0, 3.0, 4.0]
    writing = [False, True, True, False, False]
    assert recorder_while_writing(samples, times, writing) == 10.0
    assert recorder_while_writing(samples, times, [False] * 5) is None


def test_memory_is_told_by_the_minute():
    samples = [{"recorder": Use(0.0, 60.0 + k)} for k in range(90)]
    assert memory_each_minute(samples, "recorder", min) == [60.0, 120.0]
    assert memory_each_minute(samples, "recorder", max) == [119.0, 149.0]


def test_percentiles_are_milliseconds():
    assert percentiles([0.1] * 99 + [0.5]) == {"p50": 100.0, "p99": 104.0, "max": 500.0}
    assert percentiles([]) == {"p50": None, "p99": None, "max": None}


def test_a_counter_that_no_node_tells_is_no_zero():
    watcher = SimpleNamespace(told=lambda node, key: {"frames lost": "0"}.get(key, ""))
    assert Watcher.counted(watcher, "recorder", "frames lost") == 0
    with pytest.raises(InspectionError, match="recorder tells no 'frames gone' in /diagnostics"):
        Watcher.counted(watcher, "recorder", "frames gone")
