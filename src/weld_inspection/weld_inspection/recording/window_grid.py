"""Where the detector's windows begin and end, so that a bag begins and ends with one.

A replay of a bag starts its first window at the bag's first frame. Only if that frame began a
window of the live run too are the windows, and so the masks, the same bit for bit.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass

# Windows remembered: 25 s at a stride of one frame and 20 frames a second, more than a ring holds.
MAX_WINDOWS = 512
# Frames remembered, by their stamps only: windows are counted off in them.
MAX_STAMPS = 4096


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was inspected.

    Attributes:
        start_ns: Stamp of its first frame in nanoseconds.
        end_ns: Stamp of its last frame in nanoseconds.
    """

    start_ns: int
    end_ns: int


class WindowGrid:
    """The windows heard of lately, and the frames they are made of.

    Where a window was not heard of, because the detector dropped it, is late with it, or was not
    listened to yet, its place is counted off in whole strides from the nearest one that was: the
    detector's grid goes on unbroken unless the camera makes a gap.
    """

    def __init__(self) -> None:
        """Starts with none."""
        self._windows: deque[Window] = deque(maxlen=MAX_WINDOWS)
        self._stamps: deque[int] = deque(maxlen=MAX_STAMPS)
        self._stride = 1

    def see(self, stamp_ns: int) -> None:
        """Takes the stamp of a frame that has come."""
        self._stamps.append(stamp_ns)

    def add(self, window: Window, stride: int) -> None:
        """Takes a window that was reported.

        Args:
            window: Its first and last stamp.
            stride: Frames from its begin to the begin of the next one.
        """
        self._windows.append(window)
        self._stride = max(1, stride)

    def clear(self) -> None:
        """Forgets all windows and frames."""
        self._windows.clear()
        self._stamps.clear()

    @property
    def newest_start_ns(self) -> int | None:
        """Begin of the newest window, None before the first."""
        return self._windows[-1].start_ns if self._windows else None

    def start_around(self, stamp_ns: int) -> int | None:
        """Begin of the (latest) window that holds a moment, None where none is known."""
        for window in reversed(self._windows):
            if window.start_ns <= stamp_ns:
                return window.start_ns if stamp_ns <= window.end_ns else None
        return None

    def reaching(self, stamp_ns: int) -> Window | None:
        """The first window that ends at or after a moment, None while none is known."""
        first = None
        for window in reversed(self._windows):
            if window.end_ns < stamp_ns:
                break
            first = window
        return first

    def end(self, goal_ns: int) -> int:
        """Chooses the last stamp of a bag.

        Args:
            goal_ns: The bag should end here or later; frames have come well beyond.

        Returns:
            The end of the window that holds the goal; the goal where no window is known.
        """
        window = self.reaching(goal_ns)
        if window is not None and window.start_ns <= goal_ns:
            return window.end_ns
        known = self.newest_start_ns if window is None else window.start_ns
        if known is None:
            return goal_ns
        stamps = sorted(self._stamps)
        after = bisect_right(stamps, goal_ns)
        # What is left over of whole strides completes the window that holds the goal.
        left_over = (bisect_left(stamps, known) - after) % self._stride
        if left_over == 0 or after + left_over > len(stamps):
            return goal_ns
        return stamps[after + left_over - 1]

    def begin(self, target_ns: int, oldest_ns: int, taken_until_ns: int | None) -> int:
        """Chooses the first stamp of a bag.

        Args:
            target_ns: The bag should begin here or earlier.
            oldest_ns: Stamp of the oldest frame that can still be had.
            taken_until_ns: Last stamp of the bag before, None if there is none.

        Returns:
            The begin of the window that holds the first wanted frame. At the ring's old edge that
            may leave out less than a stride, so that the first window is whole. With no window to
            go by, or close behind another bag, the first wanted frame itself.
        """
        stamps = sorted(self._stamps)
        first = bisect_left(stamps, max(target_ns, oldest_ns))
        if first == len(stamps):
            return target_ns
        start = self.start_around(stamps[first])
        if start is not None and start >= oldest_ns:
            return start
        starts = [window.start_ns for window in self._windows]
        if not starts:
            return stamps[first]
        known = bisect_left(
            stamps, min((s for s in starts if s > stamps[first]), default=starts[-1])
        )
        strides = -(-(known - first) // self._stride)  # negative: forwards
        index = known - strides * self._stride
        if index >= 0 and stamps[index] >= oldest_ns:
            return stamps[index]
        if taken_until_ns is not None or index + self._stride >= len(stamps):
            return stamps[first]
        return stamps[index + self._stride]
