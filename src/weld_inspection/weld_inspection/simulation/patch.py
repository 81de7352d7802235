"""A rectangle of changes to a surface: what a defect or a mark does to the plate and bead."""

import copy

import cv2
import numpy as np

from weld_inspection.simulation.surface import STRIP_HEIGHT, Surface

# The least mask of a planted defect in strip pixels. A window is flagged at 1000 defect pixels of
# network size in ten frames, eq. (9): 100 a frame, that is 6400 camera pixels.
LEAST_AREA = 8500


class Patch:
    """Changes to height, colour and gloss within a rectangle, and the mask they carry.

    A patch is always computed whole, whatever tile it is painted on, so that a defect across the
    edge of two tiles fits together.

    Attributes:
        x0: Strip column of the left edge.
        y0: Strip row of the upper edge.
        x: Strip columns of the pixels, (1, W) float32.
        y: Strip rows of the pixels, (H, 1) float32.
        keep: Factor of the height that is there, (H, W) float32, 1 at the start.
        raised: Height added after that, pixels, 0 at the start.
        shade: Factor of the colour that is there, 1 at the start.
        cover: Opacity of the new colour over the old, 0 at the start.
        colour: The new colour, (H, W, 3) float32 BGR.
        gloss: Gloss of the new colour.
        mask: (H, W) uint8, 0 or 255.
    """

    def __init__(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """An empty patch.

        Args:
            x0: Left edge in strip pixels; edges are rounded outwards and kept on the strip.
            y0: Upper edge.
            x1: Right edge.
            y1: Lower edge.
        """
        self.x0 = int(np.floor(x0))
        self.y0 = min(max(int(np.floor(y0)), 0), STRIP_HEIGHT - 2)
        width = max(int(np.ceil(x1)) - self.x0, 2)
        height = max(min(int(np.ceil(y1)), STRIP_HEIGHT) - self.y0, 2)
        self.x = np.arange(self.x0, self.x0 + width, dtype=np.float32)[None, :]
        self.y = np.arange(self.y0, self.y0 + height, dtype=np.float32)[:, None]
        shape = (height, width)
        self.keep = np.ones(shape, np.float32)
        self.raised = np.zeros(shape, np.float32)
        self.shade = np.ones(shape, np.float32)
        self.cover = np.zeros(shape, np.float32)
        self.colour = np.zeros((*shape, 3), np.float32)
        self.gloss = 0.3
        self.mask = np.zeros(shape, np.uint8)

    def part(self, x: float, y: float, reach: float) -> "Patch":
        """A part of the patch, sharing its arrays: what is done to it is done to the patch.

        Args:
            x: Strip column of the part's middle.
            y: Strip row of the part's middle.
            reach: Half of the part's side in pixels.

        Returns:
            The part, cut off at the patch's edges.
        """
        left = min(max(int(x - reach) - self.x0, 0), self.x.size - 1)
        right = min(max(int(x + reach) + 1 - self.x0, left + 1), self.x.size)
        top = min(max(int(y - reach) - self.y0, 0), self.y.size - 1)
        bottom = min(max(int(y + reach) + 1 - self.y0, top + 1), self.y.size)
        part = copy.copy(self)
        part.x0, part.y0 = self.x0 + left, self.y0 + top
        part.x, part.y = self.x[:, left:right], self.y[top:bottom]
        window = np.s_[top:bottom, left:right]
        for name in ("keep", "raised", "shade", "cover", "colour", "mask"):
            setattr(part, name, getattr(self, name)[window])
        return part

    def put(self, opacity: np.ndarray, colour: np.ndarray | tuple[float, ...]) -> None:
        """Lays a colour over what the patch holds so far.

        Args:
            opacity: (H, W), 0 to 1.
            colour: BGR, 0 to 1: one for all, or (H, W, 3).
        """
        opacity = np.clip(opacity, 0, 1).astype(np.float32)
        total = opacity + self.cover * (1 - opacity)
        share = (opacity / np.maximum(total, 1e-6))[..., None]
        self.colour += share * (np.asarray(colour, np.float32) - self.colour)
        self.cover[...] = total

    def paint(self, surface: Surface) -> None:
        """Applies the patch to the part of a surface that it overlaps.

        Args:
            surface: A window of the strip, changed in place.
        """
        height, width = self.mask.shape
        left = max(self.x0, surface.x0)
        right = min(self.x0 + width, surface.x0 + surface.mask.shape[1])
        if right <= left:
            return
        there = np.s_[self.y0 : self.y0 + height, left - surface.x0 : right - surface.x0]
        here = np.s_[:, left - self.x0 : right - self.x0]
        surface.height[there] = surface.height[there] * self.keep[here] + self.raised[here]
        cover = self.cover[here]
        for channel, plane in enumerate(surface.colour):
            colour = plane[there] * self.shade[here]
            plane[there] = colour + cover * (self.colour[..., channel][here] - colour)
        surface.gloss[there] += cover * (self.gloss - surface.gloss[there])
        surface.mask[there] |= self.mask[here]


def closed(mask: np.ndarray, reach: int) -> np.ndarray:
    """Joins the parts of a mask that lie near each other, as a brush would.

    Args:
        mask: (H, W) bool.
        reach: Radius in pixels.

    Returns:
        (H, W) uint8, 0 or 255.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = cv2.copyMakeBorder(
        mask.astype(np.uint8) * 255, reach, reach, reach, reach, cv2.BORDER_CONSTANT
    )
    joined = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    return np.ascontiguousarray(joined[reach:-reach, reach:-reach])


def at_least(mask: np.ndarray, reach: int) -> np.ndarray:
    """Joins a mask and, if it is too small to be flagged, paints it wider.

    Args:
        mask: (H, W) bool.
        reach: Radius within which parts are joined, pixels.

    Returns:
        (H, W) uint8, 0 or 255, of LEAST_AREA or more if the patch has that many pixels.
    """
    joined = closed(mask, reach)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    while cv2.countNonZero(joined) < min(LEAST_AREA, joined.size):
        joined = cv2.dilate(joined, brush)
    return joined
