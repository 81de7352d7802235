"""The alarm's words for people at the machine (millimetres here, metres everywhere else)."""

from __future__ import annotations

import math


def describe_defect(
    *, defect_pixels: int, pixel_threshold: int, confidence: float, seam_position: float
) -> str:
    """Say what a defective window shows.

    Args:
        defect_pixels: Pixels of the window over the probability threshold.
        pixel_threshold: The number above which the window is defective, eq. (9).
        confidence: Highest defect probability of the window, 0 to 1.
        seam_position: Place along the seam, m; NaN where it is not known.

    Returns:
        One line without a full stop.
    """
    place = "" if math.isnan(seam_position) else f" at {seam_position * 1000:.0f} mm of the seam"
    return (
        f"defect{place}: {defect_pixels} pixels (threshold {pixel_threshold}), "
        f"confidence {confidence:.2f}"
    )
