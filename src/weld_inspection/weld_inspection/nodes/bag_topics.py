"""Topics of ROS as topics of a bag."""

from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

from weld_inspection.recording.topics import RecordedTopic, Role


def recorded_topic(name: str, message_type: type, role: Role, profile: QoSProfile) -> RecordedTopic:
    """Returns a topic as a bag has it.

    Args:
        name: Fully qualified.
        message_type: Class of its messages.
        role: How its messages are chosen.
        profile: Of its publisher.
    """
    package, _, _ = message_type.__module__.partition(".")
    return RecordedTopic(
        name=name,
        message_type=f"{package}/msg/{message_type.__name__}",
        role=role,
        reliable=profile.reliability == QoSReliabilityPolicy.RELIABLE,
        latched=profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL,
        depth=profile.depth,
    )
