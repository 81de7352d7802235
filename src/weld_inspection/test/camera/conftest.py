"""Real recordings for the sources of frames, and a clock that waits in no time."""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from weld_inspection.camera.clock import Clock

WIDTH, HEIGHT = 96, 64
T0 = 1_700_000_000_000_000_000


class InstantClock(Clock):
    """Shows the time that was last waited for; `time` may be set at will."""

    def __init__(self) -> None:
        self.time = T0
        super().__init__(lambda: self.time)

    def wait_until(self, time_ns: int, stop: threading.Event) -> None:
        self.time = max(self.time, time_ns)


@pytest.fixture
def clock() -> InstantClock:
    return InstantClock()


def numbered_image(k: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture whose grey value tells its number; survives lossy compression."""
    return np.full((height, width, 3), 8 * (k % 30) + 4, np.uint8)


def number_of(image: np.ndarray) -> int:
    return round((float(image.mean()) - 4) / 8)


@pytest.fixture
def numbered() -> Callable[..., np.ndarray]:
    return numbered_image


@pytest.fixture
def number() -> Callable[[np.ndarray], int]:
    return number_of


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    def make(frames: int = 20, rate: float = 20.0, name: str = "weld.avi", noise=False) -> Path:
        path = tmp_path / name
        code = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), rate, (WIDTH, HEIGHT))
        random = np.random.default_rng(1)
        for k in range(frames):
            image = numbered_image(k)
            writer.write(random.integers(0, 255, image.shape, np.uint8) if noise else image)
        writer.release()
        return path

    return make


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[..., Path]:
    def make(frames: int = 12, name: str = "frames") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for k in range(frames):
            assert cv2.imwrite(str(folder / f"frame_{k}.png"), numbered_image(k))
        return folder

    return make


def image_message(image: np.ndarray, encoding: str, stamp_ns: int, padding: int = 0, cut: int = 0):
    """A sensor_msgs/Image with rows padded by `padding` bytes and `cut` bytes missing."""
    types = get_typestore(Stores.ROS2_JAZZY).types
    height, width = image.shape[:2]
    rows = np.ascontiguousarray(image).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    data = rows.reshape(-1)
    return types["sensor_msgs/msg/Image"](
        header=types["std_msgs/msg/Header"](
            stamp=types["builtin_interfaces/msg/Time"](
                sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
            ),
            frame_id="weld_camera",
        ),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=data[: data.size - cut],
    )


@pytest.fixture
def make_bag(tmp_path: Path) -> Callable[..., Path]:
    """Writes (topic, type, message) with log times a second after their stamps."""

    def make(
        messages: list[tuple[str, object]] | None = None,
        name: str = "bag",
        storage: StoragePlugin = StoragePlugin.MCAP,
    ) -> Path:
        if messages is None:
            messages = [
                ("/weld/image_raw", image_message(numbered_image(k), "bgr8", T0 + k * 50_000_000))
                for k in range(12)
            ]
        store = get_typestore(Stores.ROS2_JAZZY)
        path = tmp_path / name
        with Writer(path, version=9, storage_plugin=storage) as writer:
            connections = {}
            for k, (topic, message) in enumerate(messages):
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                log_time = T0 + 10**9 + k * 50_000_000
                writer.write(connections[topic], log_time, store.serialize_cdr(message, kind))
        return path

    return make


@pytest.fixture
def make_message() -> Callable[..., object]:
    return image_message


@pytest.fixture
def t0() -> int:
    return T0
