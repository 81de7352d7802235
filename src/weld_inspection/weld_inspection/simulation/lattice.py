"""Noise that never ends: any part of it can be computed alone, always with the same values."""

import cv2
import numpy as np

_BLOCK = 64


class Lattice:
    """Smooth and white noise over an endless strip, reproducible at any place.

    The noise lives on a lattice of independent normal numbers that are drawn block by block from
    (seed, layer, block). Two windows of one layer agree wherever they overlap, so the strip of a
    seam can be rendered in tiles of any size without an edge between them.
    """

    def __init__(self, seed: int) -> None:
        """Names the noise.

        Args:
            seed: Any non-negative integer.
        """
        self._seed = seed

    def columns(self, layer: int, first: int, count: int, rows: int) -> np.ndarray:
        """Independent standard normal numbers.

        Args:
            layer: Number of the layer, 0 or more; layers are independent.
            first: First lattice column, may be negative.
            count: Number of lattice columns.
            rows: Number of lattice rows.

        Returns:
            (rows, count) float32.
        """
        low, high = first // _BLOCK, (first + count - 1) // _BLOCK
        blocks = []
        for block in range(low, high + 1):
            # SeedSequence takes no negative numbers: blocks left of 0 get odd ones.
            key = 2 * block if block >= 0 else -2 * block - 1
            rng = np.random.default_rng([self._seed, layer, key])
            blocks.append(rng.standard_normal((rows, _BLOCK), dtype=np.float32))
        start = first - low * _BLOCK
        return np.hstack(blocks)[:, start : start + count]

    def field(
        self, layer: int, x0: int, width: int, height: int, scale_x: int, scale_y: int
    ) -> np.ndarray:
        """Smooth noise over a window of the strip that spans its whole height.

        Args:
            layer: Number of the layer.
            x0: Left column of the window in pixels.
            width: Width of the window in pixels.
            height: Height of the strip in pixels.
            scale_x: Distance of the lattice's columns in pixels, >= 1.
            scale_y: Distance of the lattice's rows in pixels, >= 1.

        Returns:
            (height, width) float32 with a mean of 0 and a standard deviation of about 0.7, or
            white noise of 1 where both scales are 1.
        """
        if scale_x == 1 and scale_y == 1:
            return self.columns(layer, x0, width, height)
        first = x0 // scale_x - 2
        last = (x0 + width) // scale_x + 3
        rows = -(-height // scale_y)
        values = self.columns(layer, first, last - first, rows)
        # cv2.resize is exact; warpAffine would step in 32nds of a lattice cell.
        size = ((last - first) * scale_x, rows * scale_y)
        full = cv2.resize(values, size, interpolation=cv2.INTER_CUBIC)
        left = x0 - first * scale_x
        return full[:height, left : left + width]

    def line(self, layer: int, x: np.ndarray, scale: float) -> np.ndarray:
        """Smooth noise along the strip at any places.

        Args:
            layer: Number of the layer.
            x: Places in pixels, any shape.
            scale: Distance of the lattice's columns in pixels.

        Returns:
            Values of x's shape, float32, standard deviation about 0.7.
        """
        place = np.asarray(x, np.float64) / scale
        first = int(np.floor(place.min())) - 1
        count = int(np.floor(place.max())) + 3 - first
        values = self.columns(layer, first, count, 1)[0]
        cell = np.floor(place).astype(int)
        t = (place - cell).astype(np.float32)
        p0, p1, p2, p3 = (values[cell - first + shift] for shift in (-1, 0, 1, 2))
        # Catmull-Rom spline through the lattice's values.
        return p1 + 0.5 * t * (
            p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
        )
