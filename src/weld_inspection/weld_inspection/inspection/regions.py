"""Connected regions of defect pixels."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

# An untrained network can break a frame into thousands of specks; more than this many regions in
# one frame tell a reader nothing and would only cost the tracks time.
MAX_REGIONS = 64


@dataclass(frozen=True, slots=True)
class Region:
    """A connected region of one frame's mask, in pixels of the camera's image.

    Attributes:
        x: Left edge of the bounding box.
        y: Upper edge of the bounding box.
        width: Width of the bounding box.
        height: Height of the bounding box.
        area: Defect pixels.
        confidence: Highest defect probability in the region.
        center_x: Centroid along the image's x axis.
        center_y: Centroid along the image's y axis.
        stamp_ns: Capture time of the frame in nanoseconds.
        track_id: Number of the physical defect, 0 while it has none.
        seam_position: Place of the centroid along the seam in metres, NaN where it is not known.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    confidence: float
    center_x: float
    center_y: float
    stamp_ns: int = 0
    track_id: int = 0
    seam_position: float = math.nan


def find_regions(
    mask: np.ndarray,
    probability: np.ndarray,
    *,
    image_width: int,
    image_height: int,
    min_area: int = 0,
    stamp_ns: int = 0,
) -> list[Region]:
    """Finds the connected regions (8 neighbours) of a mask, largest first.

    Args:
        mask: (h, w) uint8, 0 or 255, at the network's size.
        probability: (h, w) float32, defect probabilities.
        image_width: Width of the camera's image, to which the regions are scaled.
        image_height: Height of the camera's image.
        min_area: Smallest area that is returned, in pixels of the camera's image.
        stamp_ns: Capture time of the frame in nanoseconds.

    Returns:
        At most MAX_REGIONS regions.
    """
    scale_x = image_width / mask.shape[1]
    scale_y = image_height / mask.shape[0]
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA] * (scale_x * scale_y)
    largest = 1 + np.argsort(-areas, kind="stable")[:MAX_REGIONS]
    regions = []
    for label in largest:
        area = round(areas[label - 1])
        if area < min_area:
            break
        left, top, width, height = (int(n) for n in stats[label, :4])
        box = np.s_[top : top + height, left : left + width]
        x = math.floor(left * scale_x)
        y = math.floor(top * scale_y)
        regions.append(
            Region(
                x=x,
                y=y,
                width=min(image_width, math.ceil((left + width) * scale_x)) - x,
                height=min(image_height, math.ceil((top + height) * scale_y)) - y,
                area=area,
                confidence=float(probability[box][labels[box] == label].max()),
                # The centre of pixel 0 lies half a pixel from the edge at either size.
                center_x=(float(centroids[label, 0]) + 0.5) * scale_x - 0.5,
                center_y=(float(centroids[label, 1]) + 0.5) * scale_y - 0.5,
                stamp_ns=stamp_ns,
            )
        )
    return regions
