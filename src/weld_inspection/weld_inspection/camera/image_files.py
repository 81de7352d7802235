"""Files of one picture each."""

from pathlib import Path

import cv2
import numpy as np

from weld_inspection.camera.source import CameraError, opencv_reason

JPEG_BEGINS, JPEG_SCAN, JPEG_ENDS = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def read_image(path: Path, *, any_depth: bool = False) -> np.ndarray:
    """Reads a picture, all of it.

    Of a JPEG that was cut off, OpenCV gives what is there and makes the rest grey; here it is
    refused, as OpenCV itself refuses a PNG.

    Args:
        path: The file, of any kind that OpenCV reads.
        any_depth: Leave pictures of more than 8 bits a channel as they are.

    Returns:
        (H, W, 3) BGR, uint8 unless `any_depth`; grey and 16-bit pictures become that as OpenCV
        does it.

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
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if any_depth else 0)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise CameraError(f"{refusal}: {opencv_reason(error)}") from error
    if image is None:
        raise CameraError(f"{refusal}: it is damaged, or no image at all")
    return image
