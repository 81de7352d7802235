"""Sparks and droplets in flight: seen for a frame or two, at places of their own."""

import cv2
import numpy as np

from weld_inspection.simulation.rigs import Rig

# A spark or droplet crosses the view within this many frames.
LIFE = 2


class Transients:
    """What flies between camera and plate: bright streaks, and dark round droplets.

    In a single frame a droplet, or a swarm of them, looks like a pore or a pore cluster. It is
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
            for _ in range(rng.poisson(self._rig.spatter * rng.gamma(0.8, 1 / 0.8))):
                self._droplets(image, rng, k - birth)

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

    def _droplets(self, image: np.ndarray, rng: np.random.Generator, age: int) -> None:
        """One dark droplet or a swarm of them, out of focus by a little."""
        place = rng.uniform(0.05, 0.95, 2) * (self._width, self._height)
        if rng.random() < 0.6:  # most cross the seam, where they are mistaken for pores
            place[1] = self._height * np.clip(rng.normal(0.5, 0.1), 0.1, 0.9)
        direction = rng.uniform(0, 2 * np.pi)
        jump = rng.uniform(90, 420) * np.array([np.cos(direction), np.sin(direction)])
        life = rng.integers(1, LIFE + 1)
        swarm = rng.random() < 0.45
        count = int(rng.integers(4, 22)) if swarm else 1
        spread = rng.uniform(25, 75) if swarm else 0.0
        centres = place + spread * rng.standard_normal((count, 2)) * (1.3, 0.8)
        radii = rng.uniform(4, 13, count) if swarm else rng.uniform(9, 48, count)
        tone = rng.uniform(12, 46)
        if age >= life:
            return
        for centre, radius in zip(centres + age * jump, radii, strict=True):
            self._droplet(image, centre, radius, tone)

    def _droplet(self, image: np.ndarray, centre: np.ndarray, radius: float, tone: float) -> None:
        """One dark disc with a soft edge and a faint highlight."""
        reach = radius + 4
        low = np.maximum(np.floor(centre - reach).astype(int), 0)
        high = np.minimum(np.ceil(centre + reach).astype(int) + 1, (self._width, self._height))
        if (high <= low).any():
            return
        roi = image[low[1] : high[1], low[0] : high[0]]
        x = np.arange(low[0], high[0], dtype=np.float32) - np.float32(centre[0])
        y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(centre[1])
        distance = np.sqrt(x * x + y * y)
        opacity = np.clip((radius + 1.5 - distance) / 3, 0, 1)[..., None]
        highlight = np.exp(-((x + 0.35 * radius) ** 2 + (y + 0.4 * radius) ** 2) / radius**2 * 9)
        dark = tone + 38 * highlight[..., None]
        roi[:] = (roi + (dark - roi) * (0.94 * opacity)).astype(np.uint8)
