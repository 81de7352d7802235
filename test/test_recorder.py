"""The recorder node for real: messages over ROS in, bags out, read back by another library."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from ament_index_python.packages import get_package_share_directory
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from weld_inspection.nodes import qos
from weld_inspection.testing.bag_reader import read_messages, read_metadata
from weld_inspection.testing.small_disk import small_disk
from weld_interfaces.msg import (
    AlarmState,
    CarriageState,
    DefectReport,
    DetectorInfo,
    RecordingState,
)

DOMAIN_ID = 44
NODE = "weld/recorder"
WINDOW = 10
PERIOD_NS = 50_000_000
TOPICS = {
    "/weld/image_raw": ("sensor_msgs/msg/Image", "volatile"),
    "/weld/camera_info": ("sensor_msgs/msg/CameraInfo", "volatile"),
    "/weld/defect_mask": ("sensor_msgs/msg/Image", "volatile"),
    "/weld/defects": ("weld_interfaces/msg/DefectReport", "volatile"),
    "/weld/detector_info": ("weld_interfaces/msg/DetectorInfo", "transient_local"),
    "/weld/alarm": ("weld_interfaces/msg/AlarmState", "transient_local"),
    "/weld/carriage_state": ("weld_interfaces/msg/CarriageState", "volatile"),
}
# A busy machine may hold up a process for a while; what is tested here is not the transport.
DEEP = 2000
PARAMETERS = {
    "pre_roll": 1.0,
    "post_roll": 1.0,
    "report_timeout": 20.0,
    "min_free_bytes": 0,
    "qos_overrides": {
        name: {"subscription": {"depth": DEEP}}
        for name in ("/weld/image_raw", "/weld/camera_info", "/weld/defect_mask", "/weld/defects")
    },
}


class Line:
    """Camera, detector, alarm and carriage: publishes a seam in which some windows are bad."""

    def __init__(self, graph, width: int = 64, height: int = 48, pace: float = 0.01) -> None:
        self.pace = pace  # s from frame to frame; the stamps are 50 ms apart whatever it is
        self.frame = 0
        self.bad: set[int] = set()  # numbers of windows
        self.first_ns = time.time_ns()
        self.pixels = np.random.default_rng(1).integers(0, 255, width * height * 3, np.uint8)
        self.image = Image(width=width, height=height, step=width * 3, encoding="bgr8")
        self.image.data = self.pixels.tobytes()
        self.mask = Image(width=16, height=9, step=16, encoding="mono8", data=bytes(144))
        self.graph = graph
        self.publishers = {}
        for message_type, name in (
            (Image, "image_raw"),
            (CameraInfo, "camera_info"),
            (Image, "defect_mask"),
            (DefectReport, "defects"),
            (CarriageState, "carriage_state"),
        ):
            profile = QoSProfile(depth=DEEP)
            self.publishers[name] = graph.publisher(message_type, f"/weld/{name}", profile)
        for message_type, name in ((DetectorInfo, "detector_info"), (AlarmState, "alarm")):
            self.publishers[name] = graph.publisher(message_type, f"/weld/{name}", qos.LATCHED)
        info = DetectorInfo(model_id="net.safetensors abc", window=WINDOW, stride=WINDOW)
        info.threshold, info.pixel_threshold, info.active = 0.25, 1000, True
        self.send("detector_info", info)
        self.send("alarm", AlarmState(state=AlarmState.IDLE, reason="watching"))

    def send(self, name: str, message) -> None:
        self.publishers[name].publish(message)

    def stamp_ns(self, frame: int) -> int:
        return self.first_ns + frame * PERIOD_NS

    def stamp(self, frame: int) -> Time:
        return Time(sec=self.stamp_ns(frame) // 10**9, nanosec=self.stamp_ns(frame) % 10**9)

    def wait_for_recorder(self) -> None:
        for publisher in self.publishers.values():
            self.graph.wait_for(lambda p=publisher: p.get_subscription_count() == 1)

    def run(self, frames: int, bad: set[int] = frozenset()) -> None:
        """Sends the next frames; reports come a window later than their frames."""
        due = time.monotonic()
        for frame in range(self.frame, self.frame + frames):
            self.image.header.stamp = self.stamp(frame)
            self.image.header.frame_id = "camera"
            self.send("image_raw", self.image)
            self.send("camera_info", CameraInfo(header=self.image.header))
            carriage = CarriageState(position=frame * 1e-3, speed=0.02, weld_id="W 17")
            carriage.header.stamp = self.stamp(frame)
            self.send("carriage_state", carriage)
            if frame % WINDOW == WINDOW - 1 and frame >= 2 * WINDOW - 1:
                self.report(frame // WINDOW - 1, (frame // WINDOW - 1) in bad)
            due += self.pace
            time.sleep(max(0.0, due - time.monotonic()))
        self.frame += frames

    def report(self, window: int, defective: bool) -> None:
        first, last = window * WINDOW, window * WINDOW + WINDOW - 1
        for frame in range(first, last + 1):
            self.mask.header.stamp = self.stamp(frame)
            self.send("defect_mask", self.mask)
        report = DefectReport(sequence=window, defective=defective, pixel_threshold=1000)
        report.header.stamp = report.window_end = self.stamp(last)
        report.window_start = self.stamp(first)
        report.defect_pixels = 4000 if defective else 3
        report.frame_defect_pixels = [report.defect_pixels // WINDOW] * WINDOW
        report.confidence = 0.75
        report.weld_id, report.model_id = "W 17", "net.safetensors abc"
        self.send("defects", report)
        if defective:
            self.send("alarm", AlarmState(state=AlarmState.ACTIVE, reason="a defect"))


class Bench:
    """A recorder, what it says, and the line before it."""

    def __init__(self, graph, folder: Path, parameters=None, **line) -> None:
        self.graph = graph
        self.folder = folder
        self.parameters = PARAMETERS | {"output_dir": str(folder)} | (parameters or {})
        self.states = graph.collect(RecordingState, "/weld/recording", qos.LATCHED)
        self.line = Line(graph, **line)
        self.process = graph.run("recorder", parameters=self.parameters)
        graph.wait_for_state(NODE)
        self.line.wait_for_recorder()

    def wait(self, predicate, what: str) -> RecordingState:
        self.graph.wait_for(lambda: self.states and predicate(self.states[-1]), what=what)
        return self.states[-1]

    def wait_for_bags(self, count: int) -> list[Path]:
        self.wait(lambda state: state.bags >= count and not state.recording, f"{count} bags")
        return self.bags()

    def bags(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob("*/metadata.yaml"))

    def frames(self, bag: Path, topic: str = "/weld/image_raw") -> list[int]:
        """Numbers of the frames in a bag."""
        stamps = [m.header.stamp for name, _, m in read_messages(bag) if name == topic]
        return [round((s.sec * 10**9 + s.nanosec - self.line.first_ns) / PERIOD_NS) for s in stamps]


def installed_hash(message_type: str) -> str:
    """Hash that ROS itself has for a type."""
    package, _, name = message_type.split("/")
    file = Path(get_package_share_directory(package), "msg", f"{name}.json")
    hashes = json.loads(file.read_text())["type_hashes"]
    return next(h["hash_string"] for h in hashes if h["type_name"] == message_type)


@pytest.fixture
def bench(graph, tmp_path):
    return Bench(graph, tmp_path / "bags")


def test_the_seconds_around_a_defect_with_everything_in_them(bench):
    bench.line.run(160, bad={7})
    (bag,) = bench.wait_for_bags(1)
    assert bag.name.endswith("_W-17_0001")
    assert not any((bench.folder / "partial").iterdir())

    # Window 7 is frames 70 to 79; with 1 s to both sides, in whole windows.
    assert bench.frames(bag) == list(range(50, 100))
    for topic in ("/weld/camera_info", "/weld/defect_mask"):
        assert bench.frames(bag, topic) == list(range(50, 100))
    assert bench.frames(bag, "/weld/defects") == [59, 69, 79, 89, 99]
    messages = [(topic, message) for topic, _, message in read_messages(bag)]
    images = [m for topic, m in messages if topic == "/weld/image_raw"]
    assert all(bytes(m.data) == bench.line.pixels.tobytes() for m in images)
    assert all((m.encoding, m.width, m.height) == ("bgr8", 64, 48) for m in images)
    (info,) = [m for topic, m in messages if topic == "/weld/detector_info"]
    assert (info.model_id, info.window) == ("net.safetensors abc", WINDOW)
    alarms = [m.state for topic, m in messages if topic == "/weld/alarm"]
    assert alarms == [AlarmState.IDLE, AlarmState.ACTIVE]
    positions = [m.position for topic, m in messages if topic == "/weld/carriage_state"]
    assert positions[0] < 0.050 and positions[-1] >= 0.099
    topics = [topic for topic, _ in messages]
    first_image = topics.index("/weld/image_raw")
    assert {"/weld/detector_info", "/weld/alarm", "/weld/carriage_state"} <= set(
        topics[:first_image]
    )

    about = read_metadata(bag)
    assert about["version"] == 9
    custom = about["custom_data"]
    assert (custom["weld_id"], custom["model_id"]) == ("W 17", "net.safetensors abc")
    assert (custom["cause"], custom["defective_windows"]) == ("defect", "1")
    assert (custom["threshold"], custom["pixel_threshold"]) == ("0.25", "1000")
    assert custom["first_stamp_ns"] == str(bench.line.stamp_ns(50))
    assert custom["last_stamp_ns"] == str(bench.line.stamp_ns(99))
    found = {
        t["topic_metadata"]["name"]: t["topic_metadata"] for t in about["topics_with_message_count"]
    }
    assert set(found) == set(TOPICS)
    for name, (message_type, durability) in TOPICS.items():
        assert found[name]["type"] == message_type
        assert found[name]["offered_qos_profiles"][0]["durability"] == durability
        assert found[name]["type_description_hash"] == installed_hash(message_type)

    recording = [state for state in bench.states if state.recording]
    assert recording and recording[0].bag == str(bag)
    assert recording[0].reason == "recording: defect"
    last = bench.states[-1]
    assert (last.frames, last.frames_dropped, last.reason) == (50, 0, "waits for a defect")
    assert last.bytes_used >= sum(f.stat().st_size for f in bag.iterdir())
    assert last.bytes_free > 0


def test_by_hand_and_split_without_losing_a_frame(graph, tmp_path):
    bench = Bench(graph, tmp_path / "bags", {"max_duration": 2.0})
    bench.line.run(45)
    stopped = graph.call(Trigger, "/weld/recorder/stop")
    assert not stopped.success and "by hand" in stopped.message
    assert graph.call(Trigger, "/weld/recorder/start").success
    bench.wait(lambda state: "by hand" in state.reason, "a recording by hand")
    bench.line.run(100)
    bench.wait(lambda state: state.frames >= 100, "the frames")
    assert graph.call(Trigger, "/weld/recorder/stop").success
    bench.line.run(60)
    bags = bench.wait_for_bags(3)
    frames = [frame for bag in bags for frame in bench.frames(bag)]
    assert frames == list(range(20, 150))
    masks = [frame for bag in bags for frame in bench.frames(bag, "/weld/defect_mask")]
    assert masks == frames
    assert all("/weld/detector_info" in {name for name, _, _ in read_messages(bag)} for bag in bags)
    assert [read_metadata(bag)["custom_data"]["part"] for bag in bags] == ["1", "2", "3"]
    assert {read_metadata(bag)["custom_data"]["cause"] for bag in bags} == {"by hand"}


def test_deactivated_while_recording_it_closes_the_bag_and_can_go_on(bench):
    bench.line.run(90, bad={7})
    bench.wait(lambda state: state.recording, "a recording")
    assert bench.graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    (bag,) = bench.wait_for_bags(1)
    frames = bench.frames(bag)
    assert frames == list(range(50, 50 + len(frames))) and frames[-1] >= 79
    assert bench.states[-1].reason == "the recorder is not active"
    refused = bench.graph.call(Trigger, "/weld/recorder/start")
    assert not refused.success and "not active" in refused.message
    assert bench.graph.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    bench.line.wait_for_recorder()
    bench.line.run(160, bad={16})
    bench.wait(lambda state: state.bags == 1 and state.frames == 50, "the second bag")
    assert bench.frames(bench.bags()[1]) == list(range(140, 190))


def test_interrupted_while_recording_it_closes_the_bag(bench):
    bench.line.run(90, bad={7})
    bench.wait(lambda state: state.recording, "a recording")
    assert bench.process.interrupt() == 0
    (bag,) = bench.bags()
    assert bench.frames(bag)[:30] == list(range(50, 80))
    assert not any((bench.folder / "partial").iterdir())


def test_killed_while_recording_it_leaves_a_rest_that_the_next_start_salvages(graph, tmp_path):
    # Images of 100 kB are on the disk as soon as they are written.
    bench = Bench(graph, tmp_path / "bags", width=200, height=170)
    bench.line.run(90, bad={7})
    bench.wait(lambda state: state.recording and state.frames >= 30, "frames in a bag")
    bench.process.signal(signal.SIGKILL)
    bench.process.wait()
    assert bench.bags() == []
    assert len(list((bench.folder / "partial").iterdir())) == 1
    again = graph.run("recorder", parameters=bench.parameters)
    graph.wait_for_output(again, "was left unfinished; what could be read is in")
    (bag,) = bench.bags()
    assert bag.name.endswith("-salvaged")
    assert bench.frames(bag)[:30] == list(range(50, 80))
    assert read_metadata(bag)["custom_data"]["salvaged"] == "true"
    assert read_metadata(bag)["custom_data"]["weld_id"] == "W 17"


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(graph, tmp_path):
    blocked = tmp_path / "not_a_folder"
    blocked.touch()
    process = graph.run("recorder", parameters=PARAMETERS | {"output_dir": str(blocked / "bags")})
    graph.wait_for_output(process, "cannot write to the output folder")
    status = graph.wait_for(
        lambda: (s := graph.diagnostics(NODE)) and s.level == DiagnosticStatus.ERROR and s
    )
    assert str(blocked) in status.message and "output_dir" in status.message
    blocked.unlink()
    graph.wait_for_state(NODE)


def test_parameters_out_of_bounds_are_refused(graph, bench):
    for name, value in (("pre_roll", -1.0), ("max_duration", 0.0), ("min_free_bytes", -1)):
        result = graph.set_parameter(NODE, name, value)
        assert not result.successful and name in result.reason
    wrong = graph.run("recorder", parameters=PARAMETERS | {"ring_bytes": 5}, namespace="other")
    assert wrong.wait() == 1
    assert "ring_bytes" in wrong.output


def test_the_budget_refuses_in_words_and_goes_on_when_it_is_raised(bench):
    assert bench.graph.set_parameter(NODE, "min_free_bytes", 10**15).successful
    bench.wait(lambda state: "min_free_bytes" in state.reason, "the reason")
    refused = bench.graph.call(Trigger, "/weld/recorder/start")
    assert not refused.success and "min_free_bytes" in refused.message
    bench.line.run(160, bad={7})
    bench.wait(lambda state: state.frames_dropped == 50, "the frames not recorded")
    bench.graph.wait_for(lambda: bench.graph.diagnostics(NODE).level == DiagnosticStatus.ERROR)
    assert bench.bags() == []
    assert bench.graph.set_parameter(NODE, "min_free_bytes", 0).successful
    bench.line.run(160, bad={23})
    (bag,) = bench.wait_for_bags(1)
    assert bench.frames(bag) == list(range(210, 260))


@pytest.fixture
def full_soon(tmp_path):
    with small_disk(tmp_path / "small") as folder:
        yield folder


def test_a_full_disk_ends_the_bag_readable_and_is_said(graph, full_soon):
    bench = Bench(graph, full_soon / "bags", width=320, height=240)  # 230 kB an image
    bench.line.run(160, bad={7})
    state = bench.wait(lambda state: "No space left" in state.reason, "the reason")
    assert state.bags == 1 and not state.recording
    (bag,) = bench.bags()
    frames = bench.frames(bag)
    assert len(frames) >= 20 and frames == list(range(50, 50 + len(frames)))
    assert "No space left" in read_metadata(bag)["custom_data"]["truncated"]
    bench.wait(lambda s: (s.frames, s.frames_dropped) == (len(frames), 50 - len(frames)), "counts")
    bench.graph.wait_for(lambda: bench.graph.diagnostics(NODE).level == DiagnosticStatus.ERROR)
    (full_soon / "moved_away").mkdir()
    shutil.rmtree(bag)  # somebody makes room
    bench.line.run(160, bad={23})
    bench.wait(lambda state: state.frames > len(frames), "the next event")
    assert any("_0002" in path.name for path in bench.bags())


def test_frames_that_never_came_are_told(graph, bench):
    bench.line.run(60)
    bench.line.frame += 13  # which are not sent
    bench.line.run(60)
    told = []

    def lost():
        status = graph.diagnostics(NODE)
        if status is None:
            return None
        told.append(status.message)
        return {value.key: value.value for value in status.values}.get("frames lost")

    graph.wait_for(lambda: lost() == "13", what="the frames that were not sent to be told")
    assert any("13 frames lost" in message for message in told)


def test_images_of_full_size_at_20_hz(graph, tmp_path, capsys):
    bench = Bench(graph, tmp_path / "bags", width=1280, height=720, pace=0.05)
    process = psutil.Process(bench.process.pid)
    bench.line.run(30)

    def busy_while(frames: int, bad: set[int]) -> float:
        begin, spent = time.monotonic(), sum(process.cpu_times()[:2])
        bench.line.run(frames, bad)
        return (sum(process.cpu_times()[:2]) - spent) / (time.monotonic() - begin)

    idle = busy_while(30, set())
    writing = busy_while(60, {5, 6, 7, 8, 9, 10})
    bench.line.run(60)
    (bag,) = bench.wait_for_bags(1)
    assert bench.frames(bag) == list(range(30, 130))
    assert bench.states[-1].frames_dropped == 0
    with capsys.disabled():
        print(f"\nrecorder at 1280x720, 20 Hz: {idle:.0%} of a core idle, {writing:.0%} writing")


def test_start_before_there_are_images_waits_for_them(graph, bench):
    assert graph.call(Trigger, "/weld/recorder/start").success
    bench.wait(lambda state: "waits for images" in state.reason, "waiting")
    bench.line.run(60)
    bench.wait(lambda state: state.frames == 60, "all frames")
    assert graph.call(Trigger, "/weld/recorder/stop").success
