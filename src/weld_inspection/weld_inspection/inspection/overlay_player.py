"""Overlays at the pace of the frames, though their masks come a window at a time."""

import threading
import time
from collections.abc import Callable

import numpy as np

from weld_inspection.inspection.bounded_queue import BoundedQueue
from weld_inspection.inspection.inspector import InspectedFrame, WindowResult
from weld_inspection.inspection.overlay import draw_overlay
from weld_inspection.stamps import NANOSECONDS

# Longest wait between two frames (s): whatever the stamps say, the picture goes on.
MAX_WAIT = 0.2


class OverlayPlayer:
    """Draws the overlays of each result and shows them one by one in a thread of its own.

    A viewer thus sees steady motion, a window behind the camera. Where drawing falls behind, whole
    windows are skipped.
    """

    def __init__(
        self,
        show: Callable[[np.ndarray, InspectedFrame], None],
        *,
        on_trouble: Callable[[str], None],
        caption: str = "",
    ) -> None:
        """Starts the thread.

        Args:
            show: Takes each drawn image (H, W, 3) uint8 BGR and its frame.
            on_trouble: Told why the rest of a window is not shown.
            caption: Text in a corner of every image.
        """
        self._show = show
        self._on_trouble = on_trouble
        self._caption = caption
        self._due = 0.0  # monotonic moment of the next picture
        self._before_ns: int | None = None  # stamp of the one shown last
        self._stopping = threading.Event()
        self._results: BoundedQueue[WindowResult] = BoundedQueue(2)
        self._thread = threading.Thread(target=self._play, name="overlay", daemon=True)
        self._thread.start()

    def put(self, result: WindowResult) -> None:
        """Takes a result whose frames hold their images; never waits."""
        self._results.put(result)

    def stop(self) -> None:
        """Ends the thread; the rest of what it shows is left out."""
        self._stopping.set()
        self._results.close()
        self._thread.join()

    def _play(self) -> None:
        while (result := self._results.get()) is not None:
            try:
                for frame in result.frames:
                    if frame.image is not None and not self._stopping.is_set():
                        self._play_frame(frame, defective=result.defective)
            except Exception as error:  # costs this window's pictures, not all later ones
                self._on_trouble(f"{type(error).__name__}: {error}")

    def _play_frame(self, frame: InspectedFrame, *, defective: bool) -> None:
        picture = draw_overlay(
            frame.image,
            frame.mask,
            frame.regions,
            defective=defective,
            seam_position=frame.seam_position,
            caption=self._caption,
        )
        if self._before_ns is not None:
            self._due += min(MAX_WAIT, max(0.0, (frame.stamp_ns - self._before_ns) / NANOSECONDS))
        self._before_ns = frame.stamp_ns
        now = time.monotonic()
        # Behind by more than a wait: begin anew from here instead of hurrying.
        self._due = now if self._due < now - MAX_WAIT else self._due
        if not self._stopping.wait(max(0.0, self._due - now)):
            self._show(picture, frame)
