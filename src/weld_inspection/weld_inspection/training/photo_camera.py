"""A virtual camera that travels along the seam of a still photograph."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from weld_inspection.simulation.effects import CameraEffects
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.training.clip_metadata import ClipError
from weld_inspection.training.seam_line import find_seam

WIDTH, HEIGHT = 1280, 720
"""The camera's frame, px, as in the paper."""

CROPS = (0.38, 0.62)
"""Width of the view as a share of the photograph's. A photograph holds only so much seam: a view
of 0.38 leaves 1.6 frame widths to travel, one of 0.62 leaves 0.6."""

LIGHT_SHARE = 0.5
"""Share of the rig's falloff and glare that is added: a photograph brings its own light."""

MAX_TILT = math.radians(25.0)
"""The camera turns with the seam up to this angle."""

SEAM_REACH = 0.3
"""How far from the middle of the view the seam may lie, in view heights, to show the defect."""


@dataclass(frozen=True, slots=True)
class PhotoPath:
    """How the camera travels over one photograph; drawn from the seed.

    Attributes:
        crop: Width of the view as a share of the photograph's.
        mirrored: Whether the photograph is mirrored left to right.
        reverse: Whether the camera travels right to left.
        gain: Factor on the rig's brightness, as if the photograph were exposed otherwise.
    """

    crop: float
    mirrored: bool
    reverse: bool
    gain: float


class PhotoCamera:
    """Frames and masks of one passage over one photograph; the same for the same seed.

    The camera goes from one end of the photograph to the other in `frame_count` frames, follows
    the seam's height and direction, and adds the simulation's vibration, knocks, light, flashes,
    glare, blur, noise, smoke, sparks and droplets. The view's height over the seam is chosen
    once, so that most of the defect passes through it.

    Attributes:
        frame_count: Number of frames.
        frame_rate: Frames a second.
        path: How the camera travels.
    """

    def __init__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        *,
        seed: int,
        frame_count: int = 60,
        frame_rate: float = 20.0,
        rig: str = "manual",
    ) -> None:
        """Finds the seam and draws the camera's path.

        Args:
            image: The photograph, (H, W, 3) uint8, BGR.
            mask: Its mask, (H, W) uint8, 0 or 255.
            seed: Draws zoom, direction, mirroring, speed and all effects.
            frame_count: Frames from one end to the other.
            frame_rate: Frames a second.
            rig: Name of the rig whose vibration and light are used, see `simulation.rigs`.

        Raises:
            ClipError: Image and mask differ in size, the rig is unknown, or there are no frames.
        """
        if image.shape[:2] != mask.shape:
            raise ClipError(f"photograph {image.shape[:2]} and mask {mask.shape} differ in size")
        if rig not in RIGS:
            raise ClipError(f"unknown rig {rig!r}: choose one of {', '.join(RIGS)}")
        if frame_count < 1:
            raise ClipError(f"a passage needs 1 frame or more, not {frame_count}")
        self.frame_count = frame_count
        self.frame_rate = float(frame_rate)
        rng = np.random.default_rng([seed, 20])
        self.path = PhotoPath(
            crop=float(rng.uniform(*CROPS)),
            mirrored=bool(rng.random() < 0.5),
            reverse=bool(rng.random() < 0.5),
            gain=float(rng.uniform(0.85, 1.2)),
        )
        if self.path.mirrored:
            image, mask = cv2.flip(image, 1), cv2.flip(mask, 1)
        self._image, self._mask = image, mask
        lit = replace(
            RIGS[rig],
            brightness=RIGS[rig].brightness * self.path.gain,
            falloff=RIGS[rig].falloff * LIGHT_SHARE,
            glare=RIGS[rig].glare * LIGHT_SHARE,
        )
        self._effects = CameraEffects(lit, seed, WIDTH, HEIGHT, self.frame_rate)
        self._plan(rng, RIGS[rig].speed_wander)

    def frame(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Renders frame k.

        Returns:
            The image, (720, 1280, 3) uint8 BGR, and the mask, (720, 1280) uint8, 0 or 255.
        """
        return self._effects.view(
            self._image,
            self._mask,
            self._x[k],
            self._y[k],
            k,
            scale=self._scale,
            angle=self._angle[k],
            speed=self._speed[k],
        )

    def _plan(self, rng: np.random.Generator, speed_wander: float) -> None:
        """Lays down place, direction and speed of the view for each frame."""
        height, width = self._mask.shape
        # A flat photograph limits the view by its height.
        view_width = min(self.path.crop * width, 0.95 * height * WIDTH / HEIGHT)
        view_height = view_width * HEIGHT / WIDTH
        self._scale = WIDTH / view_width
        t = np.arange(self.frame_count) / self.frame_rate
        phase, frequency = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8)
        pace = 1 + 0.6 * speed_wander * np.sin(2 * np.pi * frequency * t + phase)
        way = np.concatenate([[0.0], np.cumsum(pace[:-1])])
        way /= max(way[-1], 1.0)
        if self.path.reverse:
            way = 1 - way
        self._x = view_width / 2 + way * (width - 1 - view_width)
        travel = np.gradient(self._x) if self.frame_count > 1 else np.zeros(1)
        self._speed = travel * self._scale * self.frame_rate
        seam = find_seam(self._image, self._mask)
        offset = self._view_offset(seam, view_height)
        # Turning with the seam keeps it level; a seam that bends is followed as it bends.
        slope = np.interp(self._x, np.arange(width), np.gradient(seam))
        self._angle = np.clip(np.arctan(slope), -MAX_TILT, MAX_TILT)
        centre = np.interp(self._x, np.arange(width), seam) + offset
        self._y = np.clip(centre, view_height / 2, height - 1 - view_height / 2)

    def _view_offset(self, seam: np.ndarray, view_height: float) -> float:
        """Returns how far below the seam the view's middle runs, px of the photograph.

        Of several heights the one is taken that shows most defect pixels, and of equals the one
        nearest to the seam.
        """
        rows, columns = np.nonzero(self._mask)
        below = rows - seam[columns]
        offsets = np.linspace(-SEAM_REACH, SEAM_REACH, 13) * view_height
        seen = [
            np.mean(np.abs(below - o) < 0.42 * view_height) if len(rows) else 0 for o in offsets
        ]
        cost = 0.15 * np.abs(offsets) / (SEAM_REACH * view_height)
        return float(offsets[np.argmax(np.array(seen) - cost)])
