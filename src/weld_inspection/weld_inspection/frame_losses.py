"""Frames that never came, by the stamps of those that did."""

from collections import deque
from collections.abc import Iterable
from statistics import median

from weld_inspection.stamps import NANOSECONDS

# A step of the stamps that is longer than this is a clock that was set or a source that paused:
# how many frames a camera would have taken in it says nothing about frames lost on the way.
LONGEST_PAUSE_NS = 10 * NANOSECONDS
# Intervals remembered for the usual period, and how many it takes to know one.
PERIOD_SAMPLES = 31
PERIOD_SAMPLES_NEEDED = 3
# A longer interval than so many usual ones is a gap. One lost frame leaves two; a stamp made by a
# busy computer may be late as well.
GAP_PERIODS = 2.4
# The same in seconds, before the usual interval is known.
FIRST_GAP = 1.0
# Frames in a row that must all be late before a frame is taken for lost: a stamp made by a busy
# computer is late now and then, and the next is not.
LATE_FRAMES = 3


class FrameLosses:
    """Counts by how many periods frames are later than if all had come.

    Attributes:
        lost: Frames that never came until `count` was called last, estimated from the usual
            interval of the stamps.
        period_ns: Usual interval of the stamps in nanoseconds, None while it is not known.
        gap_ns: A longer interval in nanoseconds is a gap.
    """

    def __init__(self) -> None:
        """Starts with no frame."""
        self._intervals: deque[int] = deque(maxlen=PERIOD_SAMPLES)
        # Numbers and stamps of the newest frames, and of those that losses are counted from.
        self._newest: deque[tuple[int, int]] = deque(maxlen=LATE_FRAMES)
        self._reference: list[tuple[int, int]] = []
        self._number = 0
        self.lost = 0

    @property
    def period_ns(self) -> float | None:
        """See the class."""
        intervals = tuple(self._intervals)  # another thread may ask while this one clears them
        return median(intervals) if len(intervals) >= PERIOD_SAMPLES_NEEDED else None

    @property
    def gap_ns(self) -> float:
        """See the class."""
        period = self.period_ns
        return FIRST_GAP * NANOSECONDS if period is None else GAP_PERIODS * period

    def follow(self, interval_ns: int) -> None:
        """Takes the time from a frame to the next one on the same clock."""
        self._intervals.append(interval_ns)

    def add(self, stamp_ns: int) -> None:
        """Takes the next frame's stamp."""
        self._number += 1
        self._newest.append((self._number, stamp_ns))
        if not self._reference and len(self._newest) == LATE_FRAMES:
            self._reference = list(self._newest)

    def add_late(self) -> None:
        """Takes a frame that came after its successors: it is not lost, and tells nothing else."""
        self._number += 1

    def pause(self) -> None:
        """Notes a gap in the stamps: those before it say nothing of how late the next ones are."""
        self._newest.clear()

    def begin_anew(self) -> None:
        """Counts, and forgets: of what is lost until another clock or camera, nothing tells."""
        self.count()
        self._newest.clear()
        self._intervals.clear()
        self._reference = []

    def count(self) -> int:
        """Counts until the newest frame and returns `lost`."""
        period = self.period_ns
        if period is None or not self._reference or not self._newest:
            return self.lost

        def schedule(frames: Iterable[tuple[int, int]]) -> float:
            """When frame 0 was, by the least late of some frames."""
            return min(stamp_ns - period * number for number, stamp_ns in frames)

        delay = schedule(self._newest) - schedule(self._reference)
        self.lost += max(0, round(delay / period))
        self._reference = list(self._newest)
        return self.lost
