"""Calibrations as camera_calibration writes them, and damaged ones."""

import pytest
import yaml

from weld_inspection.camera.calibration import Calibration, load_calibration
from weld_inspection.camera.source import CameraError

CALIBRATION = {
    "image_width": 1280,
    "image_height": 720,
    "camera_name": "weld_camera",
    "camera_matrix": {"rows": 3, "cols": 3, "data": [900.0, 0, 640.0, 0, 901.0, 360.0, 0, 0, 1]},
    "distortion_model": "plumb_bob",
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.1, -0.2, 0.001, 0.002, 0.0]},
    "rectification_matrix": {"rows": 3, "cols": 3, "data": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
    "projection_matrix": {
        "rows": 3,
        "cols": 4,
        "data": [890.0, 0, 641.0, 0, 0, 891.0, 361.0, 0, 0, 0, 1, 0],
    },
}


@pytest.fixture
def write(tmp_path):
    def write_it(**changes):
        content = {**CALIBRATION, **changes}
        path = tmp_path / "camera.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
        return str(path)

    return write_it


def test_calibration_is_read(write):
    assert load_calibration(write()) == Calibration(
        width=1280,
        height=720,
        distortion_model="plumb_bob",
        d=(0.1, -0.2, 0.001, 0.002, 0.0),
        k=(900.0, 0, 640.0, 0, 901.0, 360.0, 0, 0, 1),
        r=(1, 0, 0, 0, 1, 0, 0, 0, 1),
        p=(890.0, 0, 641.0, 0, 0, 891.0, 361.0, 0, 0, 0, 1, 0),
    )


def test_rational_polynomial_has_eight_coefficients(write):
    path = write(
        distortion_model="rational_polynomial", distortion_coefficients={"data": [0.0] * 8}
    )
    assert len(load_calibration(path).d) == 8


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image_width": "wide"}, "image_width is 'wide'"),
        ({"image_height": None}, "image_height is None"),
        ({"distortion_model": "fisheye"}, "distortion_model is 'fisheye'"),
        ({"camera_matrix": None}, "camera_matrix must hold data of 9 numbers"),
        ({"camera_matrix": {"data": [1.0] * 8}}, "camera_matrix must hold data of 9 numbers"),
        ({"projection_matrix": [1.0] * 12}, "projection_matrix must hold data of 12 numbers"),
        ({"rectification_matrix": {"data": ["a"] * 9}}, "not a number"),
        ({"camera_matrix": {"data": [float("nan")] * 9}}, "not a number"),
    ],
)
def test_damaged_calibrations_are_told(write, changes, told):
    with pytest.raises(CameraError, match=told):
        load_calibration(write(**changes))


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"- 1", b""])
def test_what_is_no_calibration_is_told(tmp_path, content):
    path = tmp_path / "camera.yaml"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=r"camera\.yaml"):
        load_calibration(str(path))


def test_an_absent_calibration_is_told(tmp_path):
    with pytest.raises(CameraError, match="No such file"):
        load_calibration(str(tmp_path / "absent.yaml"))


def test_another_size_is_refused():
    calibration = Calibration(width=1280, height=720)
    calibration.check_size(1280, 720, "cam")
    with pytest.raises(CameraError, match="for 1280x720 pixels but cam gives 640x480"):
        calibration.check_size(640, 480, "cam")
