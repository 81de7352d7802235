"""A camera at this machine, and streams over a network that behave like one."""

import math
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from weld_inspection.camera.clock import Clock
from weld_inspection.camera.frame import Frame
from weld_inspection.camera.source import CameraError, FrameSource, opencv_reason
from weld_inspection.camera.video import frame_rate_of

RATE_TOLERANCE = 0.05  # drivers round: 30 Hz may be told as 29.97
BAD_PICTURES = 10  # in a row that cannot be decoded before the camera counts as lost
OLDEST_PICTURE_S = 1.0  # a capture time of the driver's that is older is not believed
STALE_PICTURES = 8  # at most so many wait in a driver's buffers (V4L2 through OpenCV: 4)
MJPEG = cv2.VideoWriter.fourcc(*"MJPG")

Opener = Callable[[], cv2.VideoCapture]


def open_device(path: str) -> cv2.VideoCapture:
    """Opens a V4L2 camera.

    Args:
        path: /dev/videoN or a link to it, such as one in /dev/v4l/by-id.

    Raises:
        CameraError: There is no such device or it is no camera.
    """
    device = Path(path)
    try:
        mode = device.stat().st_mode
    except OSError as error:
        raise CameraError(
            f"camera {path} cannot be found ({error.strerror}): is it plugged in? "
            f"ls /dev/v4l/by-id shows the cameras there are"
        ) from error
    if not stat.S_ISCHR(mode):
        raise CameraError(f"camera {path} is no device: a video file is source 'video'")
    capture = cv2.VideoCapture(str(device.resolve()), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise CameraError(
            f"camera {path} cannot be opened: it is no camera, in use by another program, or not "
            f"yours to read (group video)"
        )
    return capture


class LiveCamera(FrameSource):
    """A camera whose frames come when they are taken."""

    live = True
    recoverable = True

    def __init__(
        self,
        name: str,
        opener: Opener,
        *,
        width: int = 0,
        height: int = 0,
        frame_rate: float = 0.0,
        clock: Clock,
    ) -> None:
        """Opens the camera, asks for a size and rate, and takes a first picture to check them.

        Args:
            name: What a person calls the camera.
            opener: Opens it, such as `open_device`.
            width: Asked width in pixels; 0 leaves the camera's own.
            height: Asked height in pixels; 0 leaves the camera's own.
            frame_rate: Asked rate in Hz; 0 leaves the camera's own.
            clock: What frames are stamped with.

        Raises:
            CameraError: It cannot be opened, gives no picture, or another size or rate than asked.
        """
        self._name, self._clock = name, clock
        self._reading = threading.Lock()
        self._closed = False
        self._paused = False
        self._capture = opener()
        try:
            self._ask(width, height, frame_rate)
            image = self._take()
            self._height, self._width = image.shape[:2]
            self._rate = self._check(width, height, frame_rate)
        except CameraError:
            self._capture.release()
            raise

    @property
    def name(self) -> str:
        """See FrameSource."""
        return self._name

    @property
    def frame_rate(self) -> float:
        """See FrameSource."""
        return self._rate

    @property
    def width(self) -> int:
        """See FrameSource."""
        return self._width

    @property
    def height(self) -> int:
        """See FrameSource."""
        return self._height

    def read(self) -> Frame | None:
        """See FrameSource."""
        with self._reading:
            try:
                if self._closed:
                    return None
                if self._paused:
                    self._drop_stale()
                    self._paused = False
                image = self._take()
                stamp_ns = self._capture_time()
            finally:
                if self._closed:
                    self._capture.release()
        return Frame(image, stamp_ns)

    def resume(self) -> None:
        """See FrameSource; pictures that the driver kept from before are dropped."""
        self._paused = True

    def close(self) -> None:
        """See FrameSource; a read that waits for the device frees it itself when it comes back."""
        self._closed = True
        if self._reading.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._reading.release()

    def _ask(self, width: int, height: int, frame_rate: float) -> None:
        """Sets size and rate; if the camera cannot give them raw, in MJPEG, which needs less USB.

        A camera that gives neither is found out by `_check`.
        """
        wanted = {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: frame_rate,
        }
        wanted = {key: value for key, value in wanted.items() if value}
        for pixel_format in (None, MJPEG):
            if pixel_format is not None:
                self._capture.set(cv2.CAP_PROP_FOURCC, pixel_format)
            for key, value in wanted.items():
                self._capture.set(key, value)
            if all(
                math.isclose(self._capture.get(key), value, rel_tol=RATE_TOLERANCE)
                for key, value in wanted.items()
            ):
                return

    def _check(self, width: int, height: int, frame_rate: float) -> float:
        """Returns the rate to expect if size and rate are as asked."""
        size = (self._width, self._height)
        if any(asked not in (0, given) for asked, given in zip((width, height), size, strict=True)):
            raise CameraError(
                f"camera {self._name} gives {size[0]}x{size[1]} pixels, not the asked "
                f"{width or 'any'}x{height or 'any'}: v4l2-ctl --list-formats-ext shows what it can"
            )
        given = frame_rate_of(self._capture)
        if frame_rate and given and not math.isclose(given, frame_rate, rel_tol=RATE_TOLERANCE):
            raise CameraError(
                f"camera {self._name} gives {given:g} Hz at {size[0]}x{size[1]}, not the asked "
                f"{frame_rate:g} Hz: ask for a rate it offers, or 0 for its own"
            )
        return given or frame_rate

    def _take(self) -> np.ndarray:
        """Waits for a picture and decodes it."""
        for _ in range(BAD_PICTURES):
            try:
                if not self._capture.grab():
                    raise CameraError(f"camera {self._name} is lost: it gives no more pictures")
                decoded, image = self._capture.retrieve()
            except cv2.error as error:
                raise CameraError(f"camera {self._name} is lost: {opencv_reason(error)}") from error
            if decoded:
                return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
            self.damaged += 1
        raise CameraError(
            f"camera {self._name} gave {BAD_PICTURES} pictures in a row that cannot be decoded: "
            f"check its cable"
        )

    def _capture_time(self) -> int:
        """Returns when the picture just grabbed was taken, in nanoseconds of the clock.

        V4L2 tells it by the monotonic clock, so that a picture that waited in a buffer is not
        taken for a new one. A driver that tells nothing credible gets the time of arrival.
        """
        now = self._clock.now()
        age = time.monotonic() - self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3
        return now - round(age * 1e9) if 0.0 <= age <= OLDEST_PICTURE_S else now

    def _drop_stale(self) -> None:
        """Throws away what the driver keeps, up to a picture that must be waited for."""
        for _ in range(STALE_PICTURES):
            begin = time.monotonic()
            if not self._capture.grab():
                return
            if time.monotonic() - begin > 0.5 / (self._rate or 30.0):
                return
