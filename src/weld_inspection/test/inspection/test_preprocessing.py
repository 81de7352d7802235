"""A frame's way to the network's size."""

import cv2
import numpy as np
import pytest

from weld_inspection.inspection.preprocessing import resize_frame


@pytest.mark.parametrize(
    ("size", "roundings"),
    [
        ((1280, 720), 3),
        ((640, 360), 2),
        ((320, 180), 1),
        ((640, 480), 1),
        ((960, 540), 2),
        ((333, 201), 1),
    ],
)
def test_a_pixel_is_the_mean_of_the_area_it_covers(size, roundings):
    frame = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    mean = cv2.resize(frame.astype(np.float64), (160, 90), interpolation=cv2.INTER_AREA)
    resized = resize_frame(frame, 160, 90)
    assert resized.shape == (90, 160, 3) and resized.dtype == np.uint8
    # Half a grey value at most for each rounding; an RGB frame of a BGR one.
    np.testing.assert_allclose(resized, mean[..., ::-1], atol=0.5 * roundings + 0.01)
    assert abs(float((resized - mean[..., ::-1]).mean())) < 0.2


def test_a_frame_of_the_networks_size_is_left_as_it_is():
    frame = np.random.default_rng(1).integers(0, 256, (90, 160, 3), np.uint8)
    np.testing.assert_array_equal(resize_frame(frame, 160, 90), frame[..., ::-1])
