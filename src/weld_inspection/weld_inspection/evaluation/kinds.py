"""How much of each kind of defect is found."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from weld_inspection.inspection.seam import SeamGeometry
from weld_inspection.training.clip_metadata import ClipDefect


class Patches(NamedTuple):
    """The connected patches of a true mask.

    Attributes:
        labels: (H, W) int32, the number of each pixel's patch, from 1; 0 where it is sound.
        kinds: Names of their kinds of defect, patch 1 first.
    """

    labels: np.ndarray
    kinds: list[str]


def find_patches(
    truth: np.ndarray, defects: Sequence[ClipDefect], center: float, geometry: SeamGeometry
) -> Patches:
    """Tells what kind of defect each patch of a true mask is of.

    It is of the defect that is nearest to its middle along the seam; where that lies within several
    defects, of the one whose own middle is nearest. Defects that touch are one patch, and count as
    one kind.

    Args:
        truth: (H, W) bool.
        defects: Of the frame's clip, at least one.
        center: Place of the image's centre along the seam, m.
        geometry: Of an image W pixels wide.
    """
    _, labels, _, middles = cv2.connectedComponentsWithStats(truth.astype(np.uint8))
    places = [geometry.position(center, column, truth.shape[1]) for column, _ in middles[1:]]
    return Patches(
        labels, [min(defects, key=partial(_distance, place=place)).name for place in places]
    )


class Kinds:
    """Adds up, by the kind of defect, what there is and what was found of it."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self._pixels, self._found_pixels = Counter(), Counter()
        self._planted, self._found = Counter(), Counter()

    def add_mask(self, patches: Patches, found: np.ndarray) -> None:
        """Adds a frame's pixels.

        Args:
            patches: Of its true mask.
            found: (H, W) bool.
        """
        for labels, counts in (
            (patches.labels.ravel(), self._pixels),
            (patches.labels[found], self._found_pixels),
        ):
            pixels = np.bincount(labels, minlength=len(patches.kinds) + 1)[1:]
            for name, number in zip(patches.kinds, pixels.tolist(), strict=True):
                counts[name] += number

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
