"""The simulated carriage is where the simulated camera was when it took the frame."""

import pytest

from weld_inspection.camera.carriage import SimulatedCarriage
from weld_inspection.simulation.weld import SimulatedWeld

T0 = 1_700_000_000_000_000_000


@pytest.fixture(params=[20.0, 30.0])
def weld(request):
    return SimulatedWeld(3, "manual", 1.0, request.param)


def stamps(weld, count, start=T0):
    return [start + round(k * 1e9 / weld.frame_rate) for k in range(count)]


def test_positions_are_the_plans(weld):
    carriage = SimulatedCarriage(weld)
    for k, stamp in enumerate(stamps(weld, weld.frame_count - 1)):
        (point,) = carriage.follow(stamp)
        assert point.stamp_ns == stamp
        assert point.position == pytest.approx(weld.position(k / weld.frame_rate), abs=1e-12)
        assert point.speed == pytest.approx(weld.speed(k / weld.frame_rate))
        assert point.arc_on and point.pass_number == 0


def test_the_arc_goes_out_after_the_last_frame(weld):
    carriage = SimulatedCarriage(weld)
    times = stamps(weld, weld.frame_count + 5)
    points = [carriage.follow(stamp) for stamp in times]
    assert all(len(group) == 1 and group[0].arc_on for group in points[: weld.frame_count - 1])
    last, end = points[weld.frame_count - 1]
    assert last.arc_on and not end.arc_on
    assert end.stamp_ns == pytest.approx(times[weld.frame_count], abs=1)
    assert end.speed == 0.0
    assert end.position == pytest.approx(weld.position(weld.frame_count / weld.frame_rate))
    for (point,) in points[weld.frame_count :]:
        assert not point.arc_on and point.position == end.position


def test_a_looping_weld_counts_passes(weld):
    carriage = SimulatedCarriage(weld, loop=True)
    for k, stamp in enumerate(stamps(weld, 3 * weld.frame_count)):
        (point,) = carriage.follow(stamp)
        pass_number, frame = divmod(k, weld.frame_count)
        assert (point.pass_number, point.arc_on) == (pass_number, True)
        assert point.position == pytest.approx(weld.position(frame / weld.frame_rate), abs=1e-12)


@pytest.mark.parametrize("jump", [30 * 10**9, -30 * 10**9])
def test_a_pause_of_the_camera_is_none_of_the_weld(weld, jump):
    carriage = SimulatedCarriage(weld)
    first, second = stamps(weld, 5), stamps(weld, 10, T0 + jump)[5:]
    points = [carriage.follow(stamp)[0] for stamp in first + second]
    for k, point in enumerate(points):
        assert point.position == pytest.approx(weld.position(k / weld.frame_rate), abs=1e-9)


def test_restart_begins_the_weld_anew(weld):
    carriage = SimulatedCarriage(weld)
    for stamp in stamps(weld, 7):
        carriage.follow(stamp)
    carriage.restart()
    assert carriage.follow(T0)[0].position == weld.position(0.0)
