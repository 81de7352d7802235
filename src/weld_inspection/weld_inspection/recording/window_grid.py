"""Where the detector's windows begin and end, so that a bag begins and ends with one.

A replay of a bag starts its first window at the bag's first frame. Only if that frame began a
window of the live run too are the windows, and so the masks, the same bit for bit.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass

# Windows remembered: 25 s at a stride of one frame and 20 frames a second, more than a ring holds.
MAX_WINDOWS = 512


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
    """The windows heard of lately."""

    def __init__(self) -> None:
        """Starts with none."""
        self._windows: deque[Window] = deque(maxlen=MAX_WINDOWS)
        self._stride = 1

    def add(self, window: Window, stride: int) -> None:
        """Takes a window that was reported.

        Args:
            window: Its first and last stamp.
            stride: Frames from its begin to the begin of the next one.
        """
        self._windows.append(window)
        self._stride = max(1, stride)

    def clear(self) -> None:
        """Forgets all windows."""
        self._windows.clear()

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

    def end(self, frames: list[int], goal_ns: int) -> int | None:
        """Chooses the last stamp of a bag.

        Args:
            frames: Stamps of the frames in the ring, ascending.
            goal_ns: The bag should end here or later.

        Returns:
            The end of the window that holds the goal, by whole strides where that window was not
            heard of but a later one; None while no report has come as far.
        """
        window = self.reaching(goal_ns)
        if window is None or window.start_ns <= goal_ns:
            return None if window is None else window.end_ns
        after = bisect_right(frames, goal_ns)
        # The known window begins a number of frames later; what is left over of whole strides
        # completes the window that holds the goal.
        left_over = (bisect_left(frames, window.start_ns) - after) % self._stride
        return frames[after + left_over - 1] if left_over else goal_ns

    def begin(self, frames: list[int], target_ns: int, taken_until_ns: int | None) -> int:
        """Chooses the first stamp of a bag.

        Args:
            frames: Stamps of the frames in the ring, ascending.
            target_ns: The bag should begin here or earlier.
            taken_until_ns: Last stamp of the bag before, None if there is none.

        Returns:
            The begin of the window that holds the first wanted frame. Where that window was not
            heard of, whole strides back from the next one that was, or onwards from the last: the
            detector's grid goes on unbroken through windows that it dropped, before it was listened
            to and after its newest report. That may leave out less than a stride at the ring's old
            edge. With no window to go by, or close behind another bag, the first wanted frame.
        """
        first = bisect_left(frames, target_ns)
        if first == len(frames):
            return target_ns
        start = self.start_around(frames[first])
        if start is not None and start >= frames[0]:
            return start
        starts = [w.start_ns for w in self._windows if frames[0] <= w.start_ns <= frames[-1]]
        later = [start for start in starts if start > frames[first]]
        if not starts:
            return frames[first]
        known = bisect_left(frames, min(later) if later else max(starts))
        strides = -(-(known - first) // self._stride)  # negative: forwards
        index = known - strides * self._stride
        if index < 0 and taken_until_ns is not None:
            return frames[first]
        return frames[index if index >= 0 else known % self._stride]
