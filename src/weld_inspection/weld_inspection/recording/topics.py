"""The topics of a bag and how their messages are chosen for it."""

from dataclasses import dataclass
from enum import Enum, auto

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

# rmw's "infinite", as rosbag2 writes a deadline, lifespan or lease that nobody set.
_UNSET = QosTime(sec=9223372036, nsec=854775807)


class Role(Enum):
    """How it is decided which bag a message belongs to."""

    FRAME = auto()  # the camera's images: their header stamps are the clock of a recording
    STAMPED = auto()  # about a frame and stamped like it: camera_info, defect_mask, defects
    STATE = auto()  # stands until the next one: belongs with the frames that arrive around it


@dataclass(frozen=True, slots=True)
class RecordedTopic:
    """A topic that is recorded.

    Attributes:
        name: Fully qualified name, as it stands in the bag.
        message_type: Such as `sensor_msgs/msg/Image`.
        role: How its messages are chosen.
        reliable: Reliability of its publisher, best effort otherwise.
        latched: Transient local: `ros2 bag play` must offer it that way again.
        depth: Depth of its publisher's history.
    """

    name: str
    message_type: str
    role: Role
    reliable: bool = True
    latched: bool = False
    depth: int = 10

    @property
    def qos(self) -> Qos:
        """The publisher's profile as rosbag2's metadata has it."""
        return Qos(
            history=QosHistory.KEEP_LAST,
            depth=self.depth,
            reliability=QosReliability.RELIABLE if self.reliable else QosReliability.BEST_EFFORT,
            durability=QosDurability.TRANSIENT_LOCAL if self.latched else QosDurability.VOLATILE,
            deadline=_UNSET,
            lifespan=_UNSET,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=_UNSET,
            avoid_ros_namespace_conventions=False,
        )
