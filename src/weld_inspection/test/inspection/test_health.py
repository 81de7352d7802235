import numpy as np
import pytest

from weld_inspection.inspection import health, statistics
from weld_inspection.inspection.health import InspectionHealth, Level
from weld_inspection.inspection.statistics import InspectionStatistics
from weld_inspection.inspection.windows import FrameWindows

PIXELS = np.zeros((2, 2, 3), np.uint8)


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def scene(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    monkeypatch.setattr(statistics, "time", clock)
    counts, windows = InspectionStatistics(), FrameWindows(4)
    return clock, counts, windows, InspectionHealth(counts, windows)


def frame(clock, counts, windows, seconds, stamp_ns):
    clock.now += seconds
    counts.frame_came()
    if windows.add(PIXELS, stamp_ns, image_width=2, image_height=2):
        counts.windows_inspected += 1


def test_steady_frames_leave_nothing_to_say(scene):
    clock, counts, windows, judge = scene
    for k in range(400):
        frame(clock, counts, windows, 0.05, k * 50_000_000)
        if k % 20 == 19:
            assert judge.look() == []


def test_silence_is_told(scene):
    clock, counts, windows, judge = scene
    (finding,) = judge.look()
    assert (finding.level, finding.sentence) == (Level.WARN, "no frame yet")
    frame(clock, counts, windows, 0.05, 0)
    assert judge.look() == []
    clock.now += 2.5
    (finding,) = judge.look()
    assert finding.sentence == "no frame for 2.5 s"


@pytest.mark.parametrize(
    ("stamp_of", "cause"),
    [
        (lambda k: 0, "their stamps do not change"),
        (lambda k: -k * 50_000_000, "broken off by stamp went back"),
        (lambda k: (k // 3 * 60 + k % 3) * 50_000_000, "broken off by gap"),
    ],
)
def test_frames_that_never_fill_a_window_are_an_error(scene, stamp_of, cause):
    clock, counts, windows, judge = scene
    for k in range(30):
        frame(clock, counts, windows, 0.5, stamp_of(k))
        findings = judge.look()
    assert findings[0].level is Level.ERROR
    assert cause in findings[0].sentence


def test_the_cause_is_that_of_now_not_of_an_hour_ago(scene):
    clock, counts, windows, judge = scene
    counts.frames_refused += 1200
    for k in range(40):
        frame(clock, counts, windows, 0.05, k * 50_000_000)
    judge.look()
    for _ in range(40):  # the clock stands still
        frame(clock, counts, windows, 0.5, 10**12)
        findings = judge.look()
    assert "their stamps do not change" in findings[0].sentence


def test_drops_refusals_and_losses_are_told_once(scene):
    clock, counts, windows, judge = scene
    for k in [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]:
        frame(clock, counts, windows, 0.05, k * 50_000_000)
    counts.windows_dropped += 2
    counts.frames_refused += 3
    counts.last_refusal = "too short"
    counts.overlays_failed += 1
    counts.last_overlay_failure = "ValueError: no such encoding"
    assert [f.sentence for f in judge.look()] == [
        "inference falls behind, 2 windows dropped",
        "3 images refused: too short",
        "1 frames lost",
        "overlays of 1 windows failed: ValueError: no such encoding",
    ]
    assert judge.look() == []


def test_failing_inference_is_an_error_until_a_window_succeeds(scene):
    clock, counts, windows, judge = scene
    frame(clock, counts, windows, 0.05, 0)
    counts.last_failure = "RuntimeError: out of memory"
    (finding,) = judge.look()
    assert finding.level is Level.ERROR and "out of memory" in finding.sentence
    counts.last_failure = ""
    assert judge.look() == []


def test_percentiles_are_of_the_recent_windows():
    counts = InspectionStatistics()
    assert counts.latency_percentiles() is None and counts.since_last_frame() is None
    for _ in range(statistics.RECENT_WINDOWS):
        counts.window_done(100.0, 100.0)
    for k in range(statistics.RECENT_WINDOWS):
        counts.window_done(0.1, k / 1000)
    assert counts.inference_percentiles() == (pytest.approx(0.1), pytest.approx(0.1))
    p50, p99 = counts.latency_percentiles()
    assert p50 == pytest.approx(0.0995) and p99 == pytest.approx(0.197, abs=1e-3)
