"""`inspect_bag` on what is whole, damaged or nothing; a bag against its replay: test_system.py."""

import re
import struct

import cv2
import numpy as np
import pytest
import torch
from mcap_ros2.reader import read_ros2_messages
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_msgs.msg import Header

from weld_inspection.camera import video as video_module
from weld_inspection.camera.recorded_carriage import CARRIAGE_TYPE
from weld_inspection.camera.sources import open_recording
from weld_inspection.commands.inspect_bag import command
from weld_inspection.errors import InspectionError
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.model_choice import find_model
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import model_id_of, save_model
from weld_inspection.nodes.defect_messages import to_image, to_time
from weld_inspection.nodes.offline_inspection import inspect_recording, read_parameters
from weld_inspection.nodes.recorded_model import INFO_TYPE, find_recorded_model
from weld_inspection.nodes.shipped_models import shipped_models
from weld_interfaces.msg import CarriageState, DetectorInfo

FRAMES, RATE = 25, 10.0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, build_network(NetworkConfig("crrn", channels=4, window=5)))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "weld.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (320, 180))
    random = np.random.default_rng(1)
    for _ in range(FRAMES):
        writer.write(random.integers(0, 255, (180, 320, 3), np.uint8))
    writer.release()
    return path


@pytest.fixture
def inspect(model, tmp_path):
    def run(recording, *options, parameters=""):
        file = tmp_path / "parameters.yaml"
        file.write_text(parameters)
        arguments = [recording, "--out", tmp_path / "out", "--model", model, "--backend", "torch"]
        arguments += ["--params-file", file] if parameters else []
        return command([*map(str, arguments), *options])

    return run


def read(folder):
    (file,) = folder.glob("*.mcap")
    messages = {}
    for item in read_ros2_messages(str(file)):
        messages.setdefault(item.channel.topic, []).append(item.ros_msg)
    return messages


def seconds(messages):
    return [m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in messages]


def test_every_window_of_a_video(video, model, tmp_path, capsys):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(
        "/**/defect_detector:\n  ros__parameters:\n    pixel_threshold: 7\n    threshold: 0.4\n"
        "/**/camera_driver:\n  ros__parameters:\n    frame_id: torch_camera\n    source: device\n"
    )
    out = tmp_path / "bags" / "first"
    arguments = [video, "--out", out, "--model", model, "--params-file", parameters]
    assert command([*map(str, arguments), "--backend", "torch", "--precision", "fp32"]) == 0
    assert f"{FRAMES} frames, 5 windows" in capsys.readouterr().out
    messages = read(out)
    stamps = seconds(messages["/weld/defect_mask"])
    assert stamps == pytest.approx([k / RATE for k in range(FRAMES)])
    reports = messages["/weld/defects"]
    assert [report.sequence for report in reports] == list(range(5))
    assert {report.pixel_threshold for report in reports} == {7}
    assert {report.header.frame_id for report in reports} == {"torch_camera"}
    (info,) = messages["/weld/detector_info"]
    assert info.threshold == pytest.approx(0.4) and info.backend_reason == "torch: as asked for"
    assert [item.name for item in out.parent.iterdir()] == ["first"]
    both = tmp_path / "bags" / "both"
    arguments = [video, "--out", both, "--model", model, "--params-file", parameters]
    arguments += ["--backend", "torch", "--precision", "fp32", "--views", 2]
    assert command([*map(str, arguments)]) == 0
    messages = read(both)
    (info,) = messages["/weld/detector_info"]
    assert info.backend_reason.endswith("; the mean of 2 mirrored views of each window")
    assert messages["/weld/defects"][0].confidence != reports[0].confidence


def test_parameters_are_those_that_ros_would_give_the_nodes(tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text(
        """
/**:
  ros__parameters: {stride: 2, seam: {direction: -1, max_age: 2.0}}
/*/defect_detector:
  ros__parameters: {stride: 3, pixel_threshold: 7, seam: {camera_offset: 0.1}}
weld:
  defect_detector:
    ros__parameters: {stride: 5, seam.direction: 1}
/**/line_2/defect_detector:
  ros__parameters: {stride: 8}
/**/weld/**/camera_driver:
  ros__parameters: {frame_id: torch_camera}
"""
    )
    found = read_parameters(file)
    assert (found.stride, found.pixel_threshold, found.frame_id) == (5, 7, "torch_camera")
    assert found.seam == {"direction": 1, "max_age": 2.0, "camera_offset": 0.1}
    assert read_parameters(file, "/weld/line_2").stride == 8
    assert read_parameters(file, "/weld/line_2").pixel_threshold == 1000
    assert read_parameters(file, "/").stride == 2


BAD_PARAMETERS = {
    "[": "cannot read parameters",
    "/**/camera_driver: {ros__parameters: {frame_rate: -1.0}}": "frame_rate is -1.0 Hz",
    "/**/camera_driver: {ros__parameters: {bag_topic: 3}}": "parameter bag_topic is 3",
    "/**/defect_detector: {ros__parameters: {seam: {direction: 3}}}": "direction 3 must be 1 or -1",
    "/**/defect_detector: {ros__parameters: {stride: often}}": "parameter stride is 'often'",
    "defect_detector: {ros__parameters: {threshold: 0.3}}": "has no parameters for the detector",
    "/other/*: {ros__parameters: {threshold: 0.3}}": "has no parameters for the detector",
    "[1, 2]": "it has no ros__parameters: nodes are written as in",
    "/**/defect_detector:": "/\\*\\*/defect_detector has no ros__parameters",
    "/**: {ros__parameters: all}": r"the ros__parameters of /\*\* are no names with values",
    "/**: {threshold: 0.3}": r"cannot read parameters from .*: /\*\*/threshold has no ros__param",
    "/**/defect_detector: {ros__parameters: {seam: {max_age: .nan}}}": (
        "parameter seam.max_age is nan"
    ),
}


def test_what_cannot_be_inspected(video, model, tmp_path):
    common = ["--model", str(model), "--backend", "torch"]
    with pytest.raises(InspectionError, match="none.mp4"):
        command([str(tmp_path / "none.mp4"), "--out", str(tmp_path / "a"), *common])
    with pytest.raises(InspectionError, match="is there already"):
        command([str(video), "--out", str(tmp_path), *common])
    cut = tmp_path / "bag"
    cut.mkdir()
    (cut / "metadata.yaml").write_text("rosbag2_bagfile_information: {}")
    with pytest.raises(InspectionError, match="cannot be opened"):
        command([str(cut), "--out", str(tmp_path / "a"), *common])
    bad = tmp_path / "parameters.yaml"
    for text, message in BAD_PARAMETERS.items():
        bad.write_text(text)
        with pytest.raises(InspectionError, match=message):
            command([str(video), "--out", str(tmp_path / "a"), *common, "--params-file", str(bad)])
    assert not (tmp_path / "a").exists() and not (tmp_path / "partial").exists()


def test_the_frame_rate_is_the_camera_drivers(video, inspect, tmp_path, monkeypatch):
    # Of each node only its own parameters count, whatever stands with the other one.
    parameters = (
        "/**/camera_driver: {ros__parameters: {frame_rate: 25.0, stride: 2}}\n"
        "/**/defect_detector: {ros__parameters: {frame_rate: 3.0, frame_id: 4}}"
    )
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(10):
        cv2.imwrite(str(folder / f"{k}.png"), np.full((90, 160, 3), k, np.uint8))
    monkeypatch.setattr(video_module, "frame_rate_of", lambda capture: 0.0)
    for recording, frames in ((folder, 10), (video, FRAMES)):
        assert inspect(recording, parameters=parameters) == 0
        messages = read(tmp_path / "out")
        stamps = seconds(messages["/weld/defect_mask"])
        assert stamps == pytest.approx([k / 25 for k in range(frames)])
        assert len(messages["/weld/defects"]) == frames // 5
        (tmp_path / "out").rename(tmp_path / f"{frames} frames")
    with pytest.raises(InspectionError, match="does not say its frame rate: give"):
        inspect(video)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def bag(tmp_path):
    """Images on two topics, of 5 and of 20 frames, and the carriage's states beside them."""
    store, image = get_typestore(Stores.ROS2_JAZZY), "sensor_msgs/msg/Image"
    store.register(get_types_from_msg("std_msgs/Header header", CARRIAGE_TYPE))
    pixels = np.random.default_rng(2).integers(0, 255, (240, 320, 3), np.uint8)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        first, second = (
            writer.add_connection(f"/{name}/image_raw", image, typestore=store) for name in "ab"
        )
        states = writer.add_connection("/carriage_state", CARRIAGE_TYPE, typestore=store)
        for k in range(20):
            stamp_ns = round((100 + k / RATE) * 1e9)
            frame = to_image(pixels, "bgr8", Header(stamp=to_time(stamp_ns)))
            state = CarriageState(header=frame.header, position=k / 100)
            for topic in (first, second)[k >= 5 :]:
                writer.write(topic, stamp_ns, serialize_message(frame))
            writer.write(states, stamp_ns, serialize_message(state))
    return tmp_path / "bag"


def write_bag(folder, *infos, frames=range(10)):
    """Images on /right/image_raw, and such detector_info, which are (topic, bytes)."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("std_msgs/Header header", INFO_TYPE))
    image = "sensor_msgs/msg/Image"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/right/image_raw", image, typestore=store)
        for topic, data in infos:
            writer.write(writer.add_connection(topic, INFO_TYPE, typestore=store), 0, data)
        for k in frames:
            header = Header(stamp=to_time(k * 50_000_000))
            frame = to_image(np.full((90, 160, 3), 90, np.uint8), "bgr8", header)
            writer.write(images, k * 50_000_000, serialize_message(frame))
    return folder


def info_of(model_id):
    return serialize_message(DetectorInfo(model_id=model_id))


def test_a_bag_is_inspected_with_the_model_that_it_names(tmp_path, capsys):
    folder = shipped_models()
    shipped = find_model("bi_crrn_e", folder)  # not the one that is taken by itself
    mine, known = "mine.safetensors-0123456789ab", model_id_of(shipped)
    bag = write_bag(tmp_path / "bag", ("/cell/detector_info", info_of(known)))
    assert command([str(bag), "--out", str(tmp_path / "out"), "--backend", "torch"]) == 0
    (info,) = read(tmp_path / "out")["/weld/detector_info"]
    assert info.model_id == known and "warning" not in capsys.readouterr().err
    two = [("/left/detector_info", info_of(mine)), ("/right/detector_info", info_of(known))]
    both = write_bag(tmp_path / "both", *two)
    assert find_recorded_model(both, "/right/image_raw", folder) == (known, shipped)
    assert find_recorded_model(both, "/left/image_raw", folder) == (mine, None)
    assert find_recorded_model(both, "/image_raw", folder) == ("", None)
    assert find_recorded_model(write_bag(tmp_path / "none"), "/image_raw", folder) == ("", None)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (info_of("mine.safetensors-0123456789ab"), "mine.safetensors-0123456789ab, which is none"),
        (b"\x00\x01\x00\x00cut", "detector_info of bag .* cannot be read"),
    ],
    ids=["a model that is none", "a broken message"],  # the data themselves have random padding
)
def test_a_bag_whose_model_cannot_be_had_is_inspected_with_a_warning(tmp_path, capsys, data, told):
    bag = write_bag(tmp_path / "bag", ("/right/detector_info", data))
    assert command([str(bag), "--out", str(tmp_path / "out"), "--backend", "torch"]) == 0
    assert re.search(f"warning: .*{told}", capsys.readouterr().err)


def test_frames_that_lie_in_no_window_are_told(tmp_path, capsys):
    missing = {*range(12, 20), *range(25, 60)}
    frames = [k for k in range(80) if k not in missing]
    bag = write_bag(tmp_path / "bag", frames=frames)
    assert command([str(bag), "--out", str(tmp_path / "out"), "--backend", "torch"]) == 0
    told = capsys.readouterr()
    masks = len(read(tmp_path / "out")["/weld/defect_mask"])
    assert masks == 30
    assert "37 frames, 3 windows" in told.out and "7 frames without a mask" in told.out
    assert "43 frames are missing between the others; 7 more were not inspected" in told.err


def test_the_topic_of_a_bag(bag, inspect, tmp_path):
    parameters = "/**/camera_driver: {ros__parameters: {bag_topic: /b/image_raw, frame_rate: 99}}"
    with pytest.raises(InspectionError, match="several topics"):
        inspect(bag, parameters=parameters.replace("bag_topic", "topic"))
    for options, frames in (([], 20), (["--topic", "/a/image_raw"], 5)):
        assert inspect(bag, *options, parameters=parameters) == 0
        masks = read(tmp_path / "out")["/weld/defect_mask"]
        # A bag keeps its stamps, whatever the rate.
        assert seconds(masks) == pytest.approx([100 + k / RATE for k in range(frames)])
        (tmp_path / "out").rename(tmp_path / f"{frames} frames")


def test_what_comes_before_damage_of_a_bag_is_kept(bag, inspect, tmp_path, capsys):
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 300_000] = b"\xff" * 300_000
    file.write_bytes(content)
    assert inspect(bag, "--topic", "/b/image_raw") == 1
    told = capsys.readouterr()
    assert "bag: the carriage's states break off after " in told.err
    assert "error: reading broke off after " in told.err and "what came before" in told.err
    masks = read(tmp_path / "out")["/weld/defect_mask"]
    assert 5 <= len(masks) < 20 and f"{len(masks) // 5} windows" in told.out


def index_first(content):
    """An mp4 with its index before the frames, as it is streamed."""
    start = content.index(b"mdat") - 4
    end = content.index(b"moov", start) - 4
    index = bytearray(content[end:])
    table = index.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", index, table)
    offsets = struct.unpack_from(f">{count}I", index, table + 4)
    struct.pack_into(f">{count}I", index, table + 4, *(item + len(index) for item in offsets))
    return content[:start] + bytes(index) + content[start:end]


def test_what_comes_before_the_cut_of_a_video_is_kept(video, inspect, tmp_path, capsys):
    content = index_first(video.read_bytes())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert inspect(cut) == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    found = re.fullmatch(
        r"inspect_bag: error: reading broke off after (\d+) frames \((\S+) s\): video .* ends "
        r"after (\d+) of 25 frames: it is cut or damaged; what came before is kept",
        line,
    )
    frames = int(found[1])
    assert 10 <= frames < 20 and float(found[2]) == pytest.approx((frames - 1) / RATE)
    assert f"{frames} frames, {frames // 5} windows" in told.out
    assert len(read(tmp_path / "out")["/weld/defect_mask"]) == 5 * (frames // 5)
    assert not (tmp_path / "partial").exists()


def test_nothing_is_left_of_a_video_that_cannot_be_read(video, inspect, tmp_path):
    content = video.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(InspectionError, match="cut before its index"):
        inspect(cut)
    assert [item.name for item in tmp_path.iterdir() if item.is_dir()] == []


def test_a_window_that_fails_costs_no_other(video, inspect, tmp_path, capsys, monkeypatch):
    judge, calls = InferenceEngine.judge, []

    def judge_all_but_the_second(self, progress):
        calls.append(progress)
        if len(calls) == 2:
            raise RuntimeError("out of\nmemory")
        return judge(self, progress)

    monkeypatch.setattr(InferenceEngine, "judge", judge_all_but_the_second)
    assert inspect(video) == 1
    told = capsys.readouterr()
    assert f"{FRAMES} frames, 4 windows" in told.out and "1 failed" in told.out
    assert told.err == (
        "inspect_bag: error: 1 of 5 windows failed, the last at 0.90 s: "
        "RuntimeError: out of memory\n"
    )
    messages = read(tmp_path / "out")
    stamps = seconds(messages["/weld/defect_mask"])
    assert stamps == pytest.approx([k / RATE for k in range(FRAMES) if not 5 <= k < 10])
    assert [report.frames_dropped for report in messages["/weld/defects"]] == [0, 5, 0, 0]


@pytest.fixture
def damaged(video, tmp_path):
    """The video with frames in its middle that cannot be decoded."""
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60_000] = np.random.default_rng(5).bytes(60_000)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    return path


def test_frames_that_cannot_be_decoded_are_told(damaged, inspect, tmp_path, capsys):
    assert inspect(damaged) == 1
    told = capsys.readouterr()
    assert f"{FRAMES} frames" in told.out
    (line,) = [line for line in told.err.splitlines() if "error" in line]
    count = int(re.search(rf"error: (\d+) of {FRAMES} frames could not be decoded", line)[1])
    capture = cv2.VideoCapture(str(damaged))
    assert count == [capture.read()[0] for _ in range(FRAMES)].count(False) > 0


def test_frames_that_cannot_be_decoded_are_progress(damaged, model, tmp_path):
    recording, steps = open_recording("video", str(damaged)), []
    engine = InferenceEngine(model, "cpu", "fp32", "torch")
    inspect_recording(recording, None, engine, tmp_path / "out", advance=steps.append)
    recording.close()
    assert max(steps) > 1 and sum(steps) == recording.frame_count == FRAMES
