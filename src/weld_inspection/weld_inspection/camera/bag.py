"""A rosbag2 bag as a recording."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import median

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError
from weld_inspection.inspection.camera_image import CameraImage, ImageError
from weld_inspection.recording.message import header_stamp_ns
from weld_inspection.stamps import NANOSECONDS, to_nanoseconds

IMAGE_TYPE = "sensor_msgs/msg/Image"
DEFAULT_TOPIC_ENDING = "image_raw"
LAST_IMAGES_NS = 2_000_000_000  # the last image lies in the last of a bag, as a rule
RATE_SAMPLES = 11  # messages from whose stamps the frame rate is taken
# What a reader raises on a bag that is absent, damaged or of another format: its own errors and
# those of the files, of SQLite, of decompression and of unpacking, which have nothing in common.
DAMAGE = Exception


@cache
def _typestore() -> Typestore:
    """The messages of ROS 2 Jazzy; Image is the same in every release of ROS 2."""
    return get_typestore(Stores.ROS2_JAZZY)


class Bag(Recording):
    """The images of one topic of a bag, with the stamps in their headers.

    The topic's type is all that is read of the bag, so messages of unknown types do no harm.
    """

    def __init__(self, path: Path, topic: str = "") -> None:
        """Opens a bag and reads its first images.

        Args:
            path: Folder with metadata.yaml, or an .mcap or .db3 file.
            topic: Topic of images. If empty, the one whose name ends in image_raw, or the only
                one there is.

        Raises:
            CameraError: There is no such bag, it is damaged, has no such topic, or its images
                cannot be read.
        """
        self.name = str(path)
        if not path.exists():
            raise CameraError(f"bag {path} does not exist: give a rosbag2 folder or .mcap file")
        if path.is_dir() and not (path / "metadata.yaml").is_file():
            raise CameraError(f"{path} is no bag: it has no metadata.yaml")
        try:
            self._reader = Reader(path)
            self._reader.open()
        except DAMAGE as error:
            raise CameraError(f"bag {path} cannot be opened: {error}") from error
        self._open = True
        try:
            self._connections = self._choose(topic)
            self.topic = self._connections[0].topic
            self.frame_count = sum(item.msgcount for item in self._connections) or None
            self.frame_rate = self._measure_rate()
            self.rewind()
            first = self.read()
            if first is None:
                raise CameraError(f"bag {path} holds no messages of {self.topic}")
        except CameraError:
            self.close()
            raise
        self.height, self.width = first.image.shape[:2]
        self.rewind()

    def read(self) -> RecordedImage | None:
        """See Recording; any encoding that the detector takes becomes BGR of 8 bits."""
        unreadable: list[ImageError] = []
        while (image := self._next_message()) is not None:
            try:
                return RecordedImage(image.to_bgr(), image.stamp_ns, len(unreadable))
            except ImageError as error:  # live it costs this image alone, and so it does here
                unreadable.append(error)
        if unreadable:
            raise CameraError(f"bag {self.name}, topic {self.topic}: {unreadable[-1]}")
        return None

    def rewind(self) -> None:
        """See Recording."""
        self._messages: Iterator[tuple[Connection, int, bytes]] = self._reader.messages(
            connections=self._connections
        )

    def span_ns(self) -> tuple[int, int]:
        """Tells what a pass of `Playback` takes.

        Returns:
            The first image's stamp, and the time from it to that of the next pass, nanoseconds.

        Raises:
            CameraError: The bag is damaged, or does not say its frame rate.
        """
        if not self.frame_rate:
            raise CameraError(f"bag {self.name} does not say its frame rate, and so not its end")
        try:
            messages = self._reader.messages(connections=self._connections)
            first = header_stamp_ns(bytes(next(messages)[2]))
            # All of a bag need not be read to find its last image.
            late = self._reader.end_time - LAST_IMAGES_NS
            last = first
            for start in (late, None):
                for _, _, data in self._reader.messages(connections=self._connections, start=start):
                    last = header_stamp_ns(bytes(data))
                if last != first:
                    break
        except DAMAGE as error:
            raise CameraError(f"bag {self.name} is damaged: {error}") from error
        return first, last - first + round(NANOSECONDS / self.frame_rate)

    def close(self) -> None:
        """See Recording."""
        if self._open:
            self._open = False
            self._reader.close()

    def _choose(self, topic: str) -> list[Connection]:
        """Returns the connections of the topic to play."""
        images = [item for item in self._reader.connections if item.msgtype == IMAGE_TYPE]
        topics = sorted({item.topic for item in images})
        if not topics:
            raise CameraError(
                f"bag {self.name} holds no images: none of its "
                f"{len(self._reader.connections)} topics is a {IMAGE_TYPE}"
            )
        if topic:
            candidates = [name for name in topics if name == topic]
        else:
            endings = [name for name in topics if name.endswith(DEFAULT_TOPIC_ENDING)]
            candidates = endings or topics
        if not candidates:
            raise CameraError(
                f"bag {self.name} holds no images on {topic}: give one of {', '.join(topics)}"
            )
        if len(candidates) > 1:
            raise CameraError(
                f"bag {self.name} holds images on several topics: give one of {', '.join(topics)}"
            )
        return [item for item in images if item.topic == candidates[0]]

    def _measure_rate(self) -> float:
        """Returns frames a second by the median step between the first stamps; 0 if unknown."""
        self.rewind()
        stamps: list[int] = []
        with suppress(CameraError):  # those before damage are played all the same
            while len(stamps) < RATE_SAMPLES and (image := self._next_message()) is not None:
                stamps.append(image.stamp_ns)
        steps = [b - a for a, b in zip(stamps, stamps[1:], strict=False) if b > a]
        if not steps:
            return 0.0
        return NANOSECONDS / median(steps)

    def _next_message(self) -> CameraImage | None:
        try:
            connection, _, data = next(self._messages)
            message = _typestore().deserialize_cdr(data, connection.msgtype)
        except StopIteration:
            return None
        except DAMAGE as error:
            raise CameraError(f"bag {self.name} is damaged: {error}") from error
        return CameraImage(
            data=message.data,
            width=message.width,
            height=message.height,
            step=message.step,
            encoding=message.encoding,
            stamp_ns=to_nanoseconds(message.header.stamp),
            is_bigendian=bool(message.is_bigendian),
        )
