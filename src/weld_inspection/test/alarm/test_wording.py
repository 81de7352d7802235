import math

from weld_inspection.alarm.wording import describe_defect


def test_place_in_millimetres_where_known():
    values = {"defect_pixels": 5312, "pixel_threshold": 1000, "confidence": 0.974}
    assert (
        describe_defect(**values, seam_position=0.3124)
        == "defect at 312 mm of the seam: 5312 pixels (threshold 1000), confidence 0.97"
    )
    assert describe_defect(**values, seam_position=math.nan).startswith("defect: 5312")
