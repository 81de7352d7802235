"""Where along the seam a frame, and a region in it, lies."""

import math
import threading
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.stamps import NANOSECONDS

# How long states are kept after the newest, however many: far longer than a frame waits.
KEPT_NS = 40 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class SeamGeometry:
    """How the camera sits on the carriage.

    Attributes:
        metres_per_pixel: Metres of seam to a pixel of the camera's image along x; 0 where it is
            not known: a region then has the position of the image's centre.
        camera_offset: Metres from the carriage's reference point to the seam under the image's
            centre, positive in the direction of travel.
        direction: +1 where the image's x axis points along the seam, -1 where against it.
    """

    metres_per_pixel: float = 3.75e-5
    camera_offset: float = 0.0
    direction: int = 1

    def __post_init__(self) -> None:
        """Checks the bounds.

        Raises:
            InspectionError: A number is out of its bounds.
        """
        if not 0.0 <= self.metres_per_pixel < math.inf:
            raise InspectionError(f"metres_per_pixel {self.metres_per_pixel} must be 0 or more")
        if self.direction not in (-1, 1):
            raise InspectionError(f"direction {self.direction} must be 1 or -1")

    def position(self, carriage: float, center_x: float, image_width: int) -> float:
        """Place along the seam of a column of the image.

        Args:
            carriage: Position of the carriage in metres.
            center_x: Column, in pixels of the camera's image.
            image_width: Width of the camera's image.

        Returns:
            Metres along the seam; NaN where the carriage's position is.
        """
        from_center = (center_x - (image_width - 1) / 2) * self.metres_per_pixel * self.direction
        return carriage + self.camera_offset + from_center

    def shift(self, before: np.ndarray, now: float) -> np.ndarray:
        """How far the seam moves through the image while the carriage moves.

        Args:
            before: (n,) positions of the carriage in metres.
            now: Its position later.

        Returns:
            (n,) pixels along the image's x axis, NaN where that is not known.
        """
        scale = self.metres_per_pixel or math.nan
        return -(now - before) * self.direction / scale


class CarriagePositions:
    """The carriage's positions of the last while, asked for at the stamps of frames.

    One thread may add while another asks.
    """

    def __init__(self, max_age: float = 1.0) -> None:
        """Starts with no position.

        Args:
            max_age: Longest time in seconds from the asked moment to a state that still tells the
                position at it; between two states that lie further apart nothing is interpolated.
        """
        self._max_age_ns = round(max_age * NANOSECONDS)
        self._lock = threading.Lock()
        self._stamps: list[int] = []
        # Position m, speed m/s, weld_id and pass_number.
        self._states: list[tuple[float, float, tuple[str, int]]] = []

    def add(
        self,
        stamp_ns: int,
        position: float,
        speed: float = 0.0,
        weld_id: str = "",
        pass_number: int = 0,
    ) -> None:
        """Takes a state of the carriage.

        A stamp that goes back means another clock: what was heard by the old one is forgotten. A
        position that is not finite is left out.
        """
        if not math.isfinite(position):
            return
        speed = speed if math.isfinite(speed) else 0.0
        with self._lock:
            if self._stamps and stamp_ns <= self._stamps[-1]:
                if stamp_ns == self._stamps[-1]:
                    return
                self._stamps.clear()
                self._states.clear()
            self._stamps.append(stamp_ns)
            self._states.append((position, speed, (weld_id, pass_number)))
            if stamp_ns - self._stamps[0] > KEPT_NS * 5 // 4:  # many at once, not one each time
                old = bisect_right(self._stamps, stamp_ns - KEPT_NS)
                del self._stamps[:old]
                del self._states[:old]

    def position(self, stamp_ns: int) -> float:
        """Returns the position in metres at a moment, NaN where no state near it was heard."""
        before, after = self._around(stamp_ns)
        if before and after and before[1][2] == after[1][2]:
            (t0, (p0, _, _)), (t1, (p1, _, _)) = before, after
            return p0 + (p1 - p0) * (stamp_ns - t0) / (t1 - t0)
        # Before the first state, after the last, or from one weld or pass to the next.
        nearest = before or after
        if nearest is None:
            return math.nan
        stamp, (position, speed, _) = nearest
        return position + speed * (stamp_ns - stamp) / NANOSECONDS

    def weld_id(self, stamp_ns: int) -> str:
        """Returns the weld worked on at a moment, empty where no state near it was heard."""
        before, after = self._around(stamp_ns)
        nearest = before or after
        return nearest[1][2][0] if nearest else ""

    def _around(self, stamp_ns: int) -> tuple[tuple | None, tuple | None]:
        """The states at or before and after a moment, each None where it is too far away."""
        with self._lock:
            index = bisect_right(self._stamps, stamp_ns)
            before = after = None
            if index > 0 and stamp_ns - self._stamps[index - 1] <= self._max_age_ns:
                before = (self._stamps[index - 1], self._states[index - 1])
            if index < len(self._stamps) and self._stamps[index] - stamp_ns <= self._max_age_ns:
                after = (self._stamps[index], self._states[index])
        return before, after
