"""A rosbag2 bag (version 9, MCAP) on its way to the disk."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from weld_inspection.recording.definitions import DefinitionStore
from weld_inspection.recording.errors import NameTakenError, RecordingError, StorageFullError
from weld_inspection.recording.storage import SteadyMcapWriter
from weld_inspection.recording.topics import RecordedTopic

# Bags that are being written lie here, below the output folder, and are moved out when complete.
PARTIAL_FOLDER = "partial"
# What is known of a bag from its begin, for whoever finds it unfinished. It is locked while
# the bag is being written.
NOTE_FILE = "recording.json"
RESERVE_FILE = "reserve"
# Set aside on the disk to finish a bag on a full one: a summary needs about 300 bytes a frame
# (512 kB for a minute at 20 frames a second with all topics), the metadata 10 kB.
RESERVE_BYTES = 1024**2


class _BagWriter(Writer):
    """rosbags' writer on the storage that stands a full disk."""

    STORAGE_PLUGINS = {StoragePlugin.MCAP: SteadyMcapWriter}

    def settle_counts(self) -> None:
        """Takes back the messages that the disk refused."""
        assert isinstance(self.storage, SteadyMcapWriter)
        for connection, count in self.storage.lost.items():
            self.counts[connection] -= count
        self.storage.lost.clear()
        self.min_timestamp = min((chunk.start_ns for chunk in self.storage.written), default=0)
        self.max_timestamp = max((chunk.end_ns for chunk in self.storage.written), default=0)


class BagFile:
    """A bag under its temporary name, until it is closed and moved to its final one."""

    def __init__(
        self,
        folder: Path,
        name: str,
        topics: Iterable[RecordedTopic],
        definitions: DefinitionStore,
        note: Mapping[str, str],
    ) -> None:
        """Creates the bag with all its topics, whether or not a message will come on each.

        Args:
            folder: The output folder.
            name: Name of the bag in it.
            topics: Topics of the bag.
            definitions: Knows the topics' types.
            note: What is known of the bag by now, kept beside it until it is closed.

        Raises:
            NameTakenError: There is a bag of that name; it is left alone.
            RecordingError: The bag cannot be created there.
        """
        self.name = name
        self.path = folder / name
        self._partial = folder / PARTIAL_FOLDER / name
        self._connections: dict[str, Connection] = {}
        self._note: TextIO | None = None
        try:
            self._writer = _BagWriter(self._partial, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except WriterError as error:
            raise NameTakenError(f"{self._partial} is there already") from error
        except OSError as error:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise RecordingError(f"cannot begin a bag in {folder}: {error.strerror}") from error
        # Asked after the temporary name is held: whoever had that before has moved the bag by now.
        if self.path.exists():
            self.discard()
            raise NameTakenError(f"{self.path} is there already")
        try:
            self._keep_note(note)
            self._set_reserve_aside()
            for topic in topics:
                known = definitions.definition(topic.message_type)
                self._connections[topic.name] = self._writer.add_connection(
                    topic.name,
                    topic.message_type,
                    msgdef=known.text,
                    rihs01=known.type_hash,
                    offered_qos_profiles=[topic.qos],
                )
        except (OSError, WriterError) as error:
            self.discard()
            text = error.strerror if isinstance(error, OSError) else str(error)
            raise RecordingError(f"cannot begin a bag in {folder}: {text}") from error

    @property
    def bytes_written(self) -> int:
        """Bytes on the disk by now."""
        return self._storage.bio.tell()

    def count(self, topic: str) -> int:
        """Messages of a topic that were written, those not yet on the disk included."""
        return self._writer.counts[self._connections[topic].id]

    def write(self, topic: str, log_time_ns: int, data: bytes) -> None:
        """Writes a message.

        Args:
            topic: One of the bag's topics.
            log_time_ns: When it arrived, in nanoseconds.
            data: The message in CDR.

        Raises:
            StorageFullError: The disk refused it, and small messages before it, perhaps. The bag
                can be closed; what it had before is readable.
        """
        try:
            self._writer.write(self._connections[topic], log_time_ns, data)
        except StorageFullError:
            self._writer.counts[self._connections[topic].id] += 1  # settled with the lost ones
            self._writer.settle_counts()
            raise

    def close(self, custom_data: Mapping[str, str]) -> Path | None:
        """Finishes the bag and moves it to its final name.

        Args:
            custom_data: What metadata.yaml says of the bag.

        Returns:
            Its path; None where it holds no message, and nothing is left of it.

        Raises:
            RecordingError: It cannot be finished; it stays under its temporary name.
        """
        try:
            (self._partial / RESERVE_FILE).unlink(missing_ok=True)
            with suppress(StorageFullError):
                self._storage.close_chunk()
            self._writer.settle_counts()
            if not sum(self._writer.counts.values()):
                self.discard()
                return None
            for key, value in custom_data.items():
                self._writer.set_custom_data(key, value)
            self._storage.bio.sync()
            self._writer.close()
            (self._partial / NOTE_FILE).unlink()
            for item in (*self._partial.iterdir(), self._partial):
                _sync(item)
            self._partial.rename(self.path)
            _sync(self.path.parent)
        except (OSError, StorageFullError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            raise RecordingError(f"cannot finish {self._partial}: {text}") from error
        finally:
            self._let_go()
        return self.path

    def discard(self) -> None:
        """Removes a bag that holds no message."""
        self._writer.abort()
        self._let_go()
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def _storage(self) -> SteadyMcapWriter:
        assert isinstance(self._writer.storage, SteadyMcapWriter)
        return self._writer.storage

    def _keep_note(self, note: Mapping[str, str]) -> None:
        """Writes the note, and locks it for as long as the bag is being written."""
        self._note = (self._partial / NOTE_FILE).open("w", encoding="utf-8")
        json.dump(dict(note), self._note)
        self._note.flush()
        fcntl.flock(self._note, fcntl.LOCK_EX)

    def _let_go(self) -> None:
        if self._note is not None:
            with suppress(OSError):  # what it could not write is of no use any more
                self._note.close()

    def _set_reserve_aside(self) -> None:
        with (self._partial / RESERVE_FILE).open("wb") as reserve:
            os.posix_fallocate(reserve.fileno(), 0, RESERVE_BYTES)


def _sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
