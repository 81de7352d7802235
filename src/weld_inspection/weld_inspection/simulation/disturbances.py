"""What spoils single frames of a camera beside an arc: knocks that blur, flashes that blind."""

from dataclasses import dataclass

import numpy as np

from weld_inspection.simulation.rigs import Rig

# A knock is felt in this many frames, whatever their rate, from one to the next by this factor
# less.
_FRAMES_SHAKEN = 2
_DECAY = 0.45


@dataclass(frozen=True, slots=True)
class Jolt:
    """How the camera moves while one frame is exposed, in view pixels.

    Attributes:
        shift_x: Shift of the picture along x.
        shift_y: Shift of the picture along y.
        blur_x: Width over which the exposure smears a point; 1 for none.
        blur_y: Height over which it does.
    """

    shift_x: float
    shift_y: float
    blur_x: int
    blur_y: int


@dataclass(frozen=True, slots=True)
class Flash:
    """Light of the arc that reaches the camera; places from -1 to 1 over the view.

    Attributes:
        u: Column of its middle.
        v: Row of its middle.
        width: Half width at which it is a third as strong.
        height: Half height at which it is.
        strength: Share of the picture that it drowns in its middle, above 1 for all around it.
    """

    u: float
    v: float
    width: float
    height: float
    strength: float


class Disturbances:
    """Knocks and flashes of one camera: functions of its seed and a frame's number."""

    def __init__(self, rig: Rig, seed: int, frame_rate: float) -> None:
        """Prepares them.

        Args:
            rig: Gives how many knocks there are a second, and the share of frames with a flash.
            seed: Any non-negative integer.
            frame_rate: Frames per second.
        """
        self._rig = rig
        self._seed = seed
        self._frame_rate = frame_rate

    def jolt(self, k: int) -> Jolt | None:
        """What knocks do to frame k; None where the rig runs smoothly."""
        shift, blur = np.zeros(2), np.zeros(2)
        for age in range(min(_FRAMES_SHAKEN, k + 1)):
            rng = np.random.default_rng([self._seed, 11, k - age])
            for _ in range(rng.poisson(self._rig.jolts / self._frame_rate)):
                force = rng.uniform(18, 70) * _DECAY**age
                direction = rng.uniform(0, np.pi)
                along = np.array([np.cos(direction), np.sin(direction)])
                shift += rng.uniform(-0.4, 0.4) * force * along
                blur += force * np.abs(along)
        if not blur.any():
            return None
        # An odd width smears to both sides alike: the mask stays in the middle.
        width, height = (2 * int(part / 2) + 1 for part in np.minimum(blur, 90))
        return Jolt(float(shift[0]), float(shift[1]), width, height)

    def flash(self, k: int) -> Flash | None:
        """The flash in frame k, if there is one."""
        rng = np.random.default_rng([self._seed, 12, k])
        if rng.random() >= self._rig.flashes:
            return None
        u, v = rng.uniform(-0.7, 0.7, 2)
        width, height = rng.uniform(0.5, 1.3, 2)
        return Flash(float(u), float(v), float(width), float(height), float(rng.uniform(0.8, 1.6)))
