"""Topics and messages for the tests of the bags."""

from functools import cache
from pathlib import Path

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from weld_inspection.recording.definitions import DefinitionStore
from weld_inspection.recording.topics import RecordedTopic, Role

INTERFACES = Path(__file__).resolve().parents[3] / "weld_interfaces"
BYTES = 3000  # of an image

TOPICS = [
    RecordedTopic("/weld/image_raw", "sensor_msgs/msg/Image", Role.FRAME),
    RecordedTopic("/weld/camera_info", "sensor_msgs/msg/CameraInfo", Role.STAMPED),
    RecordedTopic("/weld/defect_mask", "sensor_msgs/msg/Image", Role.STAMPED, depth=20),
    RecordedTopic("/weld/defects", "weld_interfaces/msg/DefectReport", Role.STAMPED),
    RecordedTopic(
        "/weld/detector_info",
        "weld_interfaces/msg/DetectorInfo",
        Role.STATE,
        latched=True,
        depth=1,
    ),
    RecordedTopic(
        "/weld/alarm", "weld_interfaces/msg/AlarmState", Role.STATE, latched=True, depth=1
    ),
    RecordedTopic("/weld/carriage_state", "weld_interfaces/msg/CarriageState", Role.STATE),
]


@cache
def definitions() -> DefinitionStore:
    return DefinitionStore([INTERFACES])


@cache
def types():
    store = get_typestore(Stores.ROS2_JAZZY)
    found = {}
    for file in (INTERFACES / "msg").glob("*.msg"):
        found.update(get_types_from_msg(file.read_text(), f"weld_interfaces/msg/{file.stem}"))
    store.register(found)
    return store


def header(stamp_ns: int):
    known = types().types
    stamp = known["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return known["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")


def image(stamp_ns: int, size: int = BYTES) -> bytes:
    data = np.full(size, 7, np.uint8)
    message = types().types["sensor_msgs/msg/Image"](
        header(stamp_ns), 1, size // 3, "bgr8", 0, size // 3 * 3, data
    )
    return bytes(types().serialize_cdr(message, "sensor_msgs/msg/Image"))


def report(stamp_ns: int, weld_id: str = "") -> bytes:
    known = types().types
    roi = known["sensor_msgs/msg/RegionOfInterest"](1, 2, 3, 4, False)
    region = known["weld_interfaces/msg/DefectRegion"](
        roi=roi, area=12, confidence=0.5, track_id=1, seam_position=0.1
    )
    head = header(stamp_ns)
    message = known["weld_interfaces/msg/DefectReport"](
        header=head,
        window_start=head.stamp,
        window_end=head.stamp,
        sequence=0,
        defective=True,
        defect_pixels=2000,
        pixel_threshold=1000,
        frame_defect_pixels=np.array([200] * 10, np.uint32),
        confidence=0.9,
        regions=[region],
        frames_dropped=0,
        latency=known["builtin_interfaces/msg/Duration"](0, 1),
        weld_id=weld_id,
        model_id="m",
    )
    return bytes(types().serialize_cdr(message, "weld_interfaces/msg/DefectReport"))
