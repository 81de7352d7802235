"""The measured rate is that of the frames, and falls as soon as they stay away."""

import pytest

from weld_inspection.camera.rate_meter import RateMeter


@pytest.fixture
def time():
    class Time:
        now = 100.0

        def __call__(self):
            return self.now

    return Time()


def test_rate_over_the_last_seconds(time):
    meter = RateMeter(time)
    time.now += 3.0
    assert meter.rate == 0.0 and meter.silence == pytest.approx(3.0)
    for _ in range(300):
        time.now += 0.05
        meter.tick()
    assert meter.rate == pytest.approx(20.0)
    for _ in range(60):
        time.now += 0.1
        meter.tick()
    assert meter.rate == pytest.approx(10.0)


def test_rate_falls_while_frames_stay_away(time):
    meter = RateMeter(time)
    for _ in range(100):
        time.now += 0.05
        meter.tick()
    time.now += 2.5
    assert meter.silence == pytest.approx(2.5)
    assert 5.0 < meter.rate < 12.0
    time.now += 10.0
    assert meter.rate == 0.0
    assert meter.silence == pytest.approx(12.5)
    meter.clear()
    assert meter.silence == 0.0
