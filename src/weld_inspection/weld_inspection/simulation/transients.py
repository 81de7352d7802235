"""Sparks and droplets in flight: seen for a frame or two, at places of their own."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from weld_inspection.simulation.rigs import Rig

# A spark or droplet crosses the view within this many frames.
LIFE = 2


@dataclass(frozen=True, slots=True)
class _Group:
    """Droplets that fly together.

    Attributes:
        centres: Places in the view, (N, 2) pixels.
        radii: In pixels, N.
        shapes: How far each is stretched, in which direction, and the phase of its lobes.
        tone: Their colour, (3,) float32 BGR, 0 to 255.
        lit_from: Direction from which their rims are lit, radians.
    """

    centres: np.ndarray
    radii: list[float]
    shapes: list[list[float]]
    tone: np.ndarray
    lit_from: float


class Transients:
    """What flies between camera and plate: bright streaks, and dark round droplets.

    In a single frame droplets look like pores, and a swarm of them like a pore cluster. They are
    gone or elsewhere in the next frame while the seam moves on by its own few pixels: a window of
    frames tells the two apart. Transients are never in a mask.
    """

    def __init__(self, rig: Rig, seed: int, width: int, height: int) -> None:
        """Prepares the transients of one camera.

        Args:
            rig: Gives the mean numbers of sparks and droplets born in a frame.
            seed: Any non-negative integer.
            width: Width of the view in pixels.
            height: Height of the view in pixels.
        """
        self._rig = rig
        self._seed = seed
        self._width = width
        self._height = height

    def draw(self, image: np.ndarray, k: int) -> None:
        """Draws the transients of frame k into an image.

        Args:
            image: (height, width, 3) uint8 BGR, changed in place.
            k: Number of the frame.
        """
        for birth in range(max(0, k - LIFE + 1), k + 1):
            rng = np.random.default_rng([self._seed, 10, birth])
            # Sparks come in bursts: most frames have few, some a shower.
            burst = rng.gamma(0.6, 1 / 0.6)
            for _ in range(rng.poisson(self._rig.sparks * burst)):
                self._spark(image, rng, k - birth)
        for group in self._groups(k):
            for centre, radius, shape in zip(group.centres, group.radii, group.shapes, strict=True):
                self._droplet(image, centre, radius, shape, group)

    def droplets(self, k: int) -> bool:
        """Whether any droplet may be in view in frame k."""
        return bool(self._groups(k))

    def _spark(self, image: np.ndarray, rng: np.random.Generator, age: int) -> None:
        """One glowing particle, drawn out to a streak by the exposure."""
        place = rng.uniform(0, 1, 2) * (self._width, self._height)
        direction = rng.uniform(0, 2 * np.pi)
        length = rng.uniform(8, 150)
        life = rng.integers(1, LIFE + 1)
        thickness = int(rng.integers(1, 4))
        heat = rng.uniform(0.35, 1.0)
        step = np.array([np.cos(direction), np.sin(direction)])
        if age >= life:
            return
        start = place + age * rng.uniform(1.5, 4.0) * length * step
        end = start + length * step
        margin = 14
        low = np.floor(np.minimum(start, end)).astype(int) - margin
        high = np.ceil(np.maximum(start, end)).astype(int) + margin
        low = np.maximum(low, 0)
        high = np.minimum(high, (self._width, self._height))
        if (high <= low).any():
            return
        roi = image[low[1] : high[1], low[0] : high[0]]
        glow = np.zeros(roi.shape, np.uint8)
        ends = [tuple(int(v) for v in np.rint((p - low) * 8)) for p in (start, end)]
        orange = (30 * heat, 110 * heat, 200 * heat)
        cv2.line(glow, ends[0], ends[1], orange, thickness + 4, cv2.LINE_AA, shift=3)
        glow = cv2.blur(glow, (9, 9))
        white = (120 + 120 * heat, 200 + 55 * heat, 255)
        cv2.line(glow, ends[0], ends[1], white, thickness, cv2.LINE_AA, shift=3)
        cv2.add(roi, cv2.blur(glow, (3, 3)), dst=roi)

    def _groups(self, k: int) -> list["_Group"]:
        """The groups of droplets in frame k: a few large ones, or a swarm of small ones each.

        Numbers and sizes are about those that `cavities.paint_pores` gives pores.
        """
        groups = []
        for birth in range(max(0, k - LIFE + 1), k + 1):
            rng = np.random.default_rng([self._seed, 13, birth])
            for _ in range(rng.poisson(self._rig.spatter * rng.gamma(0.8, 1 / 0.8))):
                place = rng.uniform(0.05, 0.95, 2) * (self._width, self._height)
                if rng.random() < 0.6:  # most cross the seam, where they are mistaken for pores
                    place[1] = self._height * np.clip(rng.normal(0.5, 0.1), 0.1, 0.9)
                direction = rng.uniform(0, 2 * np.pi)
                jump = rng.uniform(90, 420) * np.array([np.cos(direction), np.sin(direction)])
                life = rng.integers(1, LIFE + 1)
                if rng.random() < 0.45:
                    count, spread = int(rng.integers(12, 40)), rng.uniform(45, 110)
                    radii = rng.uniform(4, 13, count)
                else:
                    count, spread = int(rng.integers(1, 5)), rng.uniform(40, 85)
                    radii = rng.uniform(14, 36, count)
                spots = spread * np.clip(rng.standard_normal((count, 2)), -1.8, 1.8) * (1, 0.5)
                tone = np.array([1, rng.uniform(1, 1.25), rng.uniform(1, 1.6)])
                tone = 255 * rng.uniform(0.02, 0.1) * tone
                shapes = rng.uniform((1, 0, 0), (1.35, np.pi, 6), (count, 3)).tolist()
                lit_from = rng.uniform(0, 2 * np.pi)
                if k - birth < life:
                    centres = place + spots + (k - birth) * jump
                    tone = tone.astype(np.float32)
                    groups.append(_Group(centres, radii.tolist(), shapes, tone, lit_from))
        return groups

    def _droplet(
        self,
        image: np.ndarray,
        centre: np.ndarray,
        radius: float,
        shape: list[float],
        group: "_Group",
    ) -> None:
        """One dark disc, a little out of round, with the shade and the lit rim that a pore has."""
        reach = 2 * radius + 6
        low = np.maximum(np.floor(centre - reach).astype(int), 0)
        high = np.minimum(np.ceil(centre + reach).astype(int) + 1, (self._width, self._height))
        if (high <= low).any():
            return
        roi = image[low[1] : high[1], low[0] : high[0]]
        x = np.arange(low[0], high[0], dtype=np.float32) - np.float32(centre[0])
        y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(centre[1])
        stretch, lean, phase = shape
        cos, sin = math.cos(lean), math.sin(lean)
        a, b = (x * cos + y * sin) / stretch, (y * cos - x * sin) * stretch
        distance = np.sqrt(a * a + b * b)
        distance *= 1 + 0.07 * np.sin(3 * np.arctan2(b, a) + phase)
        shade = 1 - 0.3 * np.exp(-(((distance - radius) / (0.35 * radius + 2)) ** 2))
        rim = np.exp(-(((distance - 1.12 * radius) / (0.2 * radius + 1)) ** 2))
        towards = (x * math.cos(group.lit_from) + y * math.sin(group.lit_from)) / np.maximum(
            distance, 1
        )
        shade *= 1 + 0.35 * rim * towards
        opacity = np.clip((radius - distance) / 3, 0, 1)[..., None]
        lit = roi * shade[..., None]
        roi[:] = np.clip(lit + (group.tone - lit) * opacity, 0, 255).astype(np.uint8)
