"""Delivers frames of a recording at the times they are due."""

import threading

from weld_inspection.camera.clock import Clock
from weld_inspection.stamps import NANOSECONDS

# Beyond this the nominal times are given up and begun anew: the machine slept, or somebody set
# the clock. Below it frames hurry until they are on time again and none is skipped.
GIVE_UP_NS = NANOSECONDS


class Pacer:
    """Maps the time within a recording to times of a clock.

    Attributes:
        late: Frames released more than a period after they were due.
        reanchored: Times that the mapping was begun anew, the first one not counted.
    """

    def __init__(self, clock: Clock, period_ns: int, stop: threading.Event) -> None:
        """Makes a pacer that has not begun.

        Args:
            clock: What frames are released by.
            period_ns: Usual time between frames in nanoseconds.
            stop: Ends a wait early.
        """
        self.late = 0
        self.reanchored = 0
        self._clock, self._period_ns, self._stop = clock, period_ns, stop
        self._anchor_ns: int | None = None
        self._anchor_offset_ns = 0
        self._last_offset_ns = 0

    def wait_for(self, offset_ns: int) -> int:
        """Blocks until a frame is due.

        Args:
            offset_ns: The frame's time within the recording in nanoseconds; not decreasing.

        Returns:
            The nominal time of release by the clock, in nanoseconds.
        """
        now = self._clock.now()
        if self._anchor_ns is None:
            self._anchor(now, offset_ns)
        due = self._anchor_ns + offset_ns - self._anchor_offset_ns
        early = due - now
        step = offset_ns - self._last_offset_ns
        self._last_offset_ns = offset_ns
        if early < -GIVE_UP_NS or early > step + GIVE_UP_NS:
            self._anchor(now, offset_ns)
            self.reanchored += 1
            return now
        if early < -self._period_ns:
            self.late += 1
        elif early > 0:
            self._clock.wait_until(due, self._stop)
        return due

    def resume(self) -> None:
        """Begins the mapping anew with the next frame, after a pause that was meant."""
        self._anchor_ns = None

    def _anchor(self, now: int, offset_ns: int) -> None:
        self._anchor_ns, self._anchor_offset_ns = now, offset_ns
