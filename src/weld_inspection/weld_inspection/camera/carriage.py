"""Where a simulated carriage is when its camera takes a frame."""

from dataclasses import dataclass

from weld_inspection.simulation.weld import SimulatedWeld
from weld_inspection.stamps import NANOSECONDS

# The simulated camera skips no frame: a longer step of its stamps, or one back, is its clock's.
LONGEST_STEP_NS = NANOSECONDS


@dataclass(frozen=True, slots=True)
class CarriagePoint:
    """The carriage at one moment.

    Attributes:
        stamp_ns: The moment, in nanoseconds.
        position: Metres along the seam.
        speed: Metres a second along the seam.
        arc_on: Whether the arc burns.
        pass_number: Pass of the weld, from 0.
    """

    stamp_ns: int
    position: float
    speed: float
    arc_on: bool
    pass_number: int


class SimulatedCarriage:
    """Follows the plan of a simulated weld by the stamps of its frames; renders nothing."""

    def __init__(self, weld: SimulatedWeld, *, loop: bool = False) -> None:
        """Stands at the begin of the weld.

        Args:
            weld: The weld, made like the camera's.
            loop: The weld begins again at its end, as a further pass, instead of ending there.
        """
        self._weld, self._loop = weld, loop
        self._period_ns = NANOSECONDS / weld.frame_rate
        self.restart()

    def restart(self) -> None:
        """Goes back to the begin of the weld."""
        self._elapsed_ns = 0
        self._last_ns: int | None = None

    def follow(self, stamp_ns: int) -> list[CarriagePoint]:
        """Takes the stamp of the camera's next frame.

        Args:
            stamp_ns: In nanoseconds.

        Returns:
            Where the carriage is at it; after the weld's last frame, also where it then stops.
        """
        if self._last_ns is not None:
            step = stamp_ns - self._last_ns
            if not 0 < step <= LONGEST_STEP_NS:
                step = round(self._period_ns)
            self._elapsed_ns += step
        self._last_ns = stamp_ns
        frame = round(self._elapsed_ns / self._period_ns)
        count = self._weld.frame_count
        if self._loop:
            pass_number, frame = divmod(frame, count)
            return [self._point(stamp_ns, frame, pass_number)]
        points = [self._point(stamp_ns, frame, 0)]
        if frame == count - 1:
            points.append(self._point(stamp_ns + round(self._period_ns), count, 0))
        return points

    def _point(self, stamp_ns: int, frame: int, pass_number: int) -> CarriagePoint:
        count = self._weld.frame_count
        welding = frame < count
        t = min(frame, count) / self._weld.frame_rate
        return CarriagePoint(
            stamp_ns=stamp_ns,
            position=self._weld.position(t),
            speed=self._weld.speed(t) if welding else 0.0,
            arc_on=welding,
            pass_number=pass_number,
        )
