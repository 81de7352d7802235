"""Camera images as the pipeline takes them, and its results as messages."""

import numpy as np
from builtin_interfaces.msg import Duration, Time
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from weld_inspection.inspection.camera_image import CameraImage
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import EngineInfo
from weld_inspection.inspection.inspector import WindowResult
from weld_inspection.inspection.regions import Region
from weld_inspection.stamps import NANOSECONDS, to_nanoseconds
from weld_interfaces.msg import DefectRegion, DefectReport, DetectorInfo

# What builtin_interfaces/Duration holds (s): a recording replayed by another clock may be older.
MAX_SECONDS = 2**31 - 1
TYPES = get_typestore(Stores.ROS2_JAZZY)


def to_time(stamp_ns: int) -> Time:
    """Returns nanoseconds as a message's stamp."""
    seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS)
    return Time(sec=seconds, nanosec=nanoseconds)


def to_duration(nanoseconds: int) -> Duration:
    """Returns nanoseconds as a message's duration, within what one holds."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return Duration(sec=max(-MAX_SECONDS, min(MAX_SECONDS, seconds)), nanosec=rest)


def to_camera_image(serialized: bytes) -> CameraImage:
    """Reads a serialized sensor_msgs/Image; its pixels are not copied.

    A subscription that deserializes costs 7 ms of processor time for an image of 1280x720, a raw
    one and this 2 ms.

    Args:
        serialized: What a raw subscription gives (CDR).
    """
    message = TYPES.deserialize_cdr(serialized, "sensor_msgs/msg/Image")
    stamp, frame_id = message.header.stamp, message.header.frame_id
    return CameraImage(
        data=message.data,
        width=message.width,
        height=message.height,
        step=message.step,
        encoding=message.encoding,
        stamp_ns=to_nanoseconds(stamp),
        is_bigendian=bool(message.is_bigendian),
        frame_id=frame_id,
        tag=Header(stamp=Time(sec=stamp.sec, nanosec=stamp.nanosec), frame_id=frame_id),
    )


def to_image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """Returns an array as an image.

    Args:
        pixels: (H, W) or (H, W, C) uint8.
        encoding: Its name in image_encodings.hpp.
        header: The image's header.
    """
    message = Image(header=header, encoding=encoding)
    message.height, message.width = pixels.shape[:2]
    message.step = message.width * (pixels.shape[2] if pixels.ndim == 3 else 1)
    # An array of bytes is taken over as it is; a list or bytes would be checked item by item.
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    return message


def to_info(
    info: EngineInfo, settings: DecisionSettings, *, stride: int, active: bool
) -> DetectorInfo:
    """Returns what inspects, and by which thresholds.

    Args:
        info: Of the engine.
        settings: The thresholds.
        stride: Frames from one window to the next.
        active: Whether it inspects now.
    """
    return DetectorInfo(
        model_id=info.model_id,
        architecture=info.architecture,
        backend=info.backend,
        backend_reason=info.reason,
        device=info.device,
        precision=info.precision,
        width=info.width,
        height=info.height,
        window=info.window,
        stride=stride,
        threshold=settings.threshold,
        pixel_threshold=settings.pixel_threshold,
        active=active,
    )


def to_report(
    result: WindowResult, *, sequence: int, weld_id: str, model_id: str, latency_ns: int
) -> DefectReport:
    """Returns a window's result as a report.

    Args:
        result: What the window came to; its tag is the header of its last frame.
        sequence: Number of the report since activation.
        weld_id: The weld worked on.
        model_id: The model's name and hash.
        latency_ns: Capture of the last frame to now in nanoseconds.
    """
    return DefectReport(
        header=result.tag,
        window_start=to_time(result.start_ns),
        window_end=to_time(result.end_ns),
        sequence=sequence,
        defective=result.defective,
        defect_pixels=result.defect_pixels,
        pixel_threshold=result.pixel_threshold,
        frame_defect_pixels=result.frame_defect_pixels,
        confidence=result.confidence,
        regions=[_to_region(region) for region in result.regions],
        frames_dropped=result.frames_dropped,
        latency=to_duration(latency_ns),
        weld_id=weld_id,
        model_id=model_id,
    )


def _to_region(region: Region) -> DefectRegion:
    """Returns a region as its message."""
    return DefectRegion(
        roi=RegionOfInterest(
            x_offset=region.x, y_offset=region.y, width=region.width, height=region.height
        ),
        area=region.area,
        confidence=region.confidence,
        track_id=region.track_id,
        seam_position=region.seam_position,
    )
