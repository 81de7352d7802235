"""A serialized message on its way into a bag."""

import struct
from dataclasses import dataclass

from weld_inspection.recording.errors import RecordingError
from weld_inspection.stamps import NANOSECONDS

# CDR: two bytes of representation (odd: little endian), two of options, then the message. Where the
# message starts with a std_msgs/Header, its stamp comes first: int32 sec, uint32 nanosec.
_STAMP_BEGIN = 4
_STAMP_END = 12


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message as it came over the wire.

    Attributes:
        topic: Fully qualified name of its topic.
        stamp_ns: Stamp of its header in nanoseconds; the time of arrival where it has none.
        received_ns: When it arrived, in nanoseconds of the node's clock; the log time in the bag.
        data: The bytes in CDR.
    """

    topic: str
    stamp_ns: int
    received_ns: int
    data: bytes


def header_stamp_ns(data: bytes) -> int:
    """Reads the header's stamp without decoding the message.

    Args:
        data: A message in CDR whose first field is a std_msgs/Header.

    Returns:
        The stamp in nanoseconds.

    Raises:
        RecordingError: The message is too short to hold a stamp.
    """
    if len(data) < _STAMP_END:
        raise RecordingError(f"a message of {len(data)} bytes has no header")
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack(f"{order}iI", data[_STAMP_BEGIN:_STAMP_END])
    return seconds * NANOSECONDS + nanoseconds


def with_stamp(data: bytes, stamp_ns: int) -> bytes:
    """Copies a message with another stamp in its header.

    Args:
        data: A message in CDR whose first field is a std_msgs/Header.
        stamp_ns: In nanoseconds.
    """
    order = "<" if data[1] & 1 else ">"
    stamp = struct.pack(f"{order}iI", *divmod(stamp_ns, NANOSECONDS))
    return data[:_STAMP_BEGIN] + stamp + data[_STAMP_END:]
