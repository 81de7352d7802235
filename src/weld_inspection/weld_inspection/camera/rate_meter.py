"""Measures how many frames come in a second."""

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 5.0


class RateMeter:
    """Counts frames over the last seconds; one thread ticks, another one may ask."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Starts with no frames.

        Args:
            now: Returns a time in seconds that never goes back.
        """
        self._now = now
        self._ticks: deque[float] = deque()
        self._last = now()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Notes a frame."""
        with self._lock:
            self._last = self._now()
            self._ticks.append(self._last)
            self._forget()

    def clear(self) -> None:
        """Forgets all frames and begins anew."""
        with self._lock:
            self._ticks.clear()
            self._last = self._now()

    @property
    def rate(self) -> float:
        """Frames a second over the last 5 s; 0 with fewer than two frames in them.

        An overdue frame lowers it while it is still awaited.
        """
        with self._lock:
            self._forget()
            if len(self._ticks) < 2:
                return 0.0
            seen = self._ticks[-1] - self._ticks[0]
            waited = self._now() - self._ticks[0]
            if seen <= 0:
                return 0.0
            return min((len(self._ticks) - 1) / seen, len(self._ticks) / waited)

    @property
    def silence(self) -> float:
        """Seconds since the last frame or, before the first, since `clear`."""
        with self._lock:
            return self._now() - self._last

    def _forget(self) -> None:
        while self._ticks and self._ticks[0] < self._now() - WINDOW_S:
            self._ticks.popleft()
