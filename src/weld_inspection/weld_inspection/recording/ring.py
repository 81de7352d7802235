"""The last seconds of the stream, kept for an event that may turn out to have begun in them."""

from collections import deque
from collections.abc import Callable, Iterator

from weld_inspection.recording.message import RecordedMessage


class Ring:
    """Messages in the order of their arrival, bounded by time and by bytes.

    What is taken into a bag leaves the ring, so no message is held twice.
    """

    def __init__(self, duration_ns: int, capacity_bytes: int) -> None:
        """Starts empty.

        Args:
            duration_ns: Oldest message kept, in nanoseconds before the newest arrival.
            capacity_bytes: Most bytes of serialized messages kept.
        """
        self._duration_ns = duration_ns
        self._capacity_bytes = capacity_bytes
        self._messages: deque[RecordedMessage] = deque()
        self._bytes = 0
        self._crowded_out = 0

    def __iter__(self) -> Iterator[RecordedMessage]:
        """The messages, oldest arrival first."""
        return iter(self._messages)

    def __len__(self) -> int:
        """Number of messages."""
        return len(self._messages)

    @property
    def bytes(self) -> int:
        """Bytes of the serialized messages held."""
        return self._bytes

    @property
    def crowded_out(self) -> int:
        """Messages that left before their time because of the bound in bytes."""
        return self._crowded_out

    def push(self, message: RecordedMessage) -> list[RecordedMessage]:
        """Adds the newest arrival.

        Returns:
            The messages that had to leave, oldest first.
        """
        self._messages.append(message)
        self._bytes += len(message.data)
        gone: list[RecordedMessage] = []
        oldest_kept = message.received_ns - self._duration_ns
        while self._messages[0].received_ns < oldest_kept:
            gone.append(self._pop_oldest())
        while self._bytes > self._capacity_bytes and len(self._messages) > 1:
            gone.append(self._pop_oldest())
            self._crowded_out += 1
        return gone

    def take(self, wanted: Callable[[RecordedMessage], bool]) -> list[RecordedMessage]:
        """Removes the wanted messages.

        Args:
            wanted: Called once for each message, oldest arrival first.

        Returns:
            The removed messages, oldest arrival first.
        """
        taken: list[RecordedMessage] = []
        kept: deque[RecordedMessage] = deque()
        for message in self._messages:
            (taken if wanted(message) else kept).append(message)
        self._messages = kept
        self._bytes -= sum(len(message.data) for message in taken)
        return taken

    def clear(self) -> None:
        """Throws everything away."""
        self._messages.clear()
        self._bytes = 0

    def _pop_oldest(self) -> RecordedMessage:
        message = self._messages.popleft()
        self._bytes -= len(message.data)
        return message
