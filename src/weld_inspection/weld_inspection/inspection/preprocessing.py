"""From camera frames to the network's input: one resize for training, live and offline use."""

import cv2
import numpy as np


def resize_frame(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resizes a camera frame to the network's size: each pixel the mean of the area it covers.

    As long as that leaves a whole multiple of the size, the frame is halved first, for OpenCV does
    that several times as fast as it takes means of larger areas. It rounds halves up, so every
    other time the negative is halved: frames get brighter by an eighth of a grey value at most,
    instead of by as much each time.

    Args:
        image: (H, W, 3) uint8, BGR.
        width: Width of the result in pixels.
        height: Height of the result in pixels.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    negative = False
    while image.shape[0] % (2 * height) == image.shape[1] % (2 * width) == 0:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
        cv2.bitwise_not(image, dst=image)  # into fresh memory it would take longer than halving
        negative = not negative
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if negative:
        cv2.bitwise_not(image, dst=image)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def resize_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resizes a defect mask: a pixel is defect where at least half of its area is.

    Args:
        mask: (H, W) uint8, 0 for sound and 255 for defect.
        width: Width of the result in pixels.
        height: Height of the result in pixels.

    Returns:
        (height, width) uint8, 0 or 255.
    """
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return np.where(mask >= 128, 255, 0).astype(np.uint8)
