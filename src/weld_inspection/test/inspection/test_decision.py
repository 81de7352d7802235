import numpy as np
import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.decision import DecisionSettings, decide


def painted(pixels_per_frame, value=0.9):
    probabilities = np.full((len(pixels_per_frame), 90, 160), 0.1, np.float32)
    for frame, count in zip(probabilities, pixels_per_frame, strict=True):
        frame.ravel()[:count] = value
    return probabilities


@pytest.mark.parametrize(("total", "defective"), [(1000, False), (1001, True)])
def test_eq_9_is_a_strict_inequality(total, defective):
    probabilities = painted([total - 900, 900])
    decision = decide(probabilities, DecisionSettings(pixel_threshold=1000))
    assert decision.defect_pixels == total
    assert decision.frame_defect_pixels == (total - 900, 900)
    assert decision.defective is defective


def test_masks_are_0_or_255_above_the_threshold():
    decision = decide(painted([7], value=0.5), DecisionSettings(threshold=0.5))
    assert decision.defect_pixels == 0
    decision = decide(painted([7], value=0.5), DecisionSettings(threshold=0.49))
    assert decision.masks.dtype == np.uint8
    assert set(np.unique(decision.masks)) == {0, 255}
    assert np.count_nonzero(decision.masks) == 7


def test_confidence_is_the_highest_probability_even_below_the_threshold():
    decision = decide(painted([3], value=0.4), DecisionSettings())
    assert decision.confidence == pytest.approx(0.4)
    assert not decision.defective


@pytest.mark.parametrize(
    "numbers",
    [
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshold": float("nan")},
        {"pixel_threshold": -1},
        {"min_region_area": -1},
    ],
)
def test_thresholds_out_of_bounds_are_refused(numbers):
    with pytest.raises(InspectionError, match=next(iter(numbers))):
        DecisionSettings(**numbers)
