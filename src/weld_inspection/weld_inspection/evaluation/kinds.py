"""How much of each kind of defect is found."""

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from weld_inspection.inspection.seam import SeamGeometry
from weld_inspection.training.clip_metadata import ClipDefect


class Kinds:
    """Adds up, by the kind of defect, what there is and what was found of it."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self._pixels, self._found_pixels = Counter(), Counter()
        self._planted, self._found = Counter(), Counter()

    def add_mask(
        self,
        truth: np.ndarray,
        found: np.ndarray,
        defects: Sequence[ClipDefect],
        center: float,
        geometry: SeamGeometry,
    ) -> None:
        """Adds a frame's pixels.

        Each patch of the true mask is of the defect that is nearest to its middle along the seam;
        where that lies within several defects, of the one whose own middle is nearest. Defects that
        touch are one patch, and count as one kind.

        Args:
            truth: (H, W) bool.
            found: (H, W) bool.
            defects: Of the frame's clip, at least one.
            center: Place of the image's centre along the seam, m.
            geometry: Of an image W pixels wide.
        """
        count, labels, _, middles = cv2.connectedComponentsWithStats(truth.astype(np.uint8))
        for label in range(1, count):
            place = geometry.position(center, middles[label][0], truth.shape[1])
            name = min(defects, key=lambda defect: _distance(defect, place)).name
            patch = labels == label
            self._pixels[name] += int(patch.sum())
            self._found_pixels[name] += int((patch & found).sum())

    def add_defects(self, planted: Sequence[ClipDefect], found: Sequence[int]) -> None:
        """Adds defects.

        Args:
            planted: Those of a clip that should be found.
            found: Indices of those that were.
        """
        self._planted.update(defect.name for defect in planted)
        self._found.update(planted[index].name for index in found)

    def result(self) -> dict[str, dict[str, float | None]]:
        """Returns pixels, their recall, defects planted and found, by kind, most pixels first.

        The recall of no pixels is None.
        """
        names = [name for name, _ in self._pixels.most_common()]
        names += [name for name in self._planted if name not in self._pixels]
        return {name: self._of(name) for name in names}

    def _of(self, name: str) -> dict[str, float | None]:
        pixels = self._pixels[name]
        return {
            "pixels": pixels,
            "recall": round(self._found_pixels[name] / pixels, 4) if pixels else None,
            "planted": self._planted[name],
            "found": self._found[name],
        }


def _distance(defect: ClipDefect, place: float) -> tuple[float, float]:
    """How far a place along the seam is from a defect's extent, then from its middle, m."""
    outside = max(defect.start - place, place - defect.end, 0.0)
    return outside, abs(place - (defect.start + defect.end) / 2)
