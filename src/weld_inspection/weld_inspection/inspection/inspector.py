"""Frames in, decisions out: the one path of live, offline and replayed inspection."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.decision import DecisionSettings, decide
from weld_inspection.inspection.preprocessing import resize_frame
from weld_inspection.inspection.regions import Region, find_regions
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry
from weld_inspection.inspection.tracks import DefectTracks, number_there
from weld_inspection.inspection.windows import FrameWindow, FrameWindows, WindowFrame


class Engine(Protocol):
    """What an inspector needs of an inference engine."""

    @property
    def info(self) -> Any:
        """Tells at least `width`, `height` and `window` of the network's input."""

    def look(self, frame: np.ndarray) -> Any:
        """(H, W, 3) uint8 RGB to what `advance` takes of it."""

    def advance(self, progress: Any, look: Any) -> Any:
        """A window so far, None before its first frame, and the next frame to the window so far."""

    def judge(self, progress: Any) -> np.ndarray:
        """A window of T frames to (T, H, W) float32 defect probabilities."""


class WindowsAtOnce:
    """The part of an engine that does nothing before a window is full: `judge` gets its frames."""

    def look(self, frame: np.ndarray) -> np.ndarray:
        """Leaves the frame as it is."""
        return frame

    def advance(
        self, frames: tuple[np.ndarray, ...] | None, frame: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Collects the frames of a window."""
        return (*(frames or ()), frame)


class Look(NamedTuple):
    """What the engine made of a frame by itself.

    Attributes:
        look: For the engine's `advance`.
        seconds: How long it took.
    """

    look: Any
    seconds: float


class Unfinished(NamedTuple):
    """What the engine has done of a window so far.

    Attributes:
        frames: The window's first frames.
        progress: For the engine's `judge`, of these frames; None of none.
        seconds: How long that kept the inspection, looks at frames of earlier windows left out.
    """

    frames: tuple[WindowFrame, ...] = ()
    progress: Any = None
    seconds: float = 0.0


class KnownFrame(NamedTuple):
    """What a window is to know of a frame that the window before had, too.

    Attributes:
        carriage: Position of the carriage in metres, NaN where not known.
        regions: Regions of the frame that have their numbers.
    """

    carriage: float
    regions: list[Region]


@dataclass(frozen=True, slots=True, eq=False)
class InspectedFrame:
    """A frame that got its mask.

    Attributes:
        stamp_ns: Capture time in nanoseconds.
        mask: (H, W) uint8, 0 or 255, at the network's size, of the first window with the frame.
        regions: The mask's regions, largest first.
        carriage: Position of the carriage in metres, NaN where not known.
        seam_position: Place of the image's centre along the seam in metres, NaN where not known.
        tag: What was given with the frame.
        image: (H, W, 3) uint8, BGR, as captured, where it was kept.
    """

    stamp_ns: int
    mask: np.ndarray
    regions: tuple[Region, ...]
    carriage: float
    seam_position: float
    tag: Any
    image: np.ndarray | None


@dataclass(frozen=True, slots=True, eq=False)
class WindowResult:
    """What a window came to.

    Attributes:
        frames: The window's frames that no earlier result holds, oldest first.
        start_ns: Capture time of the window's first frame in nanoseconds.
        end_ns: Capture time of the window's last frame in nanoseconds.
        defective: Eq. (9).
        defect_pixels: Defect pixels of all T frames, at the network's size.
        frame_defect_pixels: The same of each frame.
        pixel_threshold: theta of eq. (9) as it was applied.
        confidence: Highest defect probability in the window.
        regions: For each defect seen in the window its regions in the last frame that shows it,
            largest first. They are of this window's own masks, as all but `frames` is.
        frames_dropped: Frames since the last result's last frame that are in no result: lost
            before they came, broken off with their window, or in windows that were dropped; and
            those of results before it that were taken back.
        inference_time: Seconds that the network kept this inspection waiting, of frames looked at
            ahead too; not what it did beside something else.
        tag: What was given with the window's last frame.
        image_width: Width of the camera's image in pixels.
        image_height: Height of the camera's image in pixels.
    """

    frames: tuple[InspectedFrame, ...]
    start_ns: int
    end_ns: int
    defective: bool
    defect_pixels: int
    frame_defect_pixels: tuple[int, ...]
    pixel_threshold: int
    confidence: float
    regions: tuple[Region, ...]
    frames_dropped: int
    inference_time: float
    tag: Any
    image_width: int
    image_height: int


class Inspector:
    """Ties windows, network, decision, regions and tracks together.

    Offline, `add` does it all. Live, one thread calls `collect` and another `inspect`, so that
    frames go on being collected while the network works; between windows, `work_ahead` does what
    can be done of frames whose window is not full yet.

    Attributes:
        settings: The decision's thresholds; may be replaced at any time and holds from the next
            window on.
        windows: The collector of windows, with its counters.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        settings: DecisionSettings | None = None,
        windows: FrameWindows | None = None,
        geometry: SeamGeometry | None = None,
        carriage: CarriagePositions | None = None,
    ) -> None:
        """Starts with no frame and no defect.

        Args:
            engine: The network.
            settings: The decision's thresholds.
            windows: The collector of windows, of the network's T; without overlap by default.
            geometry: How the camera sits on the carriage.
            carriage: The carriage's positions; none are known by default.

        Raises:
            InspectionError: The windows are not of the length that the network takes.
        """
        self._engine = engine
        self.settings = settings or DecisionSettings()
        self.windows = windows or FrameWindows(engine.info.window)
        if self.windows.length != engine.info.window:
            raise InspectionError(
                f"windows of {self.windows.length} frames do not fit a network that takes "
                f"{engine.info.window}"
            )
        self._geometry = geometry or SeamGeometry()
        self._carriage = carriage or CarriagePositions()
        self._tracks = DefectTracks(self._geometry)
        self._last_number = 0  # of the newest frame that has its mask
        self._frames_lost = 0  # until that frame
        self._taken_back = 0  # frames of results since the last one handed on
        # The frames that are there of the next window, and what the engine made of them so far.
        self._next: tuple[WindowFrame, ...] = ()
        self._unfinished = Unfinished()
        self._looks: dict[int, Look] = {}  # by frame number
        self._known: dict[int, KnownFrame] = {}  # the last window's frames, by number

    def add(
        self, image: np.ndarray, stamp_ns: int, *, encoding: str = "bgr8", tag: Any = None
    ) -> list[WindowResult]:
        """Takes the next frame and inspects the window it completes, if it does.

        Args:
            image: (H, W, 3) uint8, BGR.
            stamp_ns: Capture time in nanoseconds.
            encoding: The camera's encoding; a change of it begins a new window.
            tag: Handed back with the frame's result.

        Returns:
            The results that this frame completes: none or one.
        """
        window = self.collect(image, stamp_ns, encoding=encoding, tag=tag)
        return [] if window is None else [self.inspect(window)]

    def collect(
        self,
        image: np.ndarray,
        stamp_ns: int,
        *,
        encoding: str = "bgr8",
        tag: Any = None,
        keep_image: bool = False,
    ) -> FrameWindow | None:
        """Resizes the next frame and puts it into its window.

        Args:
            image: (H, W, 3) uint8, BGR.
            stamp_ns: Capture time in nanoseconds.
            encoding: The camera's encoding; a change of it begins a new window.
            tag: Handed back with the frame's result.
            keep_image: Whether the result shall hold the image.

        Returns:
            The window that this frame completes, None where it completes none.
        """
        info = self._engine.info
        height, width = image.shape[:2]
        window = self.windows.add(
            resize_frame(image, info.width, info.height),
            stamp_ns,
            image_width=width,
            image_height=height,
            encoding=encoding,
            tag=tag,
            image=image if keep_image else None,
        )
        # None at once after a full window, which is to be inspected first.
        self._next = self.windows.unfinished if window is None else ()
        return window

    def work_ahead(self) -> bool:
        """Does what can be done of a frame whose window is not full yet: less is to do when it is.

        Returns:
            Whether more such frames wait.
        """
        frames = self._next
        if not self._advance(frames):
            return False
        return len(self._unfinished.frames) < len(frames)

    def inspect(self, window: FrameWindow) -> WindowResult:
        """Inspects a window. Windows may be left out but must come in order.

        Args:
            window: Of `collect`.

        Returns:
            What the window came to.

        Raises:
            InspectionError: The network's answer is no probability: such a window must not pass
                for a sound one.
        """
        settings = self.settings
        while self._advance(window.frames):
            pass
        began = time.perf_counter()
        probabilities = self._engine.judge(self._unfinished.progress)
        inference_time = self._unfinished.seconds + time.perf_counter() - began
        self._unfinished = Unfinished()
        if not np.isfinite(probabilities).all():
            raise InspectionError("the network's answer is not a number: use another model file")
        decision = decide(probabilities, settings)
        first_new = self._tracks.next_number
        fresh: list[InspectedFrame] = []
        known: dict[int, KnownFrame] = {}
        regions: list[Sequence[Region]] = []
        for frame, mask, probability in zip(
            window.frames, decision.masks, probabilities, strict=True
        ):
            found = find_regions(
                mask,
                probability,
                image_width=window.image_width,
                image_height=window.image_height,
                min_area=settings.min_region_area,
                stamp_ns=frame.stamp_ns,
            )
            if frame.number > self._last_number:
                inspected = self._inspect_frame(frame, mask, found, window.image_width)
                fresh.append(inspected)
                regions.append(inspected.regions)
                known[frame.number] = KnownFrame(inspected.carriage, list(inspected.regions))
            else:
                known[frame.number] = self._known[frame.number]
                regions.append(self._place(found, known[frame.number].carriage, window.image_width))
        self._known = known
        told, numbers = self._last_seen(window, regions, first_new)
        if numbers:
            fresh = [_renumbered(frame, numbers) for frame in fresh]
        last = window.frames[-1]
        frames_dropped = last.number - self._last_number - len(fresh)
        frames_dropped += window.frames_lost - self._frames_lost + self._taken_back
        self._taken_back = 0
        self._last_number, self._frames_lost = last.number, window.frames_lost
        return WindowResult(
            frames=tuple(fresh),
            start_ns=window.frames[0].stamp_ns,
            end_ns=last.stamp_ns,
            defective=decision.defective,
            defect_pixels=decision.defect_pixels,
            frame_defect_pixels=decision.frame_defect_pixels,
            pixel_threshold=settings.pixel_threshold,
            confidence=decision.confidence,
            regions=told,
            frames_dropped=frames_dropped,
            inference_time=inference_time,
            tag=last.tag,
            image_width=window.image_width,
            image_height=window.image_height,
        )

    def take_back(self, result: WindowResult) -> None:
        """Counts the last result's frames as dropped, with the next one: nobody has got it."""
        self._taken_back = len(result.frames) + result.frames_dropped

    def _advance(self, frames: tuple[WindowFrame, ...]) -> bool:
        """Lets the engine do the next one of a window's frames.

        Args:
            frames: The window's, as far as they are there.

        Returns:
            Whether there was one.
        """
        done = self._unfinished
        if frames[: len(done.frames)] != done.frames:  # those of another window
            done = Unfinished()
        if len(done.frames) == len(frames):
            return False
        frame = frames[len(done.frames)]
        look = self._look(frame)
        began = time.perf_counter()
        progress = self._engine.advance(done.progress, look.look)
        seconds = done.seconds + time.perf_counter() - began
        if frame.number > self._last_number:
            seconds += look.seconds
        self._unfinished = Unfinished((*done.frames, frame), progress, seconds)
        return True

    def _look(self, frame: WindowFrame) -> Look:
        """What the engine makes of a frame by itself, asked of it once a frame."""
        if frame.number not in self._looks:
            began = time.perf_counter()
            look = self._engine.look(frame.pixels)
            self._looks[frame.number] = Look(look, time.perf_counter() - began)
            oldest = frame.number - self.windows.length  # in no window with this frame or later
            self._looks = {number: look for number, look in self._looks.items() if number > oldest}
        return self._looks[frame.number]

    def _inspect_frame(
        self, frame: WindowFrame, mask: np.ndarray, regions: list[Region], image_width: int
    ) -> InspectedFrame:
        """Follows and places the regions of a frame's mask."""
        carriage = self._carriage.position(frame.stamp_ns)
        regions = self._tracks.update(
            regions, frame.stamp_ns, image_width=image_width, carriage=carriage
        )
        placed = tuple(self._place(regions, carriage, image_width))
        center = self._geometry.position(carriage, 0.0, 1)  # of an image one pixel wide
        return InspectedFrame(
            frame.stamp_ns, mask, placed, carriage, center, frame.tag, frame.image
        )

    def _place(self, regions: list[Region], carriage: float, image_width: int) -> list[Region]:
        """Tells where along the seam regions of a frame lie."""
        return [
            replace(
                region,
                seam_position=self._geometry.position(carriage, region.center_x, image_width),
            )
            for region in regions
        ]

    def _last_seen(
        self, window: FrameWindow, regions: Sequence[Sequence[Region]], first_new: int
    ) -> tuple[tuple[Region, ...], dict[int, int]]:
        """The regions of each defect in the last of the window's frames that shows it.

        What is one defect is told within the window alone. Tracks know of earlier windows, and by
        them a replay that begins later would pick other regions of the same masks. Only the
        numbers are the tracks'.

        Args:
            window: The window; its frames are known.
            regions: Of each of its frames, by the window's own masks; without numbers where the
                frame has had its mask from an earlier window.
            first_new: The first number of the defects that are followed since this window.

        Returns:
            The regions, largest first; and which of the numbers since `first_new` have become
            those by which an earlier window has told of the defect, in hindsight.
        """
        tracks = DefectTracks(self._geometry)
        known = [self._known[frame.number] for frame in window.frames]
        defects = [
            tracks.update(
                list(of_frame),
                frame.stamp_ns,
                image_width=window.image_width,
                carriage=at.carriage,
            )
            for frame, of_frame, at in zip(window.frames, regions, known, strict=True)
        ]
        newest_first = list(zip(regions, defects, known, strict=True))[::-1]
        # By the numbers of the defects told apart here.
        followed: dict[int, int] = {}
        earlier: dict[int, int] = {}
        for of_frame, told_apart, at in newest_first:
            for region, defect in zip(of_frame, told_apart, strict=True):
                if region.track_id:
                    followed.setdefault(defect.track_id, region.track_id)
                elif number := number_there(region, at.regions):
                    earlier.setdefault(defect.track_id, number)
        renumbered = {
            number: earlier[defect]
            for defect, number in followed.items()
            if number >= first_new
            and defect in earlier
            and self._tracks.renumber(number, earlier[defect])
        }
        seen: set[int] = set()
        chosen: list[Region] = []
        for of_frame, told_apart, at in newest_first:
            for region, defect in zip(of_frame, told_apart, strict=True):
                if defect.track_id in seen:
                    continue
                number = region.track_id or followed.get(defect.track_id, 0)
                number = renumbered.get(number, number)
                if not number:
                    if defect.track_id not in earlier:
                        earlier[defect.track_id] = self._tracks.take_number()
                    number = earlier[defect.track_id]
                chosen.append(replace(region, track_id=number))
                if not region.track_id:
                    at.regions.append(chosen[-1])  # for the windows to come
            seen.update(defect.track_id for defect in told_apart)
        if renumbered:
            for at in known:
                at.regions[:] = [_with_number(region, renumbered) for region in at.regions]
        return tuple(sorted(chosen, key=lambda region: -region.area)), renumbered


def _renumbered(frame: InspectedFrame, numbers: dict[int, int]) -> InspectedFrame:
    """A frame with other numbers of some of its regions' defects."""
    return replace(frame, regions=tuple(_with_number(item, numbers) for item in frame.regions))


def _with_number(region: Region, numbers: dict[int, int]) -> Region:
    """The region, with another number if its defect has one."""
    return replace(region, track_id=numbers.get(region.track_id, region.track_id))
