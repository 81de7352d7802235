"""How the inspection fares: counters and times for diagnostics."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

# Windows whose times are remembered: 100 s of them at 20 frames a second.
RECENT_WINDOWS = 200


@dataclass(slots=True)
class InspectionStatistics:
    """Counters of one run. One thread may write a counter while another reads it.

    Attributes:
        frames_received: Images that came.
        frames_overrun: Images thrown away because reading them fell behind.
        frames_refused: Images that could not be read.
        frames_inspected: Frames that got a mask.
        windows_inspected: Windows with a result.
        windows_dropped: Windows thrown away because inference fell behind, or ended.
        windows_failed: Windows for which inference failed, or whose result could not be handed on.
        overlays_failed: Windows whose pictures could not all be drawn or shown.
        last_refusal: Why the last refused image was refused.
        last_failure: What failed with the last failed window, and why; empty again after one that
            succeeds.
        last_overlay_failure: What failed with the last such pictures, and why.
        last_frame_time: Monotonic time of the last image in seconds, None before the first.
    """

    frames_received: int = 0
    frames_overrun: int = 0
    frames_refused: int = 0
    frames_inspected: int = 0
    windows_inspected: int = 0
    windows_dropped: int = 0
    windows_failed: int = 0
    overlays_failed: int = 0
    last_refusal: str = ""
    last_failure: str = ""
    last_overlay_failure: str = ""
    last_frame_time: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _inference_times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_WINDOWS))
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_WINDOWS))

    def frame_came(self) -> None:
        """Notes an image."""
        self.frames_received += 1
        self.last_frame_time = time.monotonic()

    def window_done(self, inference_time: float, latency: float) -> None:
        """Notes a window's times.

        Args:
            inference_time: See WindowResult.
            latency: Capture of the last frame to publication in seconds.
        """
        with self._lock:
            self._inference_times.append(inference_time)
            self._latencies.append(latency)

    def since_last_frame(self) -> float | None:
        """Returns the seconds since the last image, None before the first."""
        return None if self.last_frame_time is None else time.monotonic() - self.last_frame_time

    def inference_percentiles(self) -> tuple[float, float] | None:
        """Returns p50 and p99 of the recent inference times in seconds, None before the first."""
        return self._percentiles(self._inference_times)

    def latency_percentiles(self) -> tuple[float, float] | None:
        """Returns p50 and p99 of the recent latencies in seconds, None before the first."""
        return self._percentiles(self._latencies)

    def _percentiles(self, values: deque[float]) -> tuple[float, float] | None:
        with self._lock:
            recent = list(values)
        if not recent:
            return None
        p50, p99 = np.percentile(recent, (50, 99))
        return float(p50), float(p99)
