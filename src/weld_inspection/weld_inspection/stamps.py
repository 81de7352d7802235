"""Stamps as whole nanoseconds, which compare and subtract exactly."""

from typing import Protocol

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second."""


class Stamp(Protocol):
    """A builtin_interfaces/Time or Duration, of rclpy or of a bag reader."""

    sec: int
    nanosec: int


def to_nanoseconds(stamp: Stamp) -> int:
    """Returns a message's stamp in nanoseconds."""
    return stamp.sec * NANOSECONDS + stamp.nanosec
