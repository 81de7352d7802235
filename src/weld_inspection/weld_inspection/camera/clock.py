"""The clock that stamps and paces frames."""

import threading
import time
from collections.abc import Callable

# A clock that is not this machine's (a simulated one, stopped or slowed) is looked at this often.
LONGEST_WAIT = 0.05


class Clock:
    """A clock that can be waited for; `now` may be any clock, such as a ROS node's."""

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        """Wraps a clock.

        Args:
            now: Returns the time in nanoseconds since the clock's epoch.
        """
        self._now = now

    def now(self) -> int:
        """Returns the time in nanoseconds since the clock's epoch."""
        return self._now()

    def wait_until(self, time_ns: int, stop: threading.Event) -> None:
        """Blocks until the clock shows `time_ns` or `stop` is set.

        A clock set back while it is waited for ends the wait: the caller decides anew.
        """
        start = self.now()
        while (now := self.now()) < time_ns and now >= start:
            if stop.wait(min((time_ns - now) * 1e-9, LONGEST_WAIT)):
                return
