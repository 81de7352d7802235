"""The capture thread: delivery, loss and recovery, end, stop and start."""

import threading

import cv2
import pytest

from weld_inspection.camera.capture import Capture, CaptureState
from weld_inspection.camera.clock import Clock
from weld_inspection.camera.device import LiveCamera
from weld_inspection.camera.source import CameraError
from weld_inspection.camera.sources import open_source


class Told:
    """Remembers what a capture tells, with its severity."""

    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(("info", message))

    def warning(self, message):
        self.lines.append(("warning", message))

    def error(self, message):
        self.lines.append(("error", message))


class Sink:
    """Collects frames and lets a test wait for what it wants to see."""

    def __init__(self):
        self.frames = []
        self.changed = threading.Condition()

    def __call__(self, frame):
        with self.changed:
            self.frames.append(frame)
            self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.frames) >= count, 20)


def wait_for(capture, state):
    waiting = threading.Event()
    for _ in range(2000):
        if capture.state is state:
            return
        waiting.wait(0.01)
    pytest.fail(f"capture is {capture.state}, not {state}: {capture.reason}")


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def run(told):
    captures = []

    def make(opener, sink, **options):
        capture = Capture(opener, sink, log=told, first_backoff=0.01, **options)
        captures.append(capture)
        return capture

    yield make
    for capture in captures:
        capture.close()


def test_a_recording_is_delivered_whole_and_its_end_is_said_once(
    run, make_video, number, clock, told
):
    path, sink = str(make_video(20)), Sink()
    capture = run(lambda: open_source("video", path, clock=clock), sink)
    capture.open()
    assert capture.state is CaptureState.STOPPED
    capture.start()
    wait_for(capture, CaptureState.ENDED)
    assert [number(frame.image) for frame in sink.frames] == list(range(20))
    assert capture.reason == "source ended after 20 frames"
    assert told.lines == [("info", f"{path}: {capture.reason}")]
    assert (capture.counts.frames, capture.counts.losses) == (20, 0)


def test_an_ended_recording_begins_anew_when_started_again(run, make_video, number, clock):
    path, sink = str(make_video(4)), Sink()
    capture = run(lambda: open_source("video", path, clock=clock), sink)
    for _ in range(2):
        capture.start()
        wait_for(capture, CaptureState.ENDED)
        capture.stop()
        assert capture.state is CaptureState.ENDED
    assert [number(frame.image) for frame in sink.frames] == [0, 1, 2, 3] * 2
    assert capture.reason == "source ended after 4 frames"


def test_a_stopped_recording_goes_on_where_it_was(run, make_video, number):
    path, sink = str(make_video(20, rate=100.0)), Sink()
    capture = run(lambda: open_source("video", path), sink)
    capture.start()
    sink.wait_for(3)
    capture.stop()
    assert capture.state is CaptureState.STOPPED
    count = len(sink.frames)
    capture.start()
    wait_for(capture, CaptureState.ENDED)
    assert 3 <= count < 20
    assert [number(frame.image) for frame in sink.frames] == list(range(20))


def test_a_cut_recording_fails_once_and_is_not_opened_again(run, make_video, clock, told):
    path, sink, opened = make_video(40, noise=True), Sink(), []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def opener():
        opened.append(1)
        return open_source("video", str(path), loop=True, clock=clock)

    capture = run(opener, sink)
    capture.start()
    wait_for(capture, CaptureState.FAILED)
    assert len(opened) == 1 and capture.counts.losses == 1
    assert "cut or damaged" in capture.reason
    assert f"source ended after {len(sink.frames)} frames" in capture.reason
    assert told.lines == [("error", capture.reason)]


def test_a_lost_camera_is_opened_again_until_it_is_back(run, make_video, number, told):
    path, sink, tries = str(make_video(10)), Sink(), []

    def opener():
        tries.append(1)
        if len(tries) in (2, 3, 4):
            raise CameraError("cam is not there")
        return LiveCamera("cam", lambda: cv2.VideoCapture(path), clock=Clock())

    capture = run(opener, sink)
    capture.start()
    sink.wait_for(9 + 5)
    capture.stop()
    assert len(tries) == 5 or len(tries) == 6
    numbers = [number(frame.image) for frame in sink.frames]
    assert numbers[:14] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5]
    assert capture.counts.reopened >= 1 and capture.counts.losses >= 1
    assert told.lines[0][0] == "warning" and "cam is lost" in told.lines[0][1]
    assert "cam is not there" in told.lines[1][1]  # once, though three tries failed
    assert told.lines[2] == ("info", "cam: gives frames again")


def test_back_off_doubles_up_to_its_limit(run, monkeypatch):
    waits = []
    tried = threading.Event()

    class Stop(threading.Event):
        def wait(self, timeout=None):
            if timeout is None:
                return super().wait()
            waits.append(timeout)
            if len(waits) == 8:
                tried.set()
                return super().wait()
            return self.is_set()

    def opener():
        raise CameraError("absent")

    capture = Capture(opener, Sink(), log=Told())
    stop = Stop()
    thread = threading.Thread(target=capture._run, args=(stop,))
    thread.start()
    assert tried.wait(20)
    stop.set()
    thread.join(5)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert capture.state is CaptureState.LOST and capture.reason == "absent"


def test_a_recording_waits_until_it_is_wanted(run, make_video, clock):
    path, sink, wanted = str(make_video(3)), Sink(), threading.Event()
    capture = run(lambda: open_source("video", path, clock=clock), sink, ready=wanted.is_set)
    capture.start()
    wait_for(capture, CaptureState.WAITING)
    assert not sink.frames
    wanted.set()
    wait_for(capture, CaptureState.ENDED)
    assert len(sink.frames) == 3


def test_a_recording_does_not_wait_for_ever(run, make_video, clock, told):
    path, sink = str(make_video(3)), Sink()
    capture = run(
        lambda: open_source("video", path, clock=clock),
        sink,
        ready=lambda: False,
        ready_timeout=0.1,
    )
    capture.start()
    wait_for(capture, CaptureState.ENDED)
    assert len(sink.frames) == 3
    assert [text for severity, text in told.lines if severity == "warning"] == [
        f"{path}: begins after 0.1 s without all the subscribers that were expected"
    ]


def test_stop_while_waiting_and_while_a_camera_hangs(run, monkeypatch):
    monkeypatch.setattr("weld_inspection.camera.capture.STOP_TIMEOUT_S", 0.05)
    hang, reading, closed = threading.Event(), threading.Event(), threading.Event()

    class Hanging:
        live, recoverable, name = True, True, "hanging"

        def read(self):
            reading.set()
            hang.wait(20)
            return object()

        def close(self):
            closed.set()

    sink = Sink()
    capture = run(Hanging, sink)
    capture.start()
    assert reading.wait(5)
    thread = capture._thread
    capture.stop()
    assert closed.is_set() and capture.state is CaptureState.STOPPED
    hang.set()
    thread.join(5)
    assert not sink.frames  # what came after the stop is not delivered
    assert capture.state is CaptureState.STOPPED

    waiting = run(lambda: None, sink, ready=lambda: False)
    waiting.close()
    waiting.close()
