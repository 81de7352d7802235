"""rosbags' MCAP storage, made to stand a full disk and to copy no images."""

import struct
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2.enums import CompressionMode
from rosbags.rosbag2.storage_mcap import McapWriter, PendingChunk

from weld_inspection.recording.errors import StorageFullError
from weld_inspection.recording.steady_file import SteadyFile

# Records of the MCAP specification: https://mcap.dev/spec
_MESSAGE = 0x05
_CHUNK = 0x06
_MESSAGE_INDEX = 0x07
_RECORD = struct.Struct("<BQ")  # opcode, length
_MESSAGE_FIELDS = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_CHUNK_FIELDS = struct.Struct("<QQQIIQ")  # times, size, CRC, length of compression, records
_INDEX_FIELDS = struct.Struct("<HI")  # channel, bytes of entries
_ENTRY = struct.Struct("<QQ")  # log time, offset in the chunk
_CHUNK_INDEX = struct.Struct("<QQQQI")  # times, offset, length, bytes of the map of indexes
_CHUNK_INDEX_ENTRY = struct.Struct("<HQ")  # channel, offset of its message index
_CHUNK_INDEX_END = struct.Struct("<QIQQ")  # bytes of indexes, length of compression, sizes

# A message from this size on ends its chunk: it is written from where it lies in memory, and what
# is lost when the disk is full is never more than one image.
LARGE_MESSAGE = 64 * 1024
NO_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WrittenChunk:
    """A chunk that is complete in the file.

    Attributes:
        start_ns: Earliest log time.
        end_ns: Latest log time.
    """

    start_ns: int
    end_ns: int


class SteadyMcapWriter(McapWriter):
    """Writes an MCAP file that can always be finished with the chunks that are complete."""

    def __init__(self, path: Path, compression: CompressionMode) -> None:
        """Creates the file.

        Args:
            path: Folder of the bag.
            compression: Not used: images of a weld with its noise shrink too little for the time.
        """
        super().__init__(path, CompressionMode.NONE)
        self.bio.close()
        self.bio: SteadyFile = SteadyFile(self.path)
        self.written: list[WrittenChunk] = []
        self.lost: Counter[int] = Counter()  # messages by connection that the disk refused

    def write(self, connection: Connection, timestamp: int, data: bytes | memoryview) -> None:
        """Writes a message; a large one goes to the disk at once.

        Args:
            connection: Its connection.
            timestamp: Its log time in nanoseconds.
            data: The message in CDR.

        Raises:
            StorageFullError: The disk refused the chunk; it is lost, what was before it is not.
        """
        chunk = self.chunk
        self.channel_stats[connection.id] += 1
        chunk.message_start_time = min(timestamp, chunk.message_start_time)
        chunk.message_end_time = max(timestamp, chunk.message_end_time)
        chunk.msgs[connection.id].append((timestamp, chunk.bio.tell()))
        chunk.bio.write(_RECORD.pack(_MESSAGE, _MESSAGE_FIELDS.size + len(data)))
        chunk.bio.write(_MESSAGE_FIELDS.pack(connection.id, 0, timestamp, timestamp))
        if len(data) >= LARGE_MESSAGE:
            self._write_chunk(data)
        else:
            chunk.bio.write(data)
            if chunk.bio.tell() >= LARGE_MESSAGE:
                self._write_chunk()

    def close_chunk(self) -> None:
        """Writes the messages held back.

        Raises:
            StorageFullError: The disk refused them.
        """
        self._write_chunk()

    def close(self, version: int, metadata: str) -> None:
        """Writes the summary and closes the file; may be tried again when there is room.

        Args:
            version: Version of rosbag2's metadata.
            metadata: rosbag2's metadata, to be kept in the file too.

        Raises:
            OSError: The disk refused it.
        """
        end = self.bio.tell()
        self.message_start_time = min((chunk.start_ns for chunk in self.written), default=0)
        self.message_end_time = max((chunk.end_ns for chunk in self.written), default=0)
        bio = self.bio
        try:
            super().close(version, metadata)
        except OSError:
            with suppress(OSError):
                bio.cut(end)
            raise

    def _write_chunk(self, last: bytes | memoryview = b"") -> None:
        """Writes the pending chunk.

        Args:
            last: Data of the last message, where it is not in the chunk's buffer.
        """
        chunk = self.chunk
        self.chunk = PendingChunk(NO_TIME, 0, BytesIO(), defaultdict(list))
        start = self.bio.tell()
        records = chunk.bio.getbuffer()
        size = len(records) + len(last)
        times = (chunk.message_start_time, chunk.message_end_time)
        head = _RECORD.pack(_CHUNK, _CHUNK_FIELDS.size + size)
        head += _CHUNK_FIELDS.pack(*times, size, 0, 0, size)
        indexes = bytearray()
        offsets = bytearray()
        chunk_length = len(head) + size
        for channel, messages in chunk.msgs.items():
            offsets += _CHUNK_INDEX_ENTRY.pack(channel, start + chunk_length + len(indexes))
            entries = b"".join(_ENTRY.pack(*message) for message in messages)
            indexes += _RECORD.pack(_MESSAGE_INDEX, _INDEX_FIELDS.size + len(entries))
            indexes += _INDEX_FIELDS.pack(channel, len(entries)) + entries
        try:
            self.bio.write_parts([head, records, last, indexes])
        except OSError as error:
            with suppress(OSError):  # a disk that is gone; the bag cannot be finished then
                self.bio.cut(start)
            for channel, messages in chunk.msgs.items():
                self.channel_stats[channel] -= len(messages)
                self.lost[channel] += len(messages)
            raise StorageFullError(f"cannot write {self.path}: {error.strerror}") from error
        if chunk.msgs:
            self.written.append(WrittenChunk(*times))
        index = BytesIO()
        index.write(_CHUNK_INDEX.pack(*times, start, chunk_length, len(offsets)))
        index.write(offsets)
        index.write(_CHUNK_INDEX_END.pack(len(indexes), 0, size, size))
        self.chunks.append(index)
