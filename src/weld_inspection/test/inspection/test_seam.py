import math

import numpy as np
import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry

S = 1_000_000_000


def test_position_is_interpolated_to_the_stamp():
    carriage = CarriagePositions()
    carriage.add(0, 0.100, 0.02)
    carriage.add(S // 2, 0.110, 0.02)
    assert carriage.position(S // 4) == pytest.approx(0.105)
    assert carriage.position(S // 2) == pytest.approx(0.110)


def test_position_is_extrapolated_by_the_speed_for_a_limited_time():
    carriage = CarriagePositions(max_age=1.0)
    carriage.add(10 * S, 0.100, 0.02)
    assert carriage.position(10 * S + S // 2) == pytest.approx(0.110)
    assert carriage.position(10 * S - S // 2) == pytest.approx(0.090)
    assert math.isnan(carriage.position(11 * S + 1))
    assert math.isnan(carriage.position(9 * S - 1))


def test_nothing_heard_is_nan_and_no_weld():
    carriage = CarriagePositions()
    assert math.isnan(carriage.position(0))
    assert carriage.weld_id(0) == ""


def test_positions_of_two_welds_are_not_mixed():
    carriage = CarriagePositions()
    carriage.add(0, 0.900, 0.02, "A")
    carriage.add(S, 0.0, 0.02, "B")
    assert carriage.position(S // 2) == pytest.approx(0.910)
    assert carriage.weld_id(S - 1) == "A"
    assert carriage.weld_id(S) == "B"


def test_positions_of_two_passes_are_not_mixed():
    carriage = CarriagePositions()
    carriage.add(0, 0.900, 0.02, "A", 0)
    carriage.add(S, 0.0, 0.02, "A", 1)
    assert carriage.position(S // 2) == pytest.approx(0.910)
    assert carriage.position(S) == 0.0
    assert carriage.weld_id(S // 2) == "A"


def test_clock_that_goes_back_forgets_the_old_one():
    carriage = CarriagePositions()
    carriage.add(100 * S, 5.0)
    carriage.add(S, 0.1)
    assert carriage.position(S) == pytest.approx(0.1)
    assert math.isnan(carriage.position(100 * S))


def test_position_that_is_not_a_number_is_left_out():
    carriage = CarriagePositions()
    carriage.add(0, math.nan)
    assert math.isnan(carriage.position(0))
    carriage.add(1, 0.5, math.nan)
    assert carriage.position(1 + S // 2) == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [20, 1000])
def test_states_are_kept_for_a_while_however_many_they_are(rate):
    carriage = CarriagePositions()
    for k in range(60 * rate + 1):
        carriage.add(k * S // rate, k / rate)
    assert len(carriage._stamps) <= 51 * rate
    assert carriage.position(60 * S) == pytest.approx(60.0)
    assert carriage.position(21 * S) == pytest.approx(21.0)  # of a frame that has waited long
    assert math.isnan(carriage.position(5 * S))


@pytest.mark.parametrize(("direction", "expected"), [(1, 0.31 + 0.024), (-1, 0.31 - 0.024)])
def test_position_of_a_column(direction, expected):
    geometry = SeamGeometry(3.75e-5, 0.01, direction)
    assert geometry.position(0.3, 639.5, 1280) == pytest.approx(0.31)
    assert geometry.position(0.3, 1279.5, 1280) == pytest.approx(expected)
    assert math.isnan(geometry.position(math.nan, 639.5, 1280))


@pytest.mark.parametrize("direction", [1, -1])
def test_shift_moves_a_column_so_that_its_place_stays(direction):
    geometry = SeamGeometry(3.75e-5, 0.01, direction)
    x = 900.0
    (shift,) = geometry.shift(np.array([0.300]), 0.304)
    moved = x + shift
    assert geometry.position(0.304, moved, 1280) == pytest.approx(geometry.position(0.300, x, 1280))


def test_without_scale_only_the_centre_is_known():
    geometry = SeamGeometry(0.0, 0.01)
    assert geometry.position(0.3, 0.0, 1280) == pytest.approx(0.31)
    assert np.isnan(geometry.shift(np.array([0.3]), 0.4)).all()
    shifts = SeamGeometry().shift(np.array([math.nan, 0.3]), 0.4)
    assert np.isnan(shifts).tolist() == [True, False]
    assert np.isnan(SeamGeometry().shift(np.array([0.3]), math.nan)).all()


@pytest.mark.parametrize("numbers", [(-1e-5, 0.0, 1), (math.nan, 0.0, 1), (1e-5, 0.0, 2)])
def test_geometry_out_of_bounds_is_refused(numbers):
    with pytest.raises(InspectionError):
        SeamGeometry(*numbers)
