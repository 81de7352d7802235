"""`inspect_bag` on videos and on what cannot be inspected; on bags see test/test_system.py."""

import cv2
import numpy as np
import pytest
import torch
from mcap_ros2.reader import read_ros2_messages

from weld_inspection.commands.inspect_bag import command
from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import save_model

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
    for k in range(FRAMES):
        writer.write(np.full((180, 320, 3), 5 * k, np.uint8))
    writer.release()
    return path


def read(folder):
    (file,) = folder.glob("*.mcap")
    messages = {}
    for item in read_ros2_messages(str(file)):
        messages.setdefault(item.channel.topic, []).append(item.ros_msg)
    return messages


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
    stamps = [
        m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in messages["/weld/defect_mask"]
    ]
    assert stamps == pytest.approx([k / RATE for k in range(FRAMES)])
    reports = messages["/weld/defects"]
    assert [report.sequence for report in reports] == list(range(5))
    assert {report.pixel_threshold for report in reports} == {7}
    assert {report.header.frame_id for report in reports} == {"torch_camera"}
    (info,) = messages["/weld/detector_info"]
    assert info.threshold == pytest.approx(0.4) and info.backend_reason == "torch: as asked for"
    assert [item.name for item in out.parent.iterdir()] == ["first"]


BAD_PARAMETERS = {
    "[": "cannot read parameters",
    "/**/defect_detector: {ros__parameters: {seam: {direction: 3}}}": "direction 3 must be 1 or -1",
    "/**/defect_detector: {ros__parameters: {stride: often}}": "parameter stride is 'often'",
    "/**/defect_detector: {ros__parameters: {seam.direction: -1}}": (
        "seam.direction as nested names"
    ),
    "defect_detector: {ros__parameters: {threshold: 0.3}}": "has no parameters for the detector",
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
