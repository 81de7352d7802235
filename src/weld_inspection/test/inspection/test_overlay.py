import math
import threading

import numpy as np
import pytest

from weld_inspection.inspection.inspector import InspectedFrame, WindowResult
from weld_inspection.inspection.overlay import draw_overlay
from weld_inspection.inspection.overlay_player import OverlayPlayer
from weld_inspection.inspection.regions import Region, find_regions

GRAY = np.full((720, 1280, 3), 128, np.uint8)


def mask_of(*boxes):
    mask = np.zeros((90, 160), np.uint8)
    for left, top, width, height in boxes:
        mask[top : top + height, left : left + width] = 255
    return mask


def test_defect_pixels_turn_red_and_sound_ones_stay():
    mask = mask_of((60, 40, 20, 10))
    picture = draw_overlay(GRAY, mask, defective=False)
    inside = picture[44 * 8, 70 * 8].astype(int)
    assert inside[2] > inside[0] + 40
    assert np.array_equal(picture[600:640, 100:1200], GRAY[600:640, 100:1200])
    assert np.all(GRAY == 128)  # the camera's image is left as it was


def test_state_frames_the_picture_only_when_defective():
    mask = mask_of()
    assert np.all(draw_overlay(GRAY, mask, defective=False)[0] == 128)
    assert np.all(draw_overlay(GRAY, mask, defective=True)[0, :, 2] > 200)


def test_place_and_caption_are_written_where_known():
    mask = mask_of()
    unknown = draw_overlay(GRAY, mask, defective=False)
    known = draw_overlay(GRAY, mask, defective=False, seam_position=0.4123, caption="model")
    changed = np.any(unknown != known, axis=2)
    assert changed[:80, 900:].any()
    assert changed[640:, :300].any()
    assert not changed[100:600].any()


@pytest.mark.parametrize("size", [(720, 1280), (120, 160), (1080, 1920), (33, 47)])
@pytest.mark.parametrize("place", [(0, 0), (150, 80), (0, 80), (150, 0)])
def test_any_size_and_any_corner_can_be_drawn(size, place):
    image = np.full((*size, 3), 90, np.uint8)
    mask = mask_of((*place, 10, 10))
    regions = find_regions(
        mask, (mask / 255).astype(np.float32), image_width=size[1], image_height=size[0]
    )
    picture = draw_overlay(image, mask, regions, defective=True, seam_position=1.0, caption="x")
    assert picture.shape == image.shape and picture.dtype == np.uint8


def test_labels_of_near_regions_do_not_cover_each_other():
    near = [Region(600 + 30 * n, 300, 20, 20, 400, 0.9, 610, 310, track_id=n) for n in range(2)]
    mask = mask_of()
    single = [draw_overlay(GRAY, mask, [one], defective=False) for one in near]
    both = draw_overlay(GRAY, mask, near, defective=False)
    plate = [np.count_nonzero(np.any(p != GRAY, axis=2)) for p in (*single, both)]
    state = np.count_nonzero(np.any(draw_overlay(GRAY, mask, defective=False) != GRAY, axis=2))
    assert plate[2] - state > 0.9 * (plate[0] + plate[1] - 2 * state)


def result_of(*tags, without_image=None):
    frames = tuple(
        InspectedFrame(
            tag * 10_000_000,
            mask_of(),
            (),
            math.nan,
            math.nan,
            tag,
            GRAY if tag != without_image else None,
        )
        for tag in tags
    )
    return WindowResult(frames, 0, 1, False, 0, (), 1000, 0.0, (), 0, 0.0, None, 1280, 720)


def test_player_shows_every_frame_in_order():
    told, shown, done = [], [], threading.Event()

    def show(picture, frame):
        shown.append(frame.tag)
        if len(shown) == 3:
            done.set()

    player = OverlayPlayer(show, on_trouble=told.append)
    player.put(result_of(0, 1, 2, 3, without_image=1))
    assert done.wait(30)
    player.stop()
    assert shown == [0, 2, 3] and told == []


def test_a_window_that_cannot_be_shown_costs_no_later_one():
    told, shown, done = [], [], threading.Event()

    def show(picture, frame):
        if frame.tag == 0:
            raise ValueError("no such encoding")
        shown.append(frame.tag)
        if frame.tag == 3:
            done.set()

    player = OverlayPlayer(show, on_trouble=told.append)
    for tags in ((0, 1), (2, 3)):
        player.put(result_of(*tags))
    assert done.wait(30)
    player.stop()
    assert shown == [2, 3] and told == ["ValueError: no such encoding"]


def test_stopping_leaves_out_the_rest_of_a_window():
    shown, one = [], threading.Event()

    def show(picture, frame):
        shown.append(frame.tag)
        one.set()

    player = OverlayPlayer(show, on_trouble=print)
    player.put(result_of(*range(100)))
    assert one.wait(30)
    player.stop()
    assert len(shown) < 100
