"""What a person sees: the camera's image with mask, regions, place and state drawn on it."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from weld_inspection.inspection.regions import Region

# Colours are BGR.
DEFECT = (60, 60, 255)
SOUND = (120, 200, 80)
INK = (245, 245, 245)
PLATE = (24, 24, 24)
MASK_OPACITY = 0.38
PLATE_OPACITY = 0.62
OUTLINE_LEVEL = 90
FONT = cv2.FONT_HERSHEY_DUPLEX
# Everything is drawn for this height and scaled to the image's.
DESIGN_HEIGHT = 720


def draw_overlay(
    image: np.ndarray,
    mask: np.ndarray,
    regions: Sequence[Region] = (),
    *,
    defective: bool,
    seam_position: float = math.nan,
    caption: str = "",
) -> np.ndarray:
    """Draws a frame's findings on it.

    Args:
        image: (H, W, 3) uint8, BGR.
        mask: (h, w) uint8, 0 or 255, of any size.
        regions: Connected regions in pixels of the image.
        defective: Whether the frame's window is defective by eq. (9).
        seam_position: Place of the image's centre along the seam in metres, NaN where not known.
        caption: Text in the lower left corner, such as the model's name.

    Returns:
        A new image of the same size.
    """
    canvas = image.copy()
    height, width = canvas.shape[:2]
    scale = height / DESIGN_HEIGHT
    if mask.any():
        _tint(canvas, mask, scale)
    margin = round(18 * scale)
    bar = margin + _plate_height(0.75 * scale, scale)
    # Places of labels; along the upper edge stand the state and the place.
    taken = [(0, 0, width, bar)]
    for region in regions:
        _label(canvas, region, scale, taken)
    _badge(canvas, defective, (margin, margin), scale)
    if not math.isnan(seam_position):
        text = f"seam {seam_position * 1e3:.1f} mm"
        text_width = _text_size(text, 0.75 * scale)[0]
        _plate_text(canvas, text, (width - margin - text_width - round(20 * scale), margin), scale)
    if caption:
        top = height - margin - _plate_height(0.55 * scale, scale)
        _plate_text(canvas, caption, (margin, top), scale, size=0.55)
    if defective:
        thickness = max(2, round(6 * scale))
        cv2.rectangle(canvas, (0, 0), (width - 1, height - 1), DEFECT, thickness)
    return canvas


def _tint(canvas: np.ndarray, mask: np.ndarray, scale: float) -> None:
    """Colours the defect pixels and draws their outline."""
    height, width = canvas.shape[:2]
    # A mask of the network's size would be drawn in steps. Cut a little below one half, so that a
    # line one pixel wide, 95 after the blur, is still there.
    if mask.shape != (height, width):
        mask = cv2.GaussianBlur(mask, (3, 3), 0)
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    solid = cv2.threshold(mask, OUTLINE_LEVEL, 255, cv2.THRESH_BINARY)[1]
    left, top, box_width, box_height = cv2.boundingRect(solid)
    if box_width == 0:
        return
    box = np.s_[top : top + box_height, left : left + box_width]
    part = canvas[box]
    colour = np.full_like(part, DEFECT)
    tinted = cv2.addWeighted(part, 1 - MASK_OPACITY, colour, MASK_OPACITY, 0)
    cv2.copyTo(tinted, solid[box], part)
    contours, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(2 * scale))
    cv2.drawContours(canvas, contours, -1, INK, thickness + max(1, round(2 * scale)), cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, DEFECT, thickness, cv2.LINE_AA)


def _label(
    canvas: np.ndarray, region: Region, scale: float, taken: list[tuple[int, int, int, int]]
) -> None:
    """Writes a region's number, confidence and place beside it, clear of other labels."""
    text = f"#{region.track_id}  " if region.track_id else ""
    text += f"{region.confidence * 100:.0f} %"
    if not math.isnan(region.seam_position):
        text += f"  {region.seam_position * 1e3:.1f} mm"
    size = 0.6 * scale
    width = _text_size(text, size)[0] + round(20 * scale)
    height = _plate_height(size, scale)
    gap = round(10 * scale)
    left = min(max(0, region.x + (region.width - width) // 2), max(0, canvas.shape[1] - width))
    above = region.y - gap - height
    below = region.y + region.height + gap
    places = [above, below, above - height - 2, below + height + 2]
    for top in places:
        box = (left, top, left + width, top + height)
        fits = top >= 0 and top + height <= canvas.shape[0]
        if fits and not any(_overlap(box, other) for other in taken):
            break
    else:
        top = min(max(0, above), canvas.shape[0] - height)
        box = (left, top, left + width, top + height)
    taken.append(box)
    anchor_x = region.x + region.width // 2
    anchor_y = top + height if top + height <= region.y else top
    edge_y = region.y if top + height <= region.y else region.y + region.height
    cv2.line(
        canvas,
        (anchor_x, anchor_y),
        (anchor_x, edge_y),
        DEFECT,
        max(1, round(2 * scale)),
        cv2.LINE_AA,
    )
    _plate_text(canvas, text, (left, top), scale, size=0.6, edge=DEFECT)


def _badge(canvas: np.ndarray, defective: bool, corner: tuple[int, int], scale: float) -> None:
    """Writes the window's state with a coloured lamp."""
    text, colour = ("DEFECT", DEFECT) if defective else ("SOUND", SOUND)
    size = 0.75 * scale
    lamp = round(26 * scale)
    width = _text_size(text, size)[0] + round(20 * scale) + lamp
    height = _plate_height(size, scale)
    _plate(canvas, (*corner, width, height))
    center = (corner[0] + round(22 * scale), corner[1] + height // 2)
    cv2.circle(canvas, center, round(8 * scale), colour, cv2.FILLED, cv2.LINE_AA)
    _text(canvas, text, (corner[0] + round(10 * scale) + lamp, corner[1]), size, scale)


def _plate_text(
    canvas: np.ndarray,
    text: str,
    corner: tuple[int, int],
    scale: float,
    *,
    size: float = 0.75,
    edge: tuple[int, int, int] | None = None,
) -> None:
    """Writes text on a dark translucent plate; `corner` is its upper left one."""
    width = _text_size(text, size * scale)[0] + round(20 * scale)
    height = _plate_height(size * scale, scale)
    _plate(canvas, (*corner, width, height))
    if edge:
        end = (corner[0] + max(1, round(3 * scale)), corner[1] + height - 1)
        cv2.rectangle(canvas, corner, end, edge, cv2.FILLED)
    _text(canvas, text, (corner[0] + round(10 * scale), corner[1]), size * scale, scale)


def _plate(canvas: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Darkens a box (left, top, width, height) so that text on it can be read."""
    left, top, width, height = box
    part = canvas[max(0, top) : top + height, max(0, left) : left + width]
    if part.size:
        colour = np.full_like(part, PLATE)
        cv2.addWeighted(part, 1 - PLATE_OPACITY, colour, PLATE_OPACITY, 0, dst=part)


def _text(
    canvas: np.ndarray, text: str, corner: tuple[int, int], size: float, scale: float
) -> None:
    """Writes text whose plate has the given upper left corner."""
    height = _text_size(text, size)[1]
    baseline = corner[1] + (_plate_height(size, scale) + height) // 2
    thickness = max(1, round(1.2 * scale))
    cv2.putText(canvas, text, (corner[0], baseline), FONT, size, INK, thickness, cv2.LINE_AA)


def _text_size(text: str, size: float) -> tuple[int, int]:
    """Width and height of a text in pixels."""
    return cv2.getTextSize(text, FONT, size, 1)[0]


def _plate_height(size: float, scale: float) -> int:
    """Height of the plate under a text of the given size."""
    return round(_text_size("Hg8", size)[1] + 18 * scale)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    """Whether two boxes (left, top, right, bottom) overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
