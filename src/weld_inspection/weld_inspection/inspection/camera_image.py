"""The bytes of a camera's image, as a message carries them, to an array."""

from dataclasses import dataclass

import cv2
import numpy as np

from weld_inspection.errors import InspectionError


class ImageError(InspectionError):
    """An image that cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    """Channels, bytes of one channel, and how OpenCV makes BGR of it (None: it is BGR)."""

    channels: int
    depth: int
    conversion: int | None


# Names as in sensor_msgs/image_encodings.hpp. An untyped 16UC1 is read as mono16, and so on.
ENCODINGS = {
    "bgr8": _Encoding(3, 1, None),
    "8UC3": _Encoding(3, 1, None),
    "rgb8": _Encoding(3, 1, cv2.COLOR_RGB2BGR),
    "bgra8": _Encoding(4, 1, cv2.COLOR_BGRA2BGR),
    "8UC4": _Encoding(4, 1, cv2.COLOR_BGRA2BGR),
    "rgba8": _Encoding(4, 1, cv2.COLOR_RGBA2BGR),
    "mono8": _Encoding(1, 1, cv2.COLOR_GRAY2BGR),
    "8UC1": _Encoding(1, 1, cv2.COLOR_GRAY2BGR),
    "bgr16": _Encoding(3, 2, None),
    "16UC3": _Encoding(3, 2, None),
    "rgb16": _Encoding(3, 2, cv2.COLOR_RGB2BGR),
    "mono16": _Encoding(1, 2, cv2.COLOR_GRAY2BGR),
    "16UC1": _Encoding(1, 2, cv2.COLOR_GRAY2BGR),
}


@dataclass(frozen=True, slots=True, eq=False)
class CameraImage:
    """An image as a message carries it: the fields of sensor_msgs/Image, and its header's stamp.

    Attributes:
        data: The bytes, anything with the buffer interface.
        width: Columns.
        height: Rows.
        step: Bytes from one row to the next.
        encoding: A name from image_encodings.hpp.
        stamp_ns: Capture time in nanoseconds.
        is_bigendian: Whether 16 bit values have their high byte first.
        frame_id: Frame of the camera.
        tag: Handed back with the frame's result.
    """

    data: object
    width: int
    height: int
    step: int
    encoding: str
    stamp_ns: int
    is_bigendian: bool = False
    frame_id: str = ""
    tag: object = None

    def to_bgr(self) -> np.ndarray:
        """Reads the image, without a copy where it is BGR already.

        16 bit values are divided by 257, so that full scale stays full scale.

        Returns:
            (H, W, 3) uint8, BGR; its rows may be padded.

        Raises:
            ImageError: The encoding is unknown, or the sizes contradict each other.
        """
        encoding = ENCODINGS.get(self.encoding)
        if encoding is None:
            raise ImageError(
                f"images in encoding '{self.encoding}' cannot be read: let the camera send one of "
                f"{', '.join(ENCODINGS)}"
            )
        if self.width == 0 or self.height == 0:
            raise ImageError(f"an image of {self.width}x{self.height} pixels is empty")
        pixel = encoding.channels * encoding.depth
        if self.step < self.width * pixel:
            raise ImageError(
                f"an image's step of {self.step} bytes is too short for {self.width} pixels of "
                f"{self.encoding} ({self.width * pixel} bytes)"
            )
        values = np.frombuffer(self.data, np.uint8)
        if len(values) < self.step * self.height:
            raise ImageError(
                f"an image holds {len(values)} bytes, shorter than its {self.height} rows with a "
                f"step of {self.step} bytes ({self.step * self.height})"
            )
        rows = values[: self.step * self.height].reshape(self.height, self.step)
        image = rows[:, : self.width * pixel]
        if encoding.depth == 2:
            order = ">u2" if self.is_bigendian else "<u2"
            wide = np.ascontiguousarray(image).view(order).astype(np.uint16, copy=False)
            image = cv2.convertScaleAbs(wide, alpha=1 / 257)
        image = image.reshape(self.height, self.width, encoding.channels)
        if encoding.conversion is None:
            return image
        return cv2.cvtColor(image, encoding.conversion)
