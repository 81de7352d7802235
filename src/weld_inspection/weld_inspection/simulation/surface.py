"""The strip's scale, and the surface that is painted on it before it is lit."""

from dataclasses import dataclass

import numpy as np

# Rows of the strip: a view of 720 rows with room for tilt, drift and a camera held high.
STRIP_HEIGHT = 960
# Metres of plate to one pixel of the strip: 48 mm over 1280 pixels.
METRES_PER_PIXEL = 0.048 / 1280


@dataclass
class Surface:
    """A window of the seam's surface before it is lit. Painting changes it in place.

    Attributes:
        x0: Strip column of the window's left edge.
        height: Height over the plate in pixels, (H, W) float32.
        colour: Colour of the material, (3, H, W) float32: blue, green, red from 0 to 1. The
            planes lie apart because everything done to them is done plane by plane.
        gloss: How much of the lamps is mirrored, (H, W) float32, 0 to 1.
        mask: Planted defects, (H, W) uint8, 0 or 255.
    """

    x0: int
    height: np.ndarray
    colour: np.ndarray
    gloss: np.ndarray
    mask: np.ndarray

    def cover(self, rows: slice, opacity: np.ndarray, colour: np.ndarray) -> None:
        """Lays a colour over some rows.

        Args:
            rows: The rows.
            opacity: (rows, W) float32, 0 to 1.
            colour: (3,) or (3, rows, W) or (3, 1, 1), 0 to 1.
        """
        for plane, tone in zip(self.colour, colour, strict=True):
            part = plane[rows]
            part += opacity * (tone - part)
