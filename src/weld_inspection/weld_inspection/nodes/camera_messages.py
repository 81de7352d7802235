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


def to_image(frame: Frame, header: Header) -> Image:
    """Makes an image_raw message of a frame; costs one copy of its bytes."""
    height, width, channels = frame.image.shape
    # rclpy takes an array of bytes as it is; anything else it checks and converts byte by byte.
    data = array("B")
    data.frombytes(np.ascontiguousarray(frame.image).data)
    message = Image(
        header=header, height=height, width=width, encoding="bgr8", step=channels * width
    )
    message.data = data
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
