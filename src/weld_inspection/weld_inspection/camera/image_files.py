"""Files of one picture each."""

from pathlib import Path

import cv2
import numpy as np

from weld_inspection.camera.source import CameraError, opencv_reason

JPEG_BEGINS, JPEG_SCAN, JPEG_ENDS = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def read_image(path: Path) -> np.ndarray:
    """Reads a picture, all of it.

    Of a JPEG that was cut off, OpenCV gives what is there and makes the rest grey; here it is
    refused, as OpenCV itself refuses a PNG.

    Args:
        path: The file, of any kind that OpenCV reads.

    Returns:
        (H, W, 3) uint8 BGR; grey and 16-bit pictures become that as OpenCV does it.

    Raises:
        CameraError: The file cannot be read, is damaged or no picture.
    """
    refusal = f"image {path} cannot be read"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CameraError(f"{refusal}: {error.strerror}") from error
    # A thumbnail in the header has an end of its own, which comes before the picture's scans.
    if data.startswith(JPEG_BEGINS) and data.rfind(JPEG_ENDS) < data.rfind(JPEG_SCAN):
        raise CameraError(f"{refusal}: it is cut off, its end is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise CameraError(f"{refusal}: {opencv_reason(error)}") from error
    if image is None:
        raise CameraError(f"{refusal}: it is damaged, or no image at all")
    return image
