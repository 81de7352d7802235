"""Bags as a reader sees them that shares no code with the writer."""

from pathlib import Path
from typing import Any

import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory


def read_messages(bag: Path) -> list[tuple[str, int, Any]]:
    """Decodes every message of a bag, by the definitions that the bag itself carries.

    Args:
        bag: Folder of the bag, with one MCAP file.

    Returns:
        Topic, log time in nanoseconds and message, by the log time.
    """
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        return [
            (channel.topic, message.log_time, decoded)
            for _, channel, message, decoded in reader.iter_decoded_messages()
        ]


def read_metadata(bag: Path) -> dict[str, Any]:
    """What metadata.yaml says of a bag."""
    content = yaml.safe_load((bag / "metadata.yaml").read_text(encoding="utf-8"))
    return content["rosbag2_bagfile_information"]
