from array import array

import cv2
import numpy as np
import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.camera_image import ENCODINGS, CameraImage, ImageError

RNG = np.random.default_rng(1)
BGR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GRAY = RNG.integers(0, 256, (5, 7), np.uint8)


def image_of(pixels, encoding, *, padding=0, **fields):
    rows = pixels.reshape(pixels.shape[0], -1)
    rows = np.ascontiguousarray(rows).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    numbers = {
        "data": array("B", rows.tobytes()),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "step": rows.shape[1],
        "encoding": encoding,
        "stamp_ns": 0,
    }
    return CameraImage(**{**numbers, **fields})


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("bgr8", BGR, BGR),
        ("8UC3", BGR, BGR),
        ("rgb8", BGR[..., ::-1], BGR),
        ("bgra8", np.dstack([BGR, GRAY]), BGR),
        ("rgba8", np.dstack([BGR[..., ::-1], GRAY]), BGR),
        ("mono8", GRAY, cv2.merge([GRAY] * 3)),
        ("8UC1", GRAY, cv2.merge([GRAY] * 3)),
        ("mono16", GRAY.astype(np.uint16) * 257, cv2.merge([GRAY] * 3)),
        ("16UC1", GRAY.astype(np.uint16) * 257, cv2.merge([GRAY] * 3)),
        ("bgr16", BGR.astype(np.uint16) * 257, BGR),
        ("rgb16", BGR[..., ::-1].astype(np.uint16) * 257, BGR),
    ],
)
def test_every_encoding_gives_the_same_picture(encoding, pixels, expected, padding):
    assert np.array_equal(image_of(pixels, encoding, padding=padding).to_bgr(), expected)


def test_16_bit_values_with_the_high_byte_first():
    pixels = (GRAY.astype(np.uint16) * 257 + 100).astype(">u2")
    image = image_of(pixels, "mono16", is_bigendian=True)
    assert np.array_equal(image.to_bgr()[..., 0], np.round(pixels / 257))


def test_bgr8_is_not_copied():
    image = image_of(BGR, "bgr8")
    assert np.shares_memory(image.to_bgr(), np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize("encoding", ["yuv422", "bayer_rggb8", "32FC1", ""])
def test_other_encodings_are_refused_by_name(encoding):
    with pytest.raises(ImageError, match=f"'{encoding}'.*bgr8") as refusal:
        image_of(BGR, encoding).to_bgr()
    assert isinstance(refusal.value, InspectionError)


def test_data_shorter_than_the_step_says_is_refused():
    with pytest.raises(ImageError, match=r"holds 104 bytes, shorter than .* \(105\)"):
        image_of(BGR, "bgr8", data=bytes(104)).to_bgr()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_step_shorter_than_a_row_is_refused(encoding):
    with pytest.raises(ImageError, match="step of 6 bytes is too short"):
        CameraImage(bytes(1000), 7, 5, 6, encoding, 0).to_bgr()


@pytest.mark.parametrize("size", [(0, 5), (7, 0)])
def test_empty_image_is_refused(size):
    with pytest.raises(ImageError, match="is empty"):
        CameraImage(b"", *size, 21, "bgr8", 0).to_bgr()


def test_data_longer_than_needed_is_read():
    image = image_of(BGR, "bgr8", data=BGR.tobytes() + b"rest")
    assert np.array_equal(image.to_bgr(), BGR)
