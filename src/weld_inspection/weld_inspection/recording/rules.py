"""How much is recorded around an event."""

from dataclasses import dataclass

from weld_inspection.stamps import NANOSECONDS

# The ring outlasts pre-roll and the detector's delay by this much, for whole windows.
RING_MARGIN_NS = NANOSECONDS


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """How much is recorded; times in nanoseconds.

    Attributes:
        pre_roll_ns: Recorded before the first defective window, or before a start by hand.
        post_roll_ns: Recorded after the last defective window.
        max_duration_ns: Longest bag; what is longer goes on in the next bag.
        report_timeout_ns: Longest wait from a frame to the report on it, and longest silence of
            the camera before a bag is ended with what it has.
        settle_ns: A bag stays open at least this long after its end is known, for masks and
            reports that are still under way.
        ring_bytes: Most bytes held in memory for events to come.
    """

    pre_roll_ns: int = 2 * NANOSECONDS
    post_roll_ns: int = 2 * NANOSECONDS
    max_duration_ns: int = 60 * NANOSECONDS
    report_timeout_ns: int = 3 * NANOSECONDS
    settle_ns: int = NANOSECONDS // 2
    ring_bytes: int = 512 * 1024**2

    @property
    def ring_duration_ns(self) -> int:
        """How long the ring remembers."""
        return self.pre_roll_ns + self.report_timeout_ns + self.settle_ns + RING_MARGIN_NS
