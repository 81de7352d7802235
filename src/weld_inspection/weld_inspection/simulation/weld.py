"""The simulated weld: a camera on a rig that travels along a rendered seam."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.defects import PlantedDefect, check_classes, plant_defects
from weld_inspection.simulation.effects import CameraEffects
from weld_inspection.simulation.look import draw_look
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.simulation.seam import Seam
from weld_inspection.simulation.strip import Strip
from weld_inspection.simulation.surface import METRES_PER_PIXEL, STRIP_HEIGHT

SIMULATION_VERSION = 2
"""Raised when a seed gives other frames than before. 2: knocks, flashes, droplets like pores."""

WIDTH = 1280
HEIGHT = 720
# Half a view's width, and some: the first defect comes into view, the last one leaves it.
_APPROACH = 0.030
# Faster than any weld is made; a frame at 20 Hz then shows the next view.
FASTEST = 1.0  # m/s


class SimulatedWeld:
    """A weld seam with planted defects, seen by a camera that travels along it.

    Deterministic: the same seed, rig and frame number give the same bytes, in any order of calls.
    The view's +x axis is the direction of the seam; without vibration and knocks the pixel in
    column x of frame k shows the seam at
    ``position(k / frame_rate) + (x - 639.5) * rig.metres_per_pixel``.

        weld = SimulatedWeld(seed=3, rig="automatic", duration=30.0)
        image, mask = weld.frame(0)

    Attributes:
        seed: The seed.
        rig: The rig that carries the camera.
        duration: Length of the run in s.
        frame_rate: Frames per second.
        frame_count: Number of frames.
        defects: The planted defects, by their place.
    """

    def __init__(
        self,
        seed: int,
        rig: str = "automatic",
        duration: float = 30.0,
        frame_rate: float = 20.0,
        defects_per_metre: float | None = None,
        classes: Collection[str] = (),
        speed: float | None = None,
    ) -> None:
        """Draws a seam's appearance and plants its defects; frames are rendered on demand.

        Args:
            seed: Any non-negative integer; seam, defects and camera follow from it.
            rig: Name of a rig in RIGS.
            duration: Length of the run in s, > 0.
            frame_rate: Frames per second, > 0.
            defects_per_metre: Density of planted defects; None for the rig's own, 0 for none. They
                lie where they come into view and leave it again, or, in a run that is too short
                for that (up to 60 mm), all over what it sees of the seam.
            classes: Codes in ISO 6520-1 of the only classes to plant; none for all.
            speed: Mean speed along the seam in m/s, at most FASTEST; None for the rig's own.

        Raises:
            InspectionError: An argument is unknown or out of its range.
        """
        if rig not in RIGS:
            raise InspectionError(f"there is no rig '{rig}': choose one of {', '.join(RIGS)}")
        if seed < 0:
            raise InspectionError(f"the seed of a simulated weld must be 0 or more, not {seed}")
        for name, value in (("duration", duration), ("frame_rate", frame_rate)):
            if not 0 < value < float("inf"):
                raise InspectionError(f"{name} of a simulated weld must be above 0, not {value}")
        if defects_per_metre is not None and not 0 <= defects_per_metre <= 100:
            raise InspectionError(
                f"defects_per_metre must be between 0 and 100, not {defects_per_metre}"
            )
        if speed is not None and not 0 < speed <= FASTEST:
            raise InspectionError(
                f"the speed of a simulated weld must be above 0 and at most {FASTEST} m/s, not "
                f"{speed}"
            )
        check_classes(classes)
        self.seed = seed
        self.rig = RIGS[rig] if speed is None else replace(RIGS[rig], speed=speed)
        self.duration = duration
        self.frame_rate = frame_rate
        self.frame_count = max(round(duration * frame_rate), 1)
        rng = np.random.default_rng([seed, 60])
        # The hand's speed swings at two slow frequencies.
        self._swing = rng.uniform(0.12, 0.35, 2) * [1.0, 2.3]
        self._phase = rng.uniform(0, 2 * np.pi, 2)
        self._row = STRIP_HEIGHT / 2 + rng.uniform(-40, 40)
        self._effects = CameraEffects(self.rig, seed, WIDTH, HEIGHT, frame_rate)
        self._seam = Seam(draw_look(seed), seed)
        travel = self.position(duration)
        if travel > 2 * _APPROACH:
            first, last = _APPROACH, travel - _APPROACH
        else:
            half_view = WIDTH / 2 * self.rig.metres_per_pixel
            first, last = -half_view, travel + half_view
        density = self.rig.defects_per_metre if defects_per_metre is None else defects_per_metre
        self.defects: list[PlantedDefect] = plant_defects(
            self._seam,
            seed,
            start=first,
            end=last,
            per_metre=density,
            spacing=min(self.rig.defect_spacing, 1 / density) if density > 0 else 1.0,
            classes=classes,
        )
        self._strip = Strip(self._seam, self.defects, seed)

    def position(self, t: float) -> float:
        """Place of the view's middle along the seam.

        Args:
            t: Time since the start in s; fractions of a frame are welcome.

        Returns:
            Metres along the seam: 0 at t = 0, strictly growing.
        """
        # The integral of speed * (1 + wander * mean of two sines).
        omega = 2 * np.pi * self._swing
        swing = (np.cos(self._phase) - np.cos(omega * t + self._phase)) / omega
        return float(self.rig.speed * (t + self.rig.speed_wander * swing.mean()))

    def speed(self, t: float) -> float:
        """Speed along the seam.

        Args:
            t: Time since the start in s.

        Returns:
            Metres per second, the derivative of position().
        """
        swing = np.sin(2 * np.pi * self._swing * t + self._phase)
        return float(self.rig.speed * (1 + self.rig.speed_wander * swing.mean()))

    def frame(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """One frame and its mask.

        Args:
            k: Number of the frame, 0 to frame_count - 1.

        Returns:
            The image, (720, 1280, 3) uint8 BGR, and the mask, (720, 1280) uint8, 0 or 255.

        Raises:
            InspectionError: There is no such frame.
        """
        return self.image(k), self.mask(k)

    def image(self, k: int) -> np.ndarray:
        """The image of frame(k) alone."""
        t, x0, x = self._look_at(k)
        scale = METRES_PER_PIXEL / self.rig.metres_per_pixel
        speed = self.speed(t) / self.rig.metres_per_pixel
        image, _ = self._strip.window(x0, self._reach())
        return self._effects.image(image, x, self._row, k, scale=scale, speed=speed)

    def mask(self, k: int) -> np.ndarray:
        """The mask of frame(k) alone."""
        _, x0, x = self._look_at(k)
        scale = METRES_PER_PIXEL / self.rig.metres_per_pixel
        _, mask = self._strip.window(x0, self._reach())
        return self._effects.mask(mask, x, self._row, k, scale=scale)

    def render_ahead(self) -> None:
        """Begins to render the seam, in the order in which the camera comes to it.

        Most of a frame's work is then done before it is asked for, for a seam of up to 0.8 m, or
        for so much of a longer one.
        """
        (_, first, _), (_, last, _) = self._look_at(0), self._look_at(self.frame_count - 1)
        self._strip.render_ahead(first, last + self._reach() - first)

    def close(self) -> None:
        """Gives up what is still to be rendered; there are no frames any more."""
        self._strip.close()

    def _reach(self) -> int:
        """Width of the window of the strip that a frame needs, in strip pixels."""
        return int(WIDTH * self.rig.metres_per_pixel / METRES_PER_PIXEL * 1.08) + 64

    def _look_at(self, k: int) -> tuple[float, int, float]:
        """Time, left column of the strip's window, and the view's middle in that window."""
        if not 0 <= k < self.frame_count:
            raise InspectionError(
                f"the simulated weld has frames 0 to {self.frame_count - 1}, not {k}"
            )
        t = k / self.frame_rate
        column = self.position(t) / METRES_PER_PIXEL
        x0 = int(np.floor(column)) - self._reach() // 2
        return t, x0, column - x0
