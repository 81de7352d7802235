"""Whether the inspection fares well: a judgement on its counters, for diagnostics."""

import time
from dataclasses import dataclass
from enum import IntEnum

from weld_inspection.inspection.statistics import InspectionStatistics
from weld_inspection.inspection.windows import FrameWindows
from weld_inspection.stamps import NANOSECONDS

# A camera this long without a frame is told of (s).
SILENCE = 2.0
# Frames that come for this long, and twice a window's length, must have filled a window (s).
FILLING = 5.0


class Level(IntEnum):
    """How bad a finding is."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say."""

    level: Level
    sentence: str


class InspectionHealth:
    """Compares the counters with those of the last look."""

    def __init__(self, statistics: InspectionStatistics, windows: FrameWindows) -> None:
        """Begins at the present counters.

        Args:
            statistics: Counters of the pipeline.
            windows: The collector of windows.
        """
        self._statistics = statistics
        self._windows = windows
        self._counts = self._read()
        self._full_time = time.monotonic()  # when a window was last seen to be full
        self._causes = self._read_causes()  # as of then

    def look(self) -> list[Finding]:
        """Returns what is to be said of the time since the last look; nothing if all is well."""
        before, self._counts = self._counts, self._read()
        overrun, refused, lost, dropped, failed, done, unseen = (
            now - then for now, then in zip(self._counts, before, strict=True)
        )
        now = time.monotonic()
        silence = self._statistics.since_last_frame()
        silent = silence is None or silence > SILENCE
        if silent or dropped or failed or done:
            self._full_time, self._causes = now, self._read_causes()
        findings = []
        if self._statistics.last_failure:
            findings.append(Finding(Level.ERROR, self._statistics.last_failure))
        if silent:
            last = "yet" if silence is None else f"for {silence:.1f} s"
            findings.append(Finding(Level.WARN, f"no frame {last}"))
        elif now - self._full_time > self._filling_time():
            findings.append(Finding(Level.ERROR, f"frames come, but {self._why_unfilled()}"))
        if dropped:
            findings.append(
                Finding(Level.WARN, f"inference falls behind, {dropped} windows dropped")
            )
        if overrun:
            findings.append(Finding(Level.WARN, f"{overrun} images not read in time"))
        if refused:
            sentence = f"{refused} images refused: {self._statistics.last_refusal}"
            findings.append(Finding(Level.WARN, sentence))
        if lost:
            findings.append(Finding(Level.WARN, f"{lost} frames lost"))
        if unseen:
            reason = self._statistics.last_overlay_failure
            sentence = f"overlays of {unseen} windows failed: {reason}"
            findings.append(Finding(Level.WARN, sentence))
        return findings

    def _read(self) -> tuple[int, ...]:
        counts = self._statistics
        return (
            counts.frames_overrun,
            counts.frames_refused,
            self._windows.frames_lost,
            counts.windows_dropped,
            counts.windows_failed,
            counts.windows_inspected,
            counts.overlays_failed,
        )

    def _filling_time(self) -> float:
        period = (self._windows.period_ns or 0.0) / NANOSECONDS
        return FILLING + 2 * self._windows.length * period

    def _read_causes(self) -> dict[str, int]:
        """What keeps windows from getting full, and how often that was."""
        counts, windows = self._statistics, self._windows
        restarts = windows.restarts.copy()  # another thread adds to it
        return {f"broken off by {cause.value}": n for cause, n in restarts.items()} | {
            "their stamps do not change": windows.frames_repeated,
            "they cannot be read": counts.frames_refused,
        }

    def _why_unfilled(self) -> str:
        """Why no window has got full since the last one did."""
        before = self._causes
        causes = {cause: n - before.get(cause, 0) for cause, n in self._read_causes().items()}
        cause = max(causes, key=causes.get)
        return f"no window fills: {cause} ({causes[cause]} times)"
