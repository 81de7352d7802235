"""A window seen from several sides: as it is, upside down, left to right, and both."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from weld_inspection.inspection.engine import Backend

# Directions of a frame's rows and columns. Upside down first: across the seam light and camera
# differ more than along it.
SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1))
VIEWS = (1, 2, 4)  # how many a window may be seen from


class SeveralViews:
    """A backend that asks another one from several sides and takes the mean.

    A weld mirrored is a weld. What a network says to it mirrored, mirrored back, errs elsewhere;
    their mean errs less. It takes as many times as long.
    """

    def __init__(self, backend: "Backend", number: int) -> None:
        """Takes a backend over.

        Args:
            backend: Is asked.
            number: Of views: 2 or 4.
        """
        self.name = backend.name
        self.shortfall = backend.shortfall
        self._backend = backend
        self._sides = SIDES[:number]

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See Backend."""
        return self._mean([self._backend.infer(_seen(window, side)) for side in self._sides])

    def look(self, frame: np.ndarray) -> list[Any]:
        """See Backend; a look from each side."""
        return [self._backend.look(_seen(frame[None], side)[0]) for side in self._sides]

    def advance(self, look: list[Any], state: list[Any] | None) -> tuple[list[Any], list[Any]]:
        """See Backend; what a frame adds and the state, for each side."""
        states = state or [None] * len(self._sides)
        pairs = [self._backend.advance(*pair) for pair in zip(look, states, strict=True)]
        return [added for added, _ in pairs], [state for _, state in pairs]

    def judge(
        self, looks: Sequence[list[Any]], given: Sequence[list[Any]], state: list[Any]
    ) -> np.ndarray:
        """See Backend."""
        sides = zip(zip(*looks, strict=True), zip(*given, strict=True), state, strict=True)
        return self._mean([self._backend.judge(*side) for side in sides])

    def _mean(self, found: list[np.ndarray]) -> np.ndarray:
        """Of the (T, H, W) probabilities that the sides gave, each turned back."""
        turned = [_seen(one, side) for one, side in zip(found, self._sides, strict=True)]
        return np.mean(turned, axis=0, dtype=np.float32)


def _seen(frames: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Frames (T, H, W, ...) from a side; seen so twice they are as they were."""
    rows, columns = side
    return np.ascontiguousarray(frames[:, ::rows, ::columns])
