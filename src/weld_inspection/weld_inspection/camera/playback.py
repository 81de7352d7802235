"""A recording played as if it were a camera."""

import threading
from collections.abc import Iterator
from dataclasses import replace

from weld_inspection.camera.clock import Clock
from weld_inspection.camera.frame import Frame
from weld_inspection.camera.pacer import Pacer
from weld_inspection.camera.prefetch import Prefetch
from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError, FrameSource

PREFETCHED_FRAMES = 16  # 0.8 s at 20 Hz, 44 MB of 1280x720
# A longer step between recorded stamps is a jump of the recording's clock, or a pause that nobody
# wants to sit through: it is played as one frame period. The stamps say what was recorded.
LONGEST_PAUSE_NS = 10_000_000_000


class Playback(FrameSource):
    """Plays a recording in real time, decoding ahead.

    A recording with stamps keeps them and its pace; one without gets nominal ones: t0 + k / rate.
    Frames are never skipped, except for those that cannot be decoded: they leave their gap.
    """

    def __init__(
        self, recording: Recording, *, frame_rate: float = 0.0, loop: bool = False, clock: Clock
    ) -> None:
        """Starts to decode.

        Args:
            recording: Closed with the source.
            frame_rate: Frames a second; 0 takes the recording's own pace.
            loop: Begin again at the end. Recorded stamps then go on by the recording's length, so
                that they never go back.
            clock: What frames are released by and, without recorded stamps, stamped with.

        Raises:
            CameraError: Neither the recording nor the caller says how fast to play.
        """
        rate = frame_rate or recording.frame_rate
        if rate <= 0:
            recording.close()
            raise CameraError(f"{recording.name} does not say its frame rate: give frame_rate")
        self._recording, self._rate, self._loop = recording, rate, loop
        self._own_pace = not frame_rate
        self.recoverable = recording.remote
        self._stop = threading.Event()
        self._pacer = Pacer(clock, round(1e9 / rate), self._stop)
        self._frames = 0
        self._offset_ns = 0
        self._last_stamp_ns: int | None = None
        self._prefetch = Prefetch(self._decode(), PREFETCHED_FRAMES, recording.close, "decode")

    @property
    def name(self) -> str:
        """See FrameSource."""
        return self._recording.name

    @property
    def frame_rate(self) -> float:
        """See FrameSource."""
        return self._rate

    @property
    def width(self) -> int:
        """See FrameSource."""
        return self._recording.width

    @property
    def height(self) -> int:
        """See FrameSource."""
        return self._recording.height

    def read(self) -> Frame | None:
        """See FrameSource."""
        item = self._prefetch.get()
        if item is None:
            return None
        self.damaged += item.skipped
        self._frames += item.skipped
        due = self._pacer.wait_for(self._offset_of(item))
        self.late, self.reanchored = self._pacer.late, self._pacer.reanchored
        if self._stop.is_set():
            return None
        self._frames += 1
        return Frame(item.image, due if item.stamp_ns is None else item.stamp_ns)

    def resume(self) -> None:
        """See FrameSource; the recording goes on where it was."""
        self._pacer.resume()

    def close(self) -> None:
        """See FrameSource."""
        self._stop.set()
        self._prefetch.close()

    def _offset_of(self, item: RecordedImage) -> int:
        """Time of a picture since the first one, in nanoseconds."""
        if item.stamp_ns is None or not self._own_pace:
            return round(self._frames * 1e9 / self._rate)
        if self._last_stamp_ns is not None:
            step = item.stamp_ns - self._last_stamp_ns
            if not 0 <= step <= LONGEST_PAUSE_NS:
                step = round(1e9 / self._rate)
            self._offset_ns += step
        self._last_stamp_ns = item.stamp_ns
        return self._offset_ns

    def _decode(self) -> Iterator[RecordedImage]:
        """All pictures in order, pass after pass if looping; runs in the prefetch thread."""
        shift_ns = 0
        while True:
            played, first, last = 0, None, None
            while (item := self._recording.read()) is not None:
                if item.stamp_ns is not None:
                    first = item.stamp_ns if first is None else first
                    last = item.stamp_ns
                    item = replace(item, stamp_ns=item.stamp_ns + shift_ns)
                yield item
                played += 1
            if not self._loop:
                return
            if not played:
                raise CameraError(f"{self.name} has become empty")
            if first is not None and last is not None:
                shift_ns += last - first + round(1e9 / (self._recording.frame_rate or self._rate))
            self._recording.rewind()
