"""Random changes of a training window that keep it a window of the same weld."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a window may be changed. Everything is constant over the window's frames.

    Mirroring and the reversal of time are each done for half of the windows: a weld mirrored, or
    travelled the other way, is a weld.

    Attributes:
        brightness: Largest shift, grey levels.
        contrast: Largest relative change.
        gamma: Largest change of the exponent's natural logarithm.
        colour: Largest relative change of one channel's gain.
        grey: Share of windows whose colour is taken away in part or whole.
        zoom: Largest magnification; the view is cut, never padded.
        zoomed: Share of windows that are magnified. It blurs them a little, and moves the mask's
            edge by parts of a pixel: most windows are as sharp as those of the camera.
    """

    brightness: float = 20.0
    contrast: float = 0.25
    gamma: float = 0.25
    colour: float = 0.08
    grey: float = 0.2
    zoom: float = 1.25
    zoomed: float = 0.3

    def apply(
        self, frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns a changed window; the input stays as it is.

        Args:
            frames: (T, H, W, 3) uint8, RGB.
            masks: (T, H, W) uint8, 0 or 1.
            rng: Where the changes are drawn from.

        Returns:
            Frames and masks of the same shapes, contiguous.
        """
        for axis, flip in enumerate(rng.random(3) < 0.5):  # time, height, width
            if flip:
                frames, masks = np.flip(frames, axis), np.flip(masks, axis)
        if rng.random() < self.zoomed:
            frames, masks = self._zoom(frames, masks, rng)
        return self._recolour(frames, rng), np.ascontiguousarray(masks)

    def _zoom(
        self, frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cuts out a part and scales it to the full size."""
        _, height, width = masks.shape
        zoom = rng.uniform(1.0, self.zoom)
        left, top = rng.uniform(0, 1 - 1 / zoom, 2) * (width, height)
        # Pixel centres: the cut's edges become the frame's edges.
        shift = 0.5 / zoom - 0.5
        matrix = np.array([[1 / zoom, 0, left + shift], [0, 1 / zoom, top + shift]])
        seen = [_warp(frame, matrix) for frame in frames]
        # A pixel is defect where more than half of it is.
        real = [_warp(255 * mask, matrix) > 127 for mask in masks]
        return np.stack(seen), np.stack(real).astype(np.uint8)

    def _recolour(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Changes brightness, contrast, gamma and colour by one table a channel."""
        tone = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-self.gamma, self.gamma))
        tone = (tone - 0.5) * (1 + rng.uniform(-self.contrast, self.contrast)) + 0.5
        tone = 255 * tone + rng.uniform(-self.brightness, self.brightness)
        gains = 1 + rng.uniform(-self.colour, self.colour, 3)
        table = np.clip(np.rint(tone[:, None] * gains), 0, 255).astype(np.uint8)
        tall = frames.reshape(-1, frames.shape[2], 3)
        tall = cv2.LUT(tall, table[None])
        if rng.random() < self.grey:
            share = rng.uniform(0.3, 1.0)
            grey = cv2.cvtColor(cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            tall = cv2.addWeighted(tall, 1 - share, grey, share, 0)
        return tall.reshape(frames.shape)


def _warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The image's part that a matrix from the result's pixels to the image's shows, as large."""
    return cv2.warpAffine(
        np.ascontiguousarray(image),
        matrix,
        image.shape[1::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
