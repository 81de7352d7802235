"""A DefectReport as the recorder sees it."""

from dataclasses import dataclass

from weld_inspection.recording.window_grid import Window


@dataclass(frozen=True, slots=True)
class Report:
    """What a DefectReport says, as far as the recorder cares.

    Attributes:
        window: First and last stamp of the window.
        defective: Whether eq. (9) says so.
        stride: Frames from the begin of this window to that of the next.
        defect_pixels: Number of defect pixels in the window.
        confidence: Highest defect probability in the window.
    """

    window: Window
    defective: bool
    stride: int
    defect_pixels: int = 0
    confidence: float = 0.0
