"""A queue between two threads that never holds up the one that fills it."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """First in, first out; when full, the oldest item makes room for the newest."""

    def __init__(self, capacity: int) -> None:
        """Starts empty.

        Args:
            capacity: Most items held, at least 1.
        """
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._stirred = False

    def put(self, item: T) -> T | None:
        """Adds an item; never waits.

        Returns:
            The item that was dropped for it, None where there was room. A closed queue drops the
            item itself.
        """
        with self._changed:
            if self._closed:
                return item
            self._items.append(item)
            dropped = self._items.popleft() if len(self._items) > self._capacity else None
            self._changed.notify()
            return dropped

    def get(self, meanwhile: Callable[[], bool] = lambda: False) -> T | None:
        """Waits for the oldest item; None once the queue is closed.

        Args:
            meanwhile: Does a piece of other work while there is no item; returns whether there is
                more of it. Called again when `stir` tells of some.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed or self._stirred)
                if self._closed:
                    return None
                if self._items:
                    return self._items.popleft()
                self._stirred = False
            if meanwhile():
                self.stir()

    def stir(self) -> None:
        """Tells whoever waits in `get` that there is other work."""
        with self._changed:
            self._stirred = True
            self._changed.notify()

    def close(self) -> int:
        """Throws away what is held, lets every waiting thread go and returns how many it threw."""
        with self._changed:
            self._closed = True
            thrown = len(self._items)
            self._items.clear()
            self._changed.notify_all()
            return thrown
