"""Cuts parts out of training windows: what a step costs goes into places that teach something."""

from dataclasses import dataclass

import numpy as np

DEFECT_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Crop:
    """The same part of all frames of a window.

    A network of convolutions learns from a part as it does from a whole frame, at the cost of the
    part; most of a weld is sound, so parts around defects teach more for the same work.

    Attributes:
        width: Of the part, pixels.
        height: Of the part, pixels.
        defect_share: Share of the parts that are laid around a defect pixel, where the window has
            one; the others lie anywhere.
    """

    width: int
    height: int
    defect_share: float = DEFECT_SHARE

    def cut(
        self, frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns a part of a window.

        Args:
            frames: (T, H, W, 3) uint8, at least as large as the part.
            masks: (T, H, W) uint8, 0 or 1.
            rng: Where the part's place is drawn from.

        Returns:
            Frames (T, height, width, 3) and masks (T, height, width), of their own.
        """
        size = (self.height, self.width)
        room = np.array(masks.shape[1:]) - size
        defects = np.argwhere(masks.any(0))
        if len(defects) and rng.random() < self.defect_share:
            # The pixel lies somewhere in the part, not always in its middle.
            place = defects[rng.integers(len(defects))] - rng.integers(size)
            top, left = np.clip(place, 0, room)
        else:
            top, left = rng.integers(room + 1)
        part = np.s_[:, top : top + self.height, left : left + self.width]
        return frames[part].copy(), masks[part].copy()
