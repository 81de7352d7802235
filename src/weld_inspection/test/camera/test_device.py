"""Cameras: a video file behind cv2.VideoCapture stands in for one where a device is needed."""

import threading
import time

import cv2
import pytest

from weld_inspection.camera.clock import Clock
from weld_inspection.camera.device import LiveCamera
from weld_inspection.camera.source import CameraError
from weld_inspection.camera.sources import open_source


@pytest.mark.parametrize("path", ["/dev/video97", "/dev/v4l/by-id/usb-absent-video-index0"])
def test_an_absent_camera_is_an_error(path):
    with pytest.raises(CameraError, match="cannot be found.*plugged in"):
        open_source("device", path)


def test_what_is_no_camera_is_an_error(make_video, tmp_path):
    with pytest.raises(CameraError, match="is no device: a video file is source 'video'"):
        open_source("device", str(make_video(1)))
    with pytest.raises(CameraError, match="cannot be opened: it is no camera"):
        open_source("device", "/dev/null")
    link = tmp_path / "usb-camera-index0"
    link.symlink_to("/dev/null")
    with pytest.raises(CameraError, match="usb-camera-index0 cannot be opened"):
        open_source("device", str(link))


@pytest.fixture
def camera(make_video):
    """Opens a LiveCamera on a video of 96x64 at 20 Hz."""
    path = make_video(20)

    def open_it(**asked):
        return LiveCamera("cam", lambda: cv2.VideoCapture(str(path)), clock=Clock(), **asked)

    return open_it


def test_frames_carry_the_time_of_capture(camera, number):
    source = camera(width=96, height=64, frame_rate=20.0)
    assert (source.width, source.height, source.frame_rate) == (96, 64, 20.0)
    before = time.time_ns()
    frames = [source.read() for _ in range(5)]
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(stamps) and before <= stamps[0] and stamps[-1] <= time.time_ns()
    assert [number(frame.image) for frame in frames] == [1, 2, 3, 4, 5]  # 0 was the check's


def test_a_lost_camera_is_an_error(camera):
    source = camera()
    with pytest.raises(CameraError, match="cam is lost"):
        for _ in range(30):
            assert source.read() is not None
    source.close()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"width": 1280, "height": 720}, "gives 96x64 pixels, not the asked 1280x720"),
        ({"height": 65}, "gives 96x64 pixels, not the asked anyx65"),
        ({"frame_rate": 30.0}, "gives 20 Hz at 96x64, not the asked 30 Hz"),
    ],
)
def test_a_camera_that_gives_something_else_is_refused(camera, asked, told):
    with pytest.raises(CameraError, match=told):
        camera(**asked)


class Driver:
    """A capture whose every answer can be set; real ones need a camera in the machine."""

    def __init__(self, capture):
        self.capture = capture
        self.position_ms = 0.0
        self.bad = 0
        self.hang = threading.Event()
        self.hang.set()
        self.released = threading.Event()
        self.grabbed = 0

    def grab(self):
        self.hang.wait(10)
        self.grabbed += 1
        return self.capture.grab()

    def retrieve(self):
        decoded, image = self.capture.retrieve()
        if self.bad:
            self.bad -= 1
            return False, None
        return decoded, image

    def get(self, key):
        return self.position_ms if key == cv2.CAP_PROP_POS_MSEC else self.capture.get(key)

    def set(self, key, value):
        return self.capture.set(key, value)

    def release(self):
        self.released.set()


@pytest.fixture
def driver(make_video):
    return Driver(cv2.VideoCapture(str(make_video(20))))


def test_the_drivers_time_of_capture_is_believed_if_credible(driver):
    now = 5_000_000_000
    source = LiveCamera("cam", lambda: driver, clock=Clock(lambda: now))
    driver.position_ms = time.monotonic() * 1e3 - 200.0
    assert 0.2 <= (now - source.read().stamp_ns) * 1e-9 < 1.0
    driver.position_ms = time.monotonic() * 1e3 - 60_000.0
    assert source.read().stamp_ns == now
    driver.position_ms = time.monotonic() * 1e3 + 60_000.0
    assert source.read().stamp_ns == now


def test_a_picture_that_cannot_be_decoded_is_left_out_and_many_are_a_loss(driver, number):
    source = LiveCamera("cam", lambda: driver, clock=Clock())
    driver.bad = 3
    assert number(source.read().image) == 4
    driver.bad = 100
    with pytest.raises(CameraError, match="10 pictures in a row"):
        source.read()


def test_pictures_from_before_a_pause_are_dropped(driver):
    source = LiveCamera("cam", lambda: driver, clock=Clock())
    source.read()
    grabbed = driver.grabbed
    source.resume()
    source.read()
    assert driver.grabbed == grabbed + 8 + 1
    source.read()
    assert driver.grabbed == grabbed + 8 + 2


def test_close_while_the_device_hangs_leaves_freeing_it_to_the_reader(driver):
    source = LiveCamera("cam", lambda: driver, clock=Clock())
    driver.hang.clear()
    reader = threading.Thread(target=source.read)
    reader.start()
    while not source._reading.locked():
        time.sleep(0.001)
    source.close()
    assert not driver.released.is_set()
    driver.hang.set()
    reader.join(5)
    assert driver.released.is_set()
    assert source.read() is None


def test_grey_cameras_give_bgr(driver):
    retrieve = driver.retrieve
    driver.retrieve = lambda: (True, cv2.cvtColor(retrieve()[1], cv2.COLOR_BGR2GRAY))
    assert LiveCamera("cam", lambda: driver, clock=Clock()).read().image.shape == (64, 96, 3)
