"""Frames and calibrations to messages."""

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from weld_inspection.camera.calibration import Calibration
from weld_inspection.camera.frame import Frame
from weld_inspection.stamps import NANOSECONDS


def to_header(stamp_ns: int, frame_id: str) -> Header:
    """Makes a header of a stamp in nanoseconds."""
    seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


class ImageMessages:
    """Makes image_raw messages of frames, one after another in the same memory.

    Fresh memory for each of twenty images a second would cost page faults and leave holes in the
    heap.
    """

    def __init__(self) -> None:
        """Holds no memory yet."""
        # rclpy takes an array of bytes as it is; anything else it checks and converts byte by byte.
        self._data = array("B")

    def of(self, frame: Frame, header: Header) -> Image:
        """Makes the message of a frame; costs one copy of its bytes.

        Returns:
            The message, which holds the frame until the next call: publish it before.
        """
        height, width, channels = frame.image.shape
        if len(self._data) != frame.image.nbytes:
            self._data = array("B", bytes(frame.image.nbytes))
        np.frombuffer(self._data, np.uint8).reshape(frame.image.shape)[...] = frame.image
        message = Image(
            header=header, height=height, width=width, encoding="bgr8", step=channels * width
        )
        message.data = self._data
        return message


def to_camera_info(calibration: Calibration, header: Header) -> CameraInfo:
    """Makes a camera_info message of a calibration."""
    return CameraInfo(
        header=header,
        height=calibration.height,
        width=calibration.width,
        distortion_model=calibration.distortion_model,
        d=calibration.d,
        k=calibration.k,
        r=calibration.r,
        p=calibration.p,
    )
