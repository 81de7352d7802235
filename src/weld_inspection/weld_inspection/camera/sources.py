"""Opens any source of frames by its kind."""

import math
from pathlib import Path

import cv2

from weld_inspection.camera.bag import Bag
from weld_inspection.camera.clock import Clock
from weld_inspection.camera.device import LiveCamera, open_device
from weld_inspection.camera.images import DEFAULT_FRAME_RATE, ImageFolder
from weld_inspection.camera.playback import Playback
from weld_inspection.camera.recording import Recording
from weld_inspection.camera.simulated import SimulatedRecording
from weld_inspection.camera.source import CameraError, FrameSource
from weld_inspection.camera.video import Video, is_url, open_capture

KINDS = ("device", "video", "images", "bag", "simulated")
DEFAULT_DEVICE = "/dev/video0"


def open_source(
    kind: str,
    path: str = "",
    *,
    frame_rate: float = 0.0,
    width: int = 0,
    height: int = 0,
    loop: bool = False,
    clock: Clock | None = None,
    topic: str = "",
    seed: int = 1,
    rig: str = "automatic",
    duration: float = 30.0,
) -> FrameSource:
    """Opens a source of frames.

    Args:
        kind: One of KINDS.
        path: Of the device, video (or its URL), folder of images, or bag.
        frame_rate: Frames a second; 0 takes the source's own, or 20 where it has none (images,
            simulated). A bag keeps its stamps and is only played at another pace.
        width: Asked width in pixels of a device; 0 takes its own.
        height: Asked height in pixels of a device; 0 takes its own.
        loop: Begin a recording again at its end.
        clock: What frames are stamped and paced by; the system's if None.
        topic: Topic of a bag, see Bag.
        seed: Of the simulated weld.
        rig: Of the simulated weld, a name in simulation.rigs.RIGS.
        duration: Of the simulated weld in seconds.

    Raises:
        CameraError: There is no such source, or it cannot be opened.
    """
    clock = clock or Clock()
    if kind not in KINDS:
        raise CameraError(f"there is no source {kind!r}: give one of {', '.join(KINDS)}")
    if not 0 <= frame_rate < math.inf:
        raise CameraError(f"frame_rate is {frame_rate} Hz: give 0 or more")
    if kind == "device":
        device = path or DEFAULT_DEVICE
        return LiveCamera(
            device,
            lambda: open_device(device),
            width=width,
            height=height,
            frame_rate=frame_rate,
            clock=clock,
        )
    recording: Recording
    if kind == "simulated":
        recording = SimulatedRecording(seed, rig, duration, frame_rate or DEFAULT_FRAME_RATE)
    elif kind == "video" and is_url(path):
        return _open_url(path, frame_rate, loop, clock)
    else:
        recording = open_recording(kind, path, topic=topic)
    return Playback(recording, frame_rate=frame_rate, loop=loop, clock=clock)


def open_recording(kind: str, path: str, *, topic: str = "") -> Recording:
    """Opens a file or folder that is read as fast as it can be decoded.

    Args:
        kind: "video", "images" or "bag".
        path: Of it.
        topic: Topic of a bag, see Bag.

    Raises:
        CameraError: It is not there or cannot be read.
    """
    if not path:
        raise CameraError(f"source '{kind}' needs a path: give the parameter path")
    if kind == "video":
        return Video(path)
    if kind == "images":
        return ImageFolder(Path(path).expanduser())
    return Bag(Path(path).expanduser(), topic)


def _open_url(url: str, frame_rate: float, loop: bool, clock: Clock) -> FrameSource:
    """Opens a URL: a video with a length is played, a stream without one is a live camera."""
    capture = open_capture(url)
    if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        return Playback(Video(url, capture), frame_rate=frame_rate, loop=loop, clock=clock)
    return LiveCamera(url, lambda: capture, frame_rate=frame_rate, clock=clock)
