"""The decision: which pixels are defect, and eq. (9), whether a window is."""

from dataclasses import dataclass

import numpy as np

from weld_inspection.errors import InspectionError


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """What may be changed while inspecting.

    Attributes:
        threshold: Probability above which a pixel is defect (0.5 in the paper's tables).
        pixel_threshold: theta of eq. (9), defect pixels in a window's T frames (paper: 1000).
        min_region_area: Smallest region that is reported, in pixels of the camera's image. It does
            not change eq. (9), which counts every defect pixel.
    """

    threshold: float = 0.5
    pixel_threshold: int = 1000
    min_region_area: int = 256

    def __post_init__(self) -> None:
        """Checks the bounds.

        Raises:
            InspectionError: A number is out of its bounds.
        """
        if not 0.0 <= self.threshold <= 1.0:
            raise InspectionError(f"threshold {self.threshold} is no probability: give 0 to 1")
        if self.pixel_threshold < 0:
            raise InspectionError(f"pixel_threshold {self.pixel_threshold} must not be negative")
        if self.min_region_area < 0:
            raise InspectionError(f"min_region_area {self.min_region_area} must not be negative")


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a window's probabilities come to.

    Attributes:
        masks: (T, H, W) uint8, 255 where a pixel is defect, else 0.
        frame_defect_pixels: Defect pixels of each of the T frames, at the network's size.
        defect_pixels: Their sum.
        defective: Eq. (9): defect_pixels > pixel_threshold.
        confidence: Highest defect probability in the window.
    """

    masks: np.ndarray
    frame_defect_pixels: tuple[int, ...]
    defect_pixels: int
    defective: bool
    confidence: float


def decide(probabilities: np.ndarray, settings: DecisionSettings) -> Decision:
    """Decides on a window by eq. (9).

    Args:
        probabilities: (T, H, W) float32, probability of a defect for each pixel.
        settings: The thresholds.

    Returns:
        The decision.
    """
    defect = probabilities > settings.threshold
    frame_defect_pixels = tuple(int(n) for n in np.count_nonzero(defect, axis=(1, 2)))
    defect_pixels = sum(frame_defect_pixels)
    return Decision(
        masks=defect.astype(np.uint8) * 255,
        frame_defect_pixels=frame_defect_pixels,
        defect_pixels=defect_pixels,
        defective=defect_pixels > settings.pixel_threshold,
        confidence=float(probabilities.max()),
    )
