"""Waiting in tests for what another thread does."""

import time
from collections.abc import Callable

POLL_S = 0.002


def wait_for(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Waits until a condition holds.

    Args:
        condition: Asked again and again.
        timeout: In seconds.

    Raises:
        AssertionError: It does not hold by then.
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(POLL_S)
