"""A video file, or a video at a URL that has an end, as a recording."""

import math
from pathlib import Path

import cv2
import numpy as np

from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError, opencv_reason

NETWORK_TIMEOUT_MS = 5000
HIGHEST_FRAME_RATE = 1000.0  # Hz; containers without a rate tell nonsense such as 90 000
# Where a container holds no count of frames, it follows from the length, which may be off by this.
COUNT_TOLERANCE = 0.02


def is_url(path: str) -> bool:
    """Tells whether a path is to be fetched over a network."""
    return "://" in path and not path.startswith("file://")


def open_capture(path: str) -> cv2.VideoCapture:
    """Opens a video file or URL.

    Raises:
        CameraError: There is none, or it is no video.
    """
    if is_url(path):
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS),
        ]
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            raise CameraError(f"video {path} cannot be opened: is its server up, the URL right?")
        return capture
    file = Path(path.removeprefix("file://")).expanduser()
    if not file.exists():
        raise CameraError(f"video {file} does not exist")
    if not file.is_file():
        raise CameraError(f"video {file} is not a file: a folder of images is source 'images'")
    try:
        size = file.stat().st_size
        with file.open("rb"):
            pass
    except OSError as error:
        raise CameraError(f"video {file} cannot be read: {error.strerror}") from error
    if size == 0:
        raise CameraError(f"video {file} is empty")
    capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise CameraError(
            f"video {file} cannot be opened: it is no video, or cut before its index was written"
        )
    return capture


def frame_rate_of(capture: cv2.VideoCapture) -> float:
    """Returns the frames a second that a capture tells, 0 if it tells none that can be true."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if math.isfinite(rate) and 0 < rate <= HIGHEST_FRAME_RATE else 0.0


class Video(Recording):
    """A video, decoded by FFmpeg through OpenCV."""

    def __init__(self, path: str, capture: cv2.VideoCapture | None = None) -> None:
        """Opens a video and decodes its first frame.

        Args:
            path: File or URL.
            capture: The path opened already, by `open_capture`.

        Raises:
            CameraError: There is none, it is no video, or not one frame can be decoded.
        """
        self.name = path
        self.remote = is_url(path)
        self._capture = capture or open_capture(path)
        self.frame_rate = frame_rate_of(self._capture)
        self._count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = self._count if self._count > 0 else None
        self._position = 0  # frames behind, damaged ones too
        self._first = self._decode()
        if self._first is None:
            self.close()
            raise CameraError(f"video {path} holds no frame that can be decoded")
        self.height, self.width = self._first.shape[:2]

    def read(self) -> RecordedImage | None:
        """See Recording; a video that ends before the length it states is cut or damaged."""
        image, self._first = self._first, None
        failed = 0
        while image is None:
            image = self._decode()
            if image is not None:
                break
            failed += 1
            # What is damaged in the middle may go on behind the damage. Over a network every
            # failure costs a timeout: there the stream is lost.
            if self.remote or self._position + failed >= self._count:
                self._check_end()
                return None
        self._position += failed + 1
        return RecordedImage(image, skipped=failed)

    def rewind(self) -> None:
        """See Recording."""
        self._capture.release()
        self._capture = open_capture(self.name)
        self._position = 0

    def close(self) -> None:
        """See Recording."""
        self._capture.release()

    def _check_end(self) -> None:
        """Tells an end from a cut."""
        missing = self._count - self._position
        if missing > max(1, COUNT_TOLERANCE * self._count):
            raise CameraError(
                f"video {self.name} ends after {self._position} of {self._count} frames: it is cut "
                f"or damaged"
            )

    def _decode(self) -> np.ndarray | None:
        try:
            decoded, image = self._capture.read()
        except cv2.error as error:
            raise CameraError(
                f"video {self.name} cannot be decoded: {opencv_reason(error)}"
            ) from error
        return image if decoded else None
