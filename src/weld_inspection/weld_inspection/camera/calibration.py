"""Camera calibrations in the YAML format of ROS's camera_calibration."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from weld_inspection.camera.source import CameraError

# Coefficients of each model, as in sensor_msgs/distortion_models.hpp.
DISTORTION_MODELS = {"plumb_bob": (5,), "rational_polynomial": (8,), "equidistant": (4,)}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What sensor_msgs/CameraInfo says of a camera.

    Attributes:
        width: Width of the calibrated picture in pixels.
        height: Its height in pixels.
        distortion_model: A name in DISTORTION_MODELS; empty if uncalibrated.
        d: Distortion coefficients.
        k: Camera matrix, 3x3 by rows.
        r: Rectification matrix, 3x3 by rows.
        p: Projection matrix, 3x4 by rows.
    """

    width: int
    height: int
    distortion_model: str = ""
    d: tuple[float, ...] = ()
    k: tuple[float, ...] = (0.0,) * 9
    r: tuple[float, ...] = (0.0,) * 9
    p: tuple[float, ...] = (0.0,) * 12

    def check_size(self, width: int, height: int, source: str) -> None:
        """Refuses a calibration of another size than a source's frames.

        Raises:
            CameraError: The sizes differ.
        """
        if (self.width, self.height) != (width, height):
            raise CameraError(
                f"the calibration is for {self.width}x{self.height} pixels but {source} gives "
                f"{width}x{height}: calibrate at that size or ask for the calibrated one"
            )


def load_calibration(path: str) -> Calibration:
    """Reads a calibration.

    Args:
        path: YAML file as camera_calibration writes it.

    Raises:
        CameraError: There is no such file, it is damaged, or numbers are missing.
    """
    file = Path(path).expanduser()
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise CameraError(f"calibration {file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CameraError(
            f"calibration {file} is no YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, dict):
        raise CameraError(f"calibration {file} is empty or no calibration of camera_calibration")
    width, height = (_size(file, content, key) for key in ("image_width", "image_height"))
    model = content.get("distortion_model")
    if model not in DISTORTION_MODELS:
        raise CameraError(
            f"calibration {file}: distortion_model is {model!r}, give one of "
            f"{', '.join(DISTORTION_MODELS)}"
        )
    return Calibration(
        width=width,
        height=height,
        distortion_model=model,
        d=_matrix(file, content, "distortion_coefficients", DISTORTION_MODELS[model]),
        k=_matrix(file, content, "camera_matrix", (9,)),
        r=_matrix(file, content, "rectification_matrix", (9,)),
        p=_matrix(file, content, "projection_matrix", (12,)),
    )


def _size(file: Path, content: dict[str, Any], key: str) -> int:
    value = content.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CameraError(f"calibration {file}: {key} is {value!r}, give it in whole pixels")
    return value


def _matrix(
    file: Path, content: dict[str, Any], key: str, lengths: tuple[int, ...]
) -> tuple[float, ...]:
    """Returns the numbers of a matrix by rows, of one of the allowed lengths."""
    entry = content.get(key)
    data = entry.get("data") if isinstance(entry, dict) else None
    if not isinstance(data, list) or len(data) not in lengths:
        raise CameraError(
            f"calibration {file}: {key} must hold data of {' or '.join(map(str, lengths))} numbers"
        )
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in data):
        raise CameraError(f"calibration {file}: {key} holds something that is not a number")
    return tuple(float(value) for value in data)
