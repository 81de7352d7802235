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


def find_recorded_model(bag: Path, images: str, folder: Path) -> tuple[str, Path | None]:
    """Looks up what the first `detector_info` of a bag's detector names.

    That is the one beside the images, or else the only one there is.

    Args:
        bag: A rosbag2 folder or .mcap file.
        images: The topic of the images.
        folder: Where the shipped models are.

    Returns:
        The model_id, empty where the bag does not tell, and that model's file; None where none of
        the shipped ones is that one.

    Raises:
        CameraError: What there is cannot be read.
    """
    try:
        with Reader(bag) as reader:
            chosen = [item for item in reader.connections if item.msgtype == INFO_TYPE]
            beside = [item for item in chosen if _namespace(item.topic) == _namespace(images)]
            if not beside and len({item.topic for item in chosen}) > 1:
                return "", None
            messages = reader.messages(connections=beside or chosen) if chosen else iter(())
            model_id = next(
                (
                    deserialize_message(bytes(data), DetectorInfo).model_id
                    for _, _, data in messages
                ),
                "",
            )
    except DAMAGE as error:
        raise CameraError(f"detector_info of bag {bag} cannot be read: {error}") from error
    same = (path for path in folder.glob(f"*{SUFFIX}") if model_id_of(path) == model_id)
    return model_id, next(same, None)


def _namespace(topic: str) -> str:
    return topic.rpartition("/")[0]
