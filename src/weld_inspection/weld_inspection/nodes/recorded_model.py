"""The model that a recorded weld was inspected with live."""

from pathlib import Path

from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

from weld_inspection.camera.bag import DAMAGE
from weld_inspection.camera.source import CameraError
from weld_inspection.inspection.model_choice import SUFFIX
from weld_inspection.networks.weights import model_id_of
from weld_interfaces.msg import DetectorInfo

INFO_TYPE = "weld_interfaces/msg/DetectorInfo"


def find_recorded_model(bag: Path, folder: Path) -> tuple[str, Path | None]:
    """Looks up what a bag's first `detector_info` names.

    Args:
        bag: A rosbag2 folder or .mcap file.
        folder: Where the shipped models are.

    Returns:
        The model_id, empty where the bag does not tell, and that model's file; None where none of
        the shipped ones is that one.

    Raises:
        CameraError: The bag cannot be read.
    """
    try:
        with Reader(bag) as reader:
            chosen = [item for item in reader.connections if item.msgtype == INFO_TYPE]
            messages = reader.messages(connections=chosen) if chosen else iter(())
            first = next((bytes(data) for _, _, data in messages), None)
    except DAMAGE as error:
        raise CameraError(f"bag {bag} cannot be read: {error}") from error
    if first is None:
        return "", None
    model_id = deserialize_message(first, DetectorInfo).model_id
    same = (path for path in folder.glob(f"*{SUFFIX}") if model_id_of(path) == model_id)
    return model_id, next(same, None)
