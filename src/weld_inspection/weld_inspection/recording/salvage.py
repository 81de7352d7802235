"""Bags that a crash left unfinished."""

import fcntl
import json
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, McapRecord, Message
from mcap.stream_reader import StreamReader, breakup_chunk

from weld_inspection.recording.bag_file import NOTE_FILE, PARTIAL_FOLDER, BagFile
from weld_inspection.recording.definitions import DefinitionStore
from weld_inspection.recording.errors import RecordingError
from weld_inspection.recording.topics import RecordedTopic

SUFFIX = "-salvaged"


def unfinished_bags(folder: Path) -> list[Path]:
    """Bags in an output folder that were never closed."""
    partial = folder / PARTIAL_FOLDER
    if not partial.is_dir():
        return []
    bags = {path.name: path for path in partial.iterdir() if path.is_dir()}
    copies = {f"{name}{SUFFIX}" for name in bags}
    return [bags[name] for name in sorted(bags.keys() - copies)]


def salvage(
    leftover: Path,
    topics: Iterable[RecordedTopic],
    definitions: DefinitionStore,
    go_on: Callable[[], bool] = lambda: True,
) -> tuple[Path | None, int]:
    """Copies what is readable of an unfinished bag into a finished one; then removes the rest.

    Args:
        leftover: Folder of the unfinished bag.
        topics: Topics that the bag may have; others are not expected in it.
        definitions: Knows the topics' types.
        go_on: Asked before each message; where it says no, all is left as it was.

    Returns:
        The finished bag, None where nothing was in it, and the number of its messages.

    Raises:
        RecordingError: It cannot be salvaged, as on a full disk, or another recorder is writing it;
            or it was not to go on; it stays where it is.
    """
    if _is_being_written(leftover):
        raise RecordingError("another recorder is writing it")
    # Of an earlier attempt that was cut off itself; the original is still here.
    shutil.rmtree(leftover.with_name(leftover.name + SUFFIX), ignore_errors=True)
    known = {topic.name: topic for topic in topics}
    files = sorted(leftover.glob("*.mcap"))
    note = _note(leftover)
    bag = BagFile(leftover.parent.parent, leftover.name + SUFFIX, known.values(), definitions, note)
    count = 0
    try:
        for file in files:
            for topic, message in _messages(file):
                if topic not in known:
                    raise RecordingError(f"{file} has a topic that is not recorded here: {topic}")
                if not go_on():
                    raise RecordingError("the recorder ended; its next start begins anew with it")
                bag.write(topic, message.log_time, message.data)
                count += 1
    except RecordingError:
        bag.discard()
        raise
    path = bag.close(note | {"salvaged": "true"})
    try:
        shutil.rmtree(leftover)
    except OSError as error:
        raise RecordingError(
            f"it was salvaged to {path}, but cannot be removed: {error.strerror}"
        ) from error
    return path, count


def _is_being_written(bag: Path) -> bool:
    """Whether a living recorder holds the bag."""
    try:
        with (bag / NOTE_FILE).open() as note:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no note: the recorder died before it wrote it, or while it finished the bag
    return False


def _note(leftover: Path) -> dict[str, str]:
    """What was noted of the bag when it was begun."""
    try:
        note = json.loads((leftover / NOTE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in note.items()} if isinstance(note, dict) else {}


def _messages(file: Path) -> Iterator[tuple[str, Message]]:
    """Reads a file from its begin, as far as it is whole."""
    channels: dict[int, Channel] = {}
    for record in _records(file):
        if isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message) and record.channel_id in channels:
            yield channels[record.channel_id].topic, record


def _records(file: Path) -> Iterator[McapRecord]:
    try:
        with file.open("rb") as stream:
            for record in StreamReader(stream, emit_chunks=True).records:
                if isinstance(record, Chunk):
                    # The reader hands out what there is of a chunk that was cut off.
                    if len(record.data) < record.uncompressed_size:
                        return
                    yield from breakup_chunk(record)
    except (McapError, struct.error, ValueError):
        return  # here it was cut off, or a power failure left something else
    except OSError as error:
        raise RecordingError(f"cannot read {file}: {error.strerror}") from error
