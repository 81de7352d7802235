"""Windows of consecutive frames: what the network sees at once."""

from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.frame_losses import LONGEST_PAUSE_NS, FrameLosses
from weld_inspection.stamps import NANOSECONDS


class Restart(Enum):
    """Why a window was broken off and a new one begun."""

    GAP = "gap"
    STAMP_BACK = "stamp went back"
    CLOCK_JUMP = "clock jump"
    FORMAT = "change of format"


@dataclass(frozen=True, slots=True, eq=False)
class WindowFrame:
    """One frame of a window.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, at the network's size.
        stamp_ns: Capture time in nanoseconds.
        number: Running number of the frame.
        tag: Whatever the giver wants back with the result (the message's header).
        image: (H, W, 3) uint8, BGR, as captured, where it was asked to be kept.
    """

    pixels: np.ndarray
    stamp_ns: int
    number: int
    tag: Any = None
    image: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameWindow:
    """T frames without a gap between them.

    Attributes:
        frames: The T frames, oldest first.
        image_width: Width of the frames as captured, in pixels.
        image_height: Height of the frames as captured, in pixels.
        frames_lost: Frames that never came, of all until this window was full.
    """

    frames: tuple[WindowFrame, ...]
    image_width: int
    image_height: int
    frames_lost: int


class FrameWindows:
    """Collects frames into windows of T, a new one every `stride` frames.

    A gap, a stamp that goes back, a jump of the clock or another format begins a new window: none
    ever spans such a break. Frames that had been collected and are in no window are then discarded.
    A frame whose stamp equals the one before is a repeat and is left out.

    Attributes:
        frames_lost: Frames that never came until the last full window or change of clock or format,
            estimated from the usual interval of the stamps.
        frames_discarded: Frames that came but are in no window, for a break came first.
        frames_repeated: Frames left out because they bear the stamp of the one before.
        restarts: How often a window was broken off, by cause.
        period_ns: Usual interval of the stamps in nanoseconds, None while it is not known.
    """

    def __init__(
        self,
        length: int,
        *,
        stride: int | None = None,
        max_frame_gap: float = 0.0,
        on_restart: Callable[[Restart, str], None] | None = None,
    ) -> None:
        """Starts with no frame.

        Args:
            length: T, frames in a window.
            stride: Frames from one window's start to the next one's, 1 to T; T by default.
            max_frame_gap: Longest interval of two stamps inside a window, in seconds; 0 for
                GAP_PERIODS times the usual one.
            on_restart: Told of every break: its cause, and a sentence about it.

        Raises:
            InspectionError: A number is out of its bounds.
        """
        stride = length if stride is None else stride
        if length < 1:
            raise InspectionError(f"a window of {length} frames: it takes at least 1")
        if not 1 <= stride <= length:
            raise InspectionError(
                f"stride {stride} does not fit a window of {length} frames: give 1 to {length}"
            )
        if max_frame_gap < 0:
            raise InspectionError(f"max_frame_gap {max_frame_gap} s must not be negative")
        self.length = length
        self.stride = stride
        self._given_gap_ns = round(max_frame_gap * NANOSECONDS)
        self._on_restart = on_restart
        self._frames: deque[WindowFrame] = deque(maxlen=length)
        self._missing = length  # frames until the next window is full
        self._format: Hashable = None
        self._stamp_ns: int | None = None
        self._number = 0
        self._losses = FrameLosses()
        self.frames_discarded = 0
        self.frames_repeated = 0
        self.restarts: Counter[Restart] = Counter()

    @property
    def unfinished(self) -> tuple[WindowFrame, ...]:
        """The frames that are there of the next window, oldest first."""
        return tuple(self._frames)[len(self._frames) + self._missing - self.length :]

    @property
    def frames_lost(self) -> int:
        """See the class."""
        return self._losses.lost

    @property
    def period_ns(self) -> float | None:
        """See the class."""
        return self._losses.period_ns

    def add(
        self,
        pixels: np.ndarray,
        stamp_ns: int,
        *,
        image_width: int,
        image_height: int,
        encoding: Hashable = "bgr8",
        tag: Any = None,
        image: np.ndarray | None = None,
    ) -> FrameWindow | None:
        """Takes the next frame.

        Args:
            pixels: (H, W, 3) uint8, RGB, at the network's size.
            stamp_ns: Capture time in nanoseconds.
            image_width: Width of the frame as captured, in pixels.
            image_height: Height of the frame as captured, in pixels.
            encoding: What else must stay the same inside a window (encoding, camera).
            tag: Handed back with the frame's result.
            image: The frame as captured, to be kept with it.

        Returns:
            The window that this frame completes, None where it completes none.
        """
        if stamp_ns == self._stamp_ns:
            self.frames_repeated += 1
            return None
        frame_format = (image_width, image_height, encoding)
        self._check_continuity(stamp_ns, frame_format)
        self._stamp_ns, self._format = stamp_ns, frame_format
        self._number += 1
        self._frames.append(WindowFrame(pixels, stamp_ns, self._number, tag, image))
        self._losses.add(stamp_ns)
        self._missing -= 1
        if self._missing > 0:
            return None
        self._missing = self.stride
        lost = self._losses.count()
        return FrameWindow(tuple(self._frames), image_width, image_height, lost)

    def _check_continuity(self, stamp_ns: int, frame_format: tuple) -> None:
        """Breaks the window off where this frame does not follow the last."""
        if self._stamp_ns is None:
            return
        interval = stamp_ns - self._stamp_ns
        seconds = interval / NANOSECONDS
        if interval < 0:
            self._restart(Restart.STAMP_BACK, f"a frame's stamp went back by {-seconds:.3f} s")
            return
        if interval > LONGEST_PAUSE_NS:
            self._restart(Restart.CLOCK_JUMP, f"the frames' stamps jumped by {seconds:.3f} s")
            return
        if interval > self._longest_interval():
            self._restart(Restart.GAP, f"no frame for {seconds:.3f} s")
        # A gap as well: where the source has become slower, it soon is the usual interval.
        self._losses.follow(interval)
        if frame_format != self._format:
            old, new = ("{}x{} {}".format(*f) for f in (self._format, frame_format))
            self._restart(Restart.FORMAT, f"the frames changed from {old} to {new}")

    def _longest_interval(self) -> float:
        """Longest interval inside a window in nanoseconds."""
        return self._given_gap_ns or self._losses.gap_ns

    def _restart(self, cause: Restart, sentence: str) -> None:
        """Discards what is collected and begins a new window."""
        # Of a full deque the oldest frames are in a window already; those since it are not.
        waiting = self.stride if len(self._frames) == self.length else self.length
        self.frames_discarded += waiting - self._missing
        self._frames.clear()
        self._missing = self.length
        if cause is Restart.GAP:
            self._losses.pause()
        else:
            self._losses.begin_anew()
        self.restarts[cause] += 1
        if self._on_restart:
            self._on_restart(cause, sentence)
