import threading

import numpy as np
import pytest

from weld_inspection.inspection.camera_image import CameraImage
from weld_inspection.inspection.inspector import Inspector
from weld_inspection.inspection.pipeline import InspectionPipeline, Trouble
from weld_inspection.inspection.statistics import InspectionStatistics
from weld_inspection.testing.waiting import wait_for

PERIOD = 50_000_000
PIXELS = np.zeros((16, 16, 3), np.uint8)


def image(k, encoding="bgr8"):
    return CameraImage(PIXELS.tobytes(), 16, 16, 48, encoding, k * PERIOD, tag=k)


class Bench:
    """A running pipeline over windows of four frames."""

    def __init__(self, engine_class, **arguments):
        self.engine = engine_class(width=16, height=16, window=4)
        self.inspector = Inspector(self.engine)
        self.statistics = InspectionStatistics()
        self.results = []
        self.troubles = []
        self.pipeline = InspectionPipeline(
            self.inspector,
            unpack=arguments.pop("unpack", lambda message: message),
            on_result=self.results.append,
            on_trouble=lambda kind, sentence: self.troubles.append((kind, sentence)),
            statistics=self.statistics,
            **arguments,
        )
        self.collected = 0
        self.pipeline.start()

    def submit(self, images):
        """Hands images over and waits until they are in their windows."""
        for one in images:
            self.pipeline.submit(one)
            self.collected += 1
            windows = self.inspector.windows
            wait_for(
                lambda windows=windows: (
                    windows._number == self.collected - self.statistics.frames_refused
                )
            )


@pytest.fixture
def bench(brightness_engine):
    benches = []

    def make(**arguments):
        benches.append(Bench(brightness_engine, **arguments))
        return benches[-1]

    yield make
    for one in benches:
        one.engine.gate.set()
        one.pipeline.stop()


def test_results_come_in_order(bench):
    b = bench()
    b.submit(image(k) for k in range(12))
    wait_for(lambda: len(b.results) == 3)
    assert [f.tag for r in b.results for f in r.frames] == list(range(12))
    assert b.statistics.windows_inspected == 3
    assert b.statistics.frames_inspected == b.statistics.frames_received == 12
    assert b.troubles == []


def test_frames_are_looked_at_while_their_window_fills(bench):
    b = bench()
    b.submit(image(k) for k in range(3))
    wait_for(lambda: b.engine.looked == 3)
    assert b.engine.calls == 0
    b.submit([image(3)])
    wait_for(lambda: b.results)
    assert b.engine.looked == 4


def test_slow_engine_loses_whole_windows_oldest_first_and_counts_them(bench):
    b = bench(queue_size=2)
    b.engine.gate.clear()
    b.submit(image(k) for k in range(4))
    wait_for(lambda: b.engine.calls == 1)  # the first window is in work
    b.submit(image(k) for k in range(4, 28))  # six more: four too many
    wait_for(lambda: len(b.troubles) == 4)
    assert b.statistics.windows_dropped == 4
    assert [kind for kind, _ in b.troubles] == [Trouble.DROPPED] * 4
    assert "inference falls behind" in b.troubles[0][1]
    b.engine.gate.set()
    wait_for(lambda: len(b.results) == 3)
    assert [r.frames[0].tag for r in b.results] == [0, 20, 24]
    assert [r.frames_dropped for r in b.results] == [0, 16, 0]
    assert all(len(r.frames) == 4 for r in b.results)


def test_windows_that_wait_at_the_end_are_counted_and_not_said_to_be_slow(bench):
    b = bench(queue_size=2)
    b.engine.gate.clear()
    b.submit(image(k) for k in range(4))
    wait_for(lambda: b.engine.calls == 1)
    b.submit(image(k) for k in range(4, 12))
    wait_for(lambda: len(b.pipeline._windows._items) == 2)
    stopping = threading.Thread(target=b.pipeline.stop)
    stopping.start()
    wait_for(lambda: b.troubles)
    b.engine.gate.set()
    stopping.join()
    assert (b.statistics.windows_inspected, b.statistics.windows_dropped) == (1, 2)
    assert b.troubles == [(Trouble.DROPPED, "windows dropped as the inspection ends: 2")]


class Turnstile:
    """In place of the engine's gate: lets one window through for each turn."""

    def __init__(self):
        self.turns = threading.Semaphore(0)

    def wait(self, timeout):
        return self.turns.acquire(timeout=timeout)

    def set(self):
        self.turns.release(100)


def test_engine_five_times_too_slow_is_late_by_its_queue_and_no_more(bench):
    """While it infers one window five come, again and again."""
    slower, queue_size, rounds, length = 5, 2, 8, 4
    b = bench(queue_size=queue_size)
    b.engine.gate = Turnstile()
    b.submit(image(k) for k in range(length))
    wait_for(lambda: b.engine.calls == 1)
    late = []  # of each result: windows that have come since its own
    for turn in range(1, rounds + 1):
        came = 1 + turn * slower
        b.submit(image(k) for k in range((came - slower) * length, came * length))
        wait_for(lambda turn=turn: b.statistics.windows_dropped == turn * (slower - 1) - 1)
        b.engine.gate.turns.release()
        wait_for(lambda turn=turn: len(b.results) == turn and b.engine.calls == turn + 1)
        late.append(came - 1 - b.results[-1].frames[0].tag // length)
    assert late == [slower] + [slower + queue_size - 1] * (rounds - 1)
    assert [r.frames_dropped for r in b.results[2:]] == [(slower - 1) * length] * (rounds - 2)


def test_submit_does_not_wait_for_a_stuck_engine(bench):
    b = bench()
    b.engine.gate.clear()
    done = threading.Event()

    def give():
        for k in range(400):
            b.pipeline.submit(image(k))
        done.set()

    threading.Thread(target=give, daemon=True).start()
    assert done.wait(30)
    assert b.results == []


def test_images_that_cannot_be_read_in_time_are_counted(bench):
    may_read = threading.Event()

    def unpack(message):
        assert may_read.wait(30)
        return message

    b = bench(unpack=unpack)
    for k in range(30):
        b.pipeline.submit(image(k))
    overrun = b.statistics.frames_overrun  # of 30, one is being read or none, and 20 wait
    assert overrun in (9, 10)
    assert [kind for kind, _ in b.troubles] == [Trouble.OVERRUN] * overrun
    may_read.set()
    wait_for(lambda: b.inspector.windows._number == 30 - overrun)
    wait_for(lambda: b.results)
    assert b.statistics.frames_received == 30


def test_refused_image_is_counted_told_and_survived(bench):
    b = bench()
    b.submit([image(0), image(1, encoding="yuv422"), *(image(k) for k in range(2, 5))])
    wait_for(lambda: b.results)
    assert b.statistics.frames_refused == 1
    assert "'yuv422'" in b.statistics.last_refusal
    assert b.troubles == [(Trouble.REFUSED, f"image refused: {b.statistics.last_refusal}")]
    assert [f.tag for f in b.results[0].frames] == [0, 2, 3, 4]
    assert b.results[0].frames_dropped == 1


def test_what_is_no_image_is_refused_like_a_bad_one(bench):
    b = bench()
    b.submit([image(0), object(), *(image(k) for k in range(1, 4))])
    wait_for(lambda: b.results)
    assert b.statistics.frames_refused == 1
    assert b.statistics.last_refusal.startswith("AttributeError: ")
    assert [f.tag for f in b.results[0].frames] == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["look", "judge"])
def test_failing_engine_costs_its_window_only(bench, monkeypatch, method):
    b = bench()

    def fail(given):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(b.engine, method, fail)
    b.submit(image(k) for k in range(4))
    wait_for(lambda: b.statistics.windows_failed == 1)
    assert b.statistics.last_failure == "inference failed: RuntimeError: out of memory"
    wait_for(lambda: b.troubles)
    assert b.troubles == [(Trouble.FAILED, b.statistics.last_failure)]
    monkeypatch.undo()
    b.submit(image(k) for k in range(4, 8))
    wait_for(lambda: b.results)
    assert b.results[0].frames_dropped == 4
    wait_for(lambda: b.statistics.last_failure == "")


def test_a_result_that_cannot_be_handed_on_is_no_failed_inference(bench):
    b = bench()

    def refuse(result):
        raise RuntimeError("publisher's context is invalid")

    b.pipeline._on_result = refuse
    b.submit(image(k) for k in range(4))
    wait_for(lambda: b.troubles)
    reason = "handing on the result failed: RuntimeError: publisher's context is invalid"
    assert b.troubles == [(Trouble.FAILED, reason)]
    assert (b.statistics.windows_failed, b.statistics.windows_inspected) == (1, 1)
    b.pipeline._on_result = b.results.append
    b.submit(image(k) for k in range(4, 12))
    wait_for(lambda: len(b.results) == 2)
    wait_for(lambda: b.statistics.last_failure == "")
    assert [result.frames_dropped for result in b.results] == [4, 0]


def test_images_are_kept_only_while_wanted(bench):
    wanted = threading.Event()
    b = bench(keep_images=wanted.is_set)
    b.submit(image(k) for k in range(4))
    wanted.set()
    b.submit(image(k) for k in range(4, 8))
    wait_for(lambda: len(b.results) == 2)
    assert [f.image is not None for r in b.results for f in r.frames] == [False] * 4 + [True] * 4


def test_stop_ends_both_threads_with_windows_waiting(bench):
    b = bench()
    b.engine.gate.clear()
    b.submit(image(k) for k in range(12))
    wait_for(lambda: b.engine.calls == 1)
    threading.Timer(0.05, b.engine.gate.set).start()
    b.pipeline.stop()
    assert not any(thread.is_alive() for thread in b.pipeline._threads)
    assert b.engine.calls == 1
