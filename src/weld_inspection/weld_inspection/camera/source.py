"""What every source of frames can do."""

from abc import ABC, abstractmethod

import cv2

from weld_inspection.camera.frame import Frame
from weld_inspection.errors import InspectionError


class CameraError(InspectionError):
    """A source of frames that cannot be opened, is lost, or is damaged."""


def opencv_reason(error: cv2.error) -> str:
    """Returns what OpenCV found wrong, in one line."""
    return " ".join(error.err.replace("> ", " ").split())


class FrameSource(ABC):
    """An open source of frames.

    One thread reads; `close` may come from another one, and a `read` that is blocked then returns
    None soon.

    Attributes:
        live: Whether frames come when they are taken, and are gone where nobody reads them.
        recoverable: Whether a loss may pass, so that it is worth to open the source again.
        late: Frames delivered more than a frame period after they were due.
        reanchored: Times that delivery fell so far behind, or the clock jumped so far, that the
            nominal times were begun anew.
        damaged: Frames that could not be decoded and are left out.
    """

    live: bool = False
    recoverable: bool = False
    late: int = 0
    reanchored: int = 0
    damaged: int = 0

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person calls the source, such as its path."""

    @property
    @abstractmethod
    def frame_rate(self) -> float:
        """Frames a second that are to be expected; 0 where that is not known."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a frame in pixels; of the first one where frames differ."""

    @property
    @abstractmethod
    def height(self) -> int:
        """Height of a frame in pixels; of the first one where frames differ."""

    @abstractmethod
    def read(self) -> Frame | None:
        """Blocks until the next frame is due.

        Returns:
            The frame, or None when the source has ended or was closed.

        Raises:
            CameraError: The source is lost or damaged; it gives no more frames.
        """

    @abstractmethod
    def resume(self) -> None:
        """Tells that reading goes on after a pause: what was missed is not made up for."""

    @abstractmethod
    def close(self) -> None:
        """Frees the device or the files; may be called twice."""
