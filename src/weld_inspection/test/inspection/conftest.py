"""What the tests of the inspection share."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class BrightnessInfo:
    width: int = 160
    height: int = 90
    window: int = 10


class BrightnessEngine:
    """An engine whose answer a test can paint: a pixel's defect probability is its brightness.

    `gate` lets a test hold inference back.
    """

    def __init__(self, **info) -> None:
        self.info = BrightnessInfo(**info)
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.looked = 0
        self.advanced = 0

    def look(self, frame: np.ndarray) -> np.ndarray:
        self.looked += 1
        return frame

    def advance(
        self, progress: tuple[np.ndarray, ...] | None, look: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        self.advanced += 1
        return (*(progress or ()), look)

    def infer(self, window: np.ndarray) -> np.ndarray:
        return self.judge(tuple(window))

    def judge(self, progress: tuple[np.ndarray, ...]) -> np.ndarray:
        window = self.window = np.stack(progress)
        self.calls += 1
        assert self.gate.wait(30)
        assert window.shape == (self.info.window, self.info.height, self.info.width, 3)
        return window.max(axis=3).astype(np.float32) / 255


@pytest.fixture(scope="session")
def brightness_engine():
    """The class: a test makes engines of its own sizes."""
    return BrightnessEngine
