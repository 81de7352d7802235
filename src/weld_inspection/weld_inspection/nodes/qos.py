"""Qualities of service of the topics.

Each name gives a fresh profile: rclpy writes a topic's `qos_overrides` into the profile that it is
handed, and one topic's must not reach another's.
"""

from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

_RELIABLE = QoSReliabilityPolicy.RELIABLE
_BEST_EFFORT = QoSReliabilityPolicy.BEST_EFFORT
_VOLATILE = QoSDurabilityPolicy.VOLATILE
_LATCHED = QoSDurabilityPolicy.TRANSIENT_LOCAL

IMAGE: QoSProfile
MASK: QoSProfile
REPORT: QoSProfile
CARRIAGE: QoSProfile
OVERLAY: QoSProfile
LATCHED: QoSProfile

# Keep the last so many, reliability, durability.
_PROFILES = {
    "IMAGE": (10, _RELIABLE, _VOLATILE),  # image_raw, camera_info
    "MASK": (20, _RELIABLE, _VOLATILE),  # defect_mask: two windows of ten
    "REPORT": (10, _RELIABLE, _VOLATILE),  # defects
    "CARRIAGE": (10, _RELIABLE, _VOLATILE),  # carriage_state
    "OVERLAY": (1, _BEST_EFFORT, _VOLATILE),  # overlay
    "LATCHED": (1, _RELIABLE, _LATCHED),  # detector_info, alarm, recording
}


def __getattr__(name: str) -> QoSProfile:
    """Makes the profile of that name."""
    if name not in _PROFILES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    depth, reliability, durability = _PROFILES[name]
    return QoSProfile(depth=depth, reliability=reliability, durability=durability)
