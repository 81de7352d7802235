"""A picture with the time it was taken at."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a camera.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        stamp_ns: Capture time in nanoseconds since the epoch of the source's clock.
    """

    image: np.ndarray
    stamp_ns: int
