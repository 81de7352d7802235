"""The thread that reads a source and keeps it open."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from weld_inspection.camera.frame import Frame
from weld_inspection.camera.rate_meter import RateMeter
from weld_inspection.camera.source import CameraError, FrameSource

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 10.0
READY_POLL_S = 0.02
STOP_TIMEOUT_S = 2.0  # for a read to come back by itself, and again once its source is closed


class Log(Protocol):
    """What a capture tells people through; ROS's loggers and Python's both will do."""

    def info(self, message: str) -> object:
        """Notes what is usual."""

    def warning(self, message: str) -> object:
        """Notes what somebody should look at."""

    def error(self, message: str) -> object:
        """Notes what somebody must look at."""


class CaptureState(Enum):
    """What a capture is doing."""

    STOPPED = "stopped"
    WAITING = "waiting for subscribers"
    CAPTURING = "capturing"
    LOST = "lost, being opened again"
    ENDED = "ended"
    FAILED = "failed"  # a recording that is damaged


@dataclass(slots=True)
class CaptureCounts:
    """What a capture has done since it was made.

    Attributes:
        frames: Frames delivered.
        losses: Times that the source was lost or found damaged.
        reopened: Times that it was opened again and gave frames.
    """

    frames: int = 0
    losses: int = 0
    reopened: int = 0


class Capture:
    """Reads frames in a thread; a source that is lost is opened again with back-off.

    A file that turns out to be damaged is not: it would be damaged again.

    Attributes:
        counts: What was done so far.
        meter: Measures the rate of delivery.
        state: What is being done.
        reason: Why the state is LOST, ENDED or FAILED, in a line; empty otherwise.
        source: The open source; None while there is none.
    """

    def __init__(
        self,
        opener: Callable[[], FrameSource],
        deliver: Callable[[Frame], None],
        *,
        log: Log,
        ready: Callable[[], bool] = lambda: True,
        ready_timeout: float = math.inf,
        first_backoff: float = FIRST_BACKOFF_S,
    ) -> None:
        """Makes a stopped capture; nothing is opened yet.

        Args:
            opener: Opens the source; raises CameraError if it cannot.
            deliver: Called in the thread with each frame.
            log: Told of losses, recoveries and the end.
            ready: Asked again and again, before a recording's first frame, until it says yes.
            ready_timeout: Seconds after which the recording begins all the same.
            first_backoff: Seconds before a lost source is opened again; they double up to 10.
        """
        self._opener, self._deliver, self._log, self._ready = opener, deliver, log, ready
        self._ready_timeout = ready_timeout
        self._first_backoff = first_backoff
        self.counts = CaptureCounts()
        self.meter = RateMeter()
        self.state = CaptureState.STOPPED
        self.reason = ""
        self.source: FrameSource | None = None
        self._frames_of_source = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> FrameSource:
        """Opens the source, so that mistakes are told before the start.

        Raises:
            CameraError: It cannot be opened.
        """
        self.source = self._opener()
        self._frames_of_source = 0
        return self.source

    def start(self) -> None:
        """Begins, or goes on, to read; a source that has ended begins anew."""
        if self._thread is not None:
            return
        if self.state in (CaptureState.ENDED, CaptureState.FAILED):
            self._close_source()
        if self.source is not None:
            self.source.resume()
        self._stop = threading.Event()
        self.meter.clear()
        self._set(CaptureState.CAPTURING)
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name="capture", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends reading and leaves the source open; a frame being read is still delivered."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
            if thread.is_alive():  # a camera that hangs, or a long pause in a recording
                self._close_source()
                thread.join(STOP_TIMEOUT_S)
        if self.state not in (CaptureState.ENDED, CaptureState.FAILED):
            self._set(CaptureState.STOPPED)

    def close(self) -> None:
        """Ends reading and closes the source; may be called twice."""
        self.stop()
        self._close_source()
        self._set(CaptureState.STOPPED)

    def _run(self, stop: threading.Event) -> None:
        backoff = self._first_backoff
        while not stop.is_set():
            try:
                source = self.source
                if source is None:
                    source = self._opener()
                    if stop.is_set():  # nobody waited for it
                        source.close()
                        return
                    self.source, self._frames_of_source = source, 0
                if not source.live and self._frames_of_source == 0:
                    self._wait_until_ready(stop)
                self._read(source, stop)
                return
            except CameraError as error:
                if stop.is_set():
                    return
                damaged = self.source is not None and not self.source.recoverable
                if self._frames_of_source:
                    backoff = self._first_backoff
                self._lose(str(error), None if damaged else backoff)
                if damaged:
                    return
            stop.wait(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF_S)

    def _wait_until_ready(self, stop: threading.Event) -> None:
        deadline = time.monotonic() + self._ready_timeout
        while not self._ready() and not stop.is_set():
            if time.monotonic() > deadline:
                self._log.warning(
                    f"{self.source.name}: begins after {self._ready_timeout:g} s without all the "
                    "subscribers that were expected"
                )
                return
            self._set(CaptureState.WAITING)
            stop.wait(READY_POLL_S)

    def _read(self, source: FrameSource, stop: threading.Event) -> None:
        """Delivers frames until the end or `stop`."""
        while not stop.is_set():
            frame = source.read()
            if self.source is not source:  # `stop` did not wait for this frame
                return
            if frame is None:
                self._set(CaptureState.ENDED, f"source ended after {self._frames_of_source} frames")
                self._log.info(f"{source.name}: {self.reason}")
                return
            if self.state is CaptureState.LOST:
                self.counts.reopened += 1
                self._log.info(f"{source.name}: gives frames again")
            self._set(CaptureState.CAPTURING)
            self._frames_of_source += 1
            self.counts.frames += 1
            self.meter.tick()
            self._deliver(frame)

    def _lose(self, reason: str, backoff: float | None) -> None:
        """Notes a failure, that ends the capture if `backoff` is None; tells each one once."""
        again = self.state is CaptureState.LOST and self.reason == reason
        frames = self._frames_of_source
        self._close_source()
        self._frames_of_source = 0
        if backoff is None:
            self.counts.losses += 1
            self._set(CaptureState.FAILED, f"{reason}; source ended after {frames} frames")
            self._log.error(self.reason)
            return
        if self.state is not CaptureState.LOST:
            self.counts.losses += 1
        self._set(CaptureState.LOST, reason)
        if not again:
            self._log.warning(f"{reason}; it is opened again as soon as possible")

    def _set(self, state: CaptureState, reason: str = "") -> None:
        self.state, self.reason = state, reason

    def _close_source(self) -> None:
        source, self.source = self.source, None
        if source is not None:
            source.close()
