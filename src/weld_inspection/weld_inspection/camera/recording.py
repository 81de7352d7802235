"""Recordings: pictures that can be had as fast as they can be decoded."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """A picture of a recording.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        stamp_ns: When it was taken, in nanoseconds; None where the recording does not say.
        skipped: Pictures before it that could not be decoded; time passes for them all the same.
    """

    image: np.ndarray
    stamp_ns: int | None = None
    skipped: int = 0


class Recording(ABC):
    """An open recording, read from its begin to its end and, if asked, again.

    Attributes:
        name: What a person calls it, such as its path.
        frame_rate: Its own frames a second.
        width: Width of its (first) picture in pixels.
        height: Height of its (first) picture in pixels.
        frame_count: Pictures that it says it holds; None where that is not known.
        remote: Whether it comes over a network, where a failure may pass.
    """

    name: str
    frame_rate: float
    width: int
    height: int
    frame_count: int | None = None
    remote: bool = False

    @abstractmethod
    def read(self) -> RecordedImage | None:
        """Decodes the next picture.

        Returns:
            The picture, or None at the end.

        Raises:
            CameraError: The recording is damaged here.
        """

    @abstractmethod
    def rewind(self) -> None:
        """Goes back to the begin.

        Raises:
            CameraError: The recording cannot be opened any more.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees the files; may be called twice."""
