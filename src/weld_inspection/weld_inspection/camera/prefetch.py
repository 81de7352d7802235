"""Work done ahead in a thread, so that its jitter is not seen."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
LONGEST_ITEM_S = 6.0  # a read over the network gives up after 5 s


class Prefetch(Generic[Item]):
    """Runs an iterator a few items ahead of its reader."""

    def __init__(
        self, items: Iterator[Item], depth: int, finish: Callable[[], None], name: str
    ) -> None:
        """Starts at once.

        Args:
            items: What is run ahead; only the thread touches it.
            depth: Items held ready at most.
            finish: Called in the thread after its last item, also if closed early.
            name: The thread's name.
        """
        self._items, self._depth, self._finish = items, depth, finish
        self._ready: deque[Item] = deque()
        self._error: Exception | None = None
        self._ended = self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def get(self) -> Item | None:
        """Waits for the next item.

        Returns:
            The item, or None after the last one and when closed.

        Raises:
            Exception: What the iterator raised, after the items before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended or self._closed)
            if self._closed:
                return None
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None

    def close(self) -> None:
        """Ends the thread after the item it is at, and waits for it; a `get` returns None.

        A thread left inside OpenCV when the interpreter ends would abort the process.
        """
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(LONGEST_ITEM_S)

    def _run(self) -> None:
        error = None
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
                    if self._closed:
                        break
                    self._ready.append(item)
                    self._changed.notify_all()
        except Exception as caught:  # noqa: BLE001 - handed to the reader, whatever it is
            error = caught
        finally:
            self._finish()
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()
