"""The thread that writes the bags.

Whoever submits never waits: what the disk cannot keep up with is dropped, counted and said.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

from weld_inspection.recording.bag_file import PARTIAL_FOLDER, BagFile
from weld_inspection.recording.bag_plan import (
    Action,
    BagContext,
    BagSummary,
    CloseBag,
    OpenBag,
    WriteMessages,
)
from weld_inspection.recording.definitions import DefinitionStore
from weld_inspection.recording.disk import DiskBudget, folder_size
from weld_inspection.recording.errors import NameTakenError, RecordingError
from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.names import bag_name, next_sequence
from weld_inspection.recording.salvage import salvage, unfinished_bags
from weld_inspection.recording.topics import RecordedTopic, Role

# How long closing waits for what is being salvaged (s); a rest of minutes is left for later.
SALVAGE_PATIENCE = 5.0

# How often (s) it is looked whether there is room again, while the disk budget allows no bag.
LOOK_PERIOD = 3.0


class Severity(Enum):
    """How a word of the writer's is meant."""

    INFO = auto()
    WARNING = auto()
    ERROR = auto()


@dataclass(slots=True)
class WriterStatus:
    """What the writer did and does.

    Attributes:
        bag: Path of the bag being written, or of the last one; empty before the first.
        writing: A bag is being written.
        bags: Bags that were closed.
        frames: Images written.
        frames_dropped: Images that belonged into a bag and are not in it.
        messages_dropped: The same for all messages.
        queued_bytes: Bytes that wait to be written.
        bytes_used: Bytes in the output folder.
        failure: What went wrong last with the disk; empty again when a bag could be begun, or
            when there is room again.
    """

    bag: str = ""
    writing: bool = False
    bags: int = 0
    frames: int = 0
    frames_dropped: int = 0
    messages_dropped: int = 0
    queued_bytes: int = 0
    bytes_used: int = 0
    failure: str = ""


@dataclass(slots=True)
class _OpenFile:
    """A bag that is being written, and what it says of itself."""

    file: BagFile
    note: dict[str, str]
    frames: int = 0


@dataclass(slots=True)
class _Queue:
    """What was submitted and not yet done; None for what is to be measured."""

    actions: deque[Action | None] = field(default_factory=deque)
    bytes: int = 0
    closed: bool = False


class BagWriter:
    """Does what the event logic wants, in the order in which it wants it.

    Whatever goes wrong with a bag costs that bag: it is said, and the next one is begun as if
    nothing had been. What a crash left unfinished is taken care of beside it, by a thread of its
    own: gigabytes are copied, and no event shall wait for that.
    """

    def __init__(
        self,
        folder: Path,
        topics: Sequence[RecordedTopic],
        definitions: DefinitionStore,
        budget: DiskBudget,
        queue_bytes: int,
        say: Callable[[Severity, str], None],
    ) -> None:
        """Prepares; `start` begins.

        Args:
            folder: The output folder.
            topics: Topics of the bags.
            definitions: Knows the topics' types.
            budget: Says when no more may be written.
            queue_bytes: Most bytes of messages that wait to be written.
            say: Called from the writer's threads when a bag is begun or finished, or when
                something goes wrong.
        """
        self._folder = folder
        self._topics = list(topics)
        self._frame_topics = {topic.name for topic in topics if topic.role is Role.FRAME}
        self._definitions = definitions
        self._budget = budget
        self._queue_bytes = queue_bytes
        self._say = say
        self._queue = _Queue()
        self._changed = threading.Condition()
        self._status = WriterStatus(bytes_used=budget.bytes_used)
        self._files: dict[int, _OpenFile] = {}
        self._sequence = next_sequence(folder)
        self._refused = False
        self._look_at = 0.0  # on the monotonic clock
        self._thread = threading.Thread(target=self._run, name="bag_writer", daemon=True)
        self._leftovers = unfinished_bags(folder)
        self._salvaging = threading.Thread(target=self._salvage, name="bag_salvage", daemon=True)
        self._ending = threading.Event()

    def start(self) -> None:
        """Starts the threads."""
        self._thread.start()
        self._salvaging.start()

    def submit(self, actions: Sequence[Action]) -> None:
        """Hands actions over; never waits.

        Messages for which there is no room are dropped and counted; bags are begun and finished
        all the same.
        """
        if not actions:
            return
        with self._changed:
            for action in actions:
                if isinstance(action, WriteMessages):
                    action = WriteMessages(action.number, self._fitting(action.messages))
                    if not action.messages:
                        continue  # a disk that hangs for hours must not fill the queue with these
                self._queue.actions.append(action)
            self._changed.notify()

    def status(self) -> WriterStatus:
        """What the writer did and does, as of now."""
        with self._changed:
            return replace(self._status, queued_bytes=self._queue.bytes)

    def refusal(self) -> str:
        """Why the disk budget allows no bag now, empty where it does."""
        return self._budget.refusal()

    def close(self) -> None:
        """Does what is still to be done, closes what is open and ends the threads."""
        if self._salvaging.is_alive():
            self._salvaging.join(SALVAGE_PATIENCE)
            self._ending.set()
            self._salvaging.join()
        with self._changed:
            self._queue.closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    # Under the lock, in the submitting thread.

    def _fitting(self, messages: Sequence[RecordedMessage]) -> list[RecordedMessage]:
        """Keeps the messages for which there is room in the queue."""
        kept: list[RecordedMessage] = []
        for message in messages:
            if self._queue.bytes + len(message.data) > self._queue_bytes:
                self._count_dropped(message)
            else:
                self._queue.bytes += len(message.data)
                kept.append(message)
        return kept

    def _count_dropped(self, message: RecordedMessage) -> None:
        self._status.messages_dropped += 1
        self._status.frames_dropped += message.topic in self._frame_topics

    # In the writer's thread.

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._queue.actions or self._queue.closed, LOOK_PERIOD
                )
                if self._queue.closed and not self._queue.actions:
                    break
                actions = [self._queue.actions.popleft()] if self._queue.actions else []
            for action in actions:
                self._do(action)
            self._look_for_room()
        for number in list(self._files):
            self._finish(number, {})

    def _do(self, action: Action | None) -> None:
        if isinstance(action, OpenBag):
            self._open(action)
        elif isinstance(action, WriteMessages):
            for message in action.messages:
                self._write(action.number, message)
        elif isinstance(action, CloseBag):
            self._close(action.number, action.summary)
        else:
            self._measure()

    def _look_for_room(self) -> None:
        """Lets the budget see now and then that bags were moved away, while it refuses."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_PERIOD
            self._refusal()

    def _refusal(self) -> str:
        """Why nothing may be written now, empty where it may; measures before it says no."""
        reason = self._budget.refusal(self._open_bytes())
        if reason:
            self._measure()
            reason = self._budget.refusal(self._open_bytes())
        if self._refused and not reason:
            with self._changed:
                self._status.failure = ""
        self._refused = bool(reason)
        return reason

    def _open(self, action: OpenBag) -> None:
        note = _context_data(action.context) | {"cause": ", ".join(action.causes)}
        try:
            reason = self._refusal()
            if reason:
                raise RecordingError(reason)
            file = self._begin(action, note)
        except Exception as error:
            self._fail(f"an event ({note['cause']}) is not recorded: {_reason(error)}")
            return
        self._files[action.number] = _OpenFile(file, note)
        with self._changed:
            self._status.bag = str(file.path)
            self._status.writing = True
            self._status.failure = ""
        self._say(Severity.INFO, f"recording {file.name}: {note['cause']}")

    def _begin(self, action: OpenBag, note: dict[str, str]) -> BagFile:
        """Begins a bag with the next number that is free: other recorders may share the folder."""
        while True:
            name = bag_name(action.received_ns, action.context.weld_id, self._sequence)
            try:
                file = BagFile(self._folder, name, self._topics, self._definitions, note)
            except NameTakenError:
                self._sequence += 1
                continue
            self._sequence += 1
            return file

    def _write(self, number: int, message: RecordedMessage) -> None:
        open_file = self._files.get(number)
        is_frame = message.topic in self._frame_topics
        trouble = ""
        if open_file is not None:
            try:
                trouble = self._refusal() if is_frame else ""
                if not trouble:
                    open_file.file.write(message.topic, message.received_ns, message.data)
            except Exception as error:
                trouble = _reason(error)
        with self._changed:
            self._queue.bytes -= len(message.data)
            if open_file is None or trouble:
                self._count_dropped(message)
            else:
                open_file.frames += is_frame
                self._status.frames += is_frame
            if is_frame:
                self._status.bytes_used = self._budget.bytes_used + self._open_bytes()
        if trouble:
            self._fail(f"{open_file.file.name} ends early: {trouble}")
            self._finish(number, {"truncated": trouble})

    def _close(self, number: int, summary: BagSummary) -> None:
        if number in self._files:
            self._finish(number, _summary_data(summary))

    def _finish(self, number: int, custom_data: dict[str, str]) -> None:
        """Closes a bag; what still comes for it is dropped and counted."""
        open_file = self._files.pop(number)
        size = open_file.file.bytes_written
        try:
            path = open_file.file.close(open_file.note | custom_data)
        except Exception as error:
            path = None
            self._fail(_reason(error))
        # Small images wait for their chunk; a full disk may have refused them after all.
        lost = open_file.frames - sum(open_file.file.count(topic) for topic in self._frame_topics)
        self._measure()
        with self._changed:
            self._status.frames -= lost
            self._status.frames_dropped += lost
            self._status.messages_dropped += lost
            self._status.bags += path is not None
            self._status.writing = bool(self._files)
        if path is not None:
            self._say(Severity.INFO, f"recorded {path} ({size / 1e6:.1f} MB)")

    def _fail(self, reason: str) -> None:
        with self._changed:
            self._status.failure = reason
        self._say(Severity.ERROR, reason)

    def _open_bytes(self) -> int:
        return sum(open_file.file.bytes_written for open_file in self._files.values())

    def _measure(self) -> None:
        partial = self._folder / PARTIAL_FOLDER
        self._budget.measure([partial / open_file.file.name for open_file in self._files.values()])
        used = self._budget.bytes_used + self._open_bytes()
        with self._changed:
            self._status.bytes_used = used

    # In the thread that salvages.

    def _salvage(self) -> None:
        for leftover in self._leftovers:
            try:
                # The copy lies beside the original until it is whole.
                reason = self._budget.refusal(needed_bytes=folder_size(leftover))
                if reason:
                    raise RecordingError(reason)
                path, count = salvage(
                    leftover, self._topics, self._definitions, lambda: not self._ending.is_set()
                )
            except Exception as error:
                text = f"{leftover} was left unfinished and stays there: {_reason(error)}"
                self._say(Severity.WARNING, text)
                continue
            where = f"what could be read is in {path}" if path else "nothing in it could be read"
            text = f"{leftover.name} was left unfinished; {where} ({count} messages)"
            self._say(Severity.WARNING, text)
        with self._changed:
            self._queue.actions.append(None)
            self._changed.notify()


def _reason(error: Exception) -> str:
    """Why something was not done, in a line."""
    if isinstance(error, RecordingError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _context_data(context: BagContext) -> dict[str, str]:
    """What a bag says of its run; what is not known is left empty."""
    return {
        "weld_id": context.weld_id,
        "model_id": context.model_id,
        "threshold": "" if context.threshold is None else f"{context.threshold:g}",
        "pixel_threshold": "" if context.pixel_threshold is None else str(context.pixel_threshold),
    }


def _summary_data(summary: BagSummary) -> dict[str, str]:
    """What a bag says of its events."""
    return {
        "cause": ", ".join(summary.causes),
        "part": str(summary.part),
        "defective_windows": str(summary.defective_windows),
        "most_defect_pixels": str(summary.most_defect_pixels),
        "confidence": f"{summary.confidence:.3f}",
        "first_stamp_ns": str(summary.begin_ns),
        "last_stamp_ns": str(summary.end_ns),
    }
