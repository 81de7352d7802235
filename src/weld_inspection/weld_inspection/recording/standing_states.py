"""The states that stand when a bag begins: latched topics, the alarm, the carriage."""

from collections.abc import Iterable
from dataclasses import replace

from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.rules import NANOSECONDS

# States that arrive this long before a bag's first frame go with it: the frame was captured before
# it arrived, and a position is interpolated between two states.
STATE_LEAD_NS = NANOSECONDS // 4


class StandingStates:
    """The newest state of each topic that is not in the ring any more."""

    def __init__(self) -> None:
        """Starts with none."""
        self._newest: dict[str, RecordedMessage] = {}

    def remember(self, state: RecordedMessage) -> None:
        """Takes a state that has left the ring."""
        known = self._newest.get(state.topic)
        if known is None or state.received_ns >= known.received_ns:
            self._newest[state.topic] = state

    def date_back(self) -> None:
        """Makes whatever comes next newer than all that is known: the clock has gone back."""
        self._newest = {
            topic: replace(state, received_ns=0) for topic, state in self._newest.items()
        }

    def clear(self) -> None:
        """Forgets all."""
        self._newest.clear()

    def before(self, first_ns: int, waiting: Iterable[RecordedMessage]) -> list[RecordedMessage]:
        """The states that stood at a moment, for the begin of a bag.

        Args:
            first_ns: When the bag's first message arrived.
            waiting: The states in the ring, oldest first.

        Returns:
            Those that arrived shortly before it; of a topic without one the last, logged as if it
            had come just then, so that the bag does not span the time since.
        """
        states = dict(self._newest)
        recent: list[RecordedMessage] = []
        for state in waiting:
            if state.received_ns <= first_ns:
                states[state.topic] = state
                if state.received_ns >= first_ns - STATE_LEAD_NS:
                    recent.append(state)
        covered = {state.topic for state in recent}
        standing = [
            replace(state, received_ns=max(0, first_ns - STATE_LEAD_NS))  # no bag has less than 0
            for topic, state in states.items()
            if topic not in covered
        ]
        return standing + recent
