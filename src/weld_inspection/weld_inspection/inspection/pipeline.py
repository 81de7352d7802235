"""The inspection beside the executor: two threads and the queues before them."""

import threading
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from weld_inspection.inspection.bounded_queue import BoundedQueue
from weld_inspection.inspection.camera_image import CameraImage, ImageError
from weld_inspection.inspection.inspector import Inspector, WindowResult
from weld_inspection.inspection.statistics import InspectionStatistics
from weld_inspection.inspection.windows import FrameWindow

Message = TypeVar("Message")

# Images that may wait to be resized. That takes a few milliseconds, so they wait only while the
# machine is starved; 20 of 1280x720 are 55 MB.
MAX_IMAGES_WAITING = 20


class Trouble(Enum):
    """What can go wrong with an image, a window or its overlay."""

    OVERRUN = "image not read in time"
    REFUSED = "image refused"
    DROPPED = "window dropped"
    FAILED = "window failed"
    OVERLAY = "overlay failed"


class InspectionPipeline(Generic[Message]):
    """Takes images without ever making the giver wait, and gives results as they come.

    The first thread reads and resizes each image as it comes and collects windows, the second runs
    the network, on frames as they come where it is not behind. Where it falls behind, whole
    windows are dropped, oldest first: the wait of a window is bounded by `queue_size` inferences.
    """

    def __init__(
        self,
        inspector: Inspector,
        *,
        unpack: Callable[[Message], CameraImage],
        on_result: Callable[[WindowResult], None],
        on_trouble: Callable[[Trouble, str], None],
        statistics: InspectionStatistics,
        queue_size: int = 2,
        keep_images: Callable[[], bool] = lambda: False,
    ) -> None:
        """Starts nothing yet.

        Args:
            inspector: What is done with the images.
            unpack: Makes a CameraImage of what is submitted; on the pipeline's first thread.
            on_result: Takes each result; on the pipeline's second thread.
            on_trouble: Told of each trouble: what kind, and a sentence about it.
            statistics: Counters to keep.
            queue_size: Windows that may wait for the network.
            keep_images: Whether results shall hold their frames' images.
        """
        self._inspector = inspector
        self._unpack = unpack
        self._on_result = on_result
        self._on_trouble = on_trouble
        self._statistics = statistics
        self._keep_images = keep_images
        self._images: BoundedQueue[Message] = BoundedQueue(MAX_IMAGES_WAITING)
        self._windows: BoundedQueue[FrameWindow] = BoundedQueue(queue_size)
        self._threads = [
            threading.Thread(target=self._collect, name="collect", daemon=True),
            threading.Thread(target=self._infer, name="infer", daemon=True),
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads; waits for the window in work."""
        self._images.close()
        if waiting := self._windows.close():
            self._on_trouble(Trouble.DROPPED, f"windows dropped as the inspection ends: {waiting}")
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._statistics.windows_dropped += waiting

    def submit(self, message: Message) -> None:
        """Hands an image over; never waits."""
        self._statistics.frame_came()
        if self._images.put(message) is not None:
            # Of what windows lose by it, the gap in the stamps tells.
            self._statistics.frames_overrun += 1
            sentence = "images come faster than they can be read: the oldest was dropped"
            self._on_trouble(Trouble.OVERRUN, sentence)

    def _collect(self) -> None:
        """First thread: images to windows."""
        while (message := self._images.get()) is not None:
            try:
                image = self._unpack(message)
                window = self._inspector.collect(
                    image.to_bgr(),
                    image.stamp_ns,
                    encoding=f"{image.encoding} {image.frame_id}".strip(),
                    tag=image.tag,
                    keep_image=self._keep_images(),
                )
            except Exception as error:  # bytes that are no image cost this image, not the rest
                reason = str(error) if isinstance(error, ImageError) else _name(error)
                self._statistics.frames_refused += 1
                self._statistics.last_refusal = reason
                self._on_trouble(Trouble.REFUSED, f"image refused: {reason}")
                continue
            if window is None:
                self._windows.stir()
            elif (dropped := self._windows.put(window)) is not None:
                self._statistics.windows_dropped += 1
                if dropped is not window:  # which it is where the inspection ends
                    sentence = "inference falls behind: the oldest window was dropped"
                    self._on_trouble(Trouble.DROPPED, sentence)

    def _infer(self) -> None:
        """Second thread: windows to results."""
        while (window := self._windows.get(meanwhile=self._work_ahead)) is not None:
            try:
                result = self._inspector.inspect(window)
            except Exception as error:  # whatever is raised there costs this window, not the rest
                self._fail(f"inference failed: {_name(error)}")
                continue
            self._statistics.windows_inspected += 1
            self._statistics.frames_inspected += len(result.frames)
            try:
                self._on_result(result)
            except Exception as error:  # the same holds there
                self._inspector.take_back(result)
                self._fail(f"handing on the result failed: {_name(error)}")
                continue
            self._statistics.last_failure = ""

    def _fail(self, sentence: str) -> None:
        """Counts a window as failed and tells why."""
        self._statistics.windows_failed += 1
        self._statistics.last_failure = sentence
        self._on_trouble(Trouble.FAILED, sentence)

    def _work_ahead(self) -> bool:
        """Second thread, between windows: what can be done of a window's first frames."""
        try:
            return self._inspector.work_ahead()
        except Exception:  # the frame's window will fail by it too, and is counted then
            return False


def _name(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {error}"
