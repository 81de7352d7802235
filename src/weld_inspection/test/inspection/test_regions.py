import numpy as np
import pytest

from weld_inspection.inspection.regions import MAX_REGIONS, find_regions

SIZE = {"image_width": 1280, "image_height": 720}


def paint(*boxes):
    """Boxes are (left, top, width, height, probability) in mask pixels."""
    probability = np.zeros((90, 160), np.float32)
    for left, top, width, height, value in boxes:
        probability[top : top + height, left : left + width] = value
    return (probability > 0.5).astype(np.uint8) * 255, probability


def test_regions_are_scaled_to_the_image_largest_first():
    regions = find_regions(*paint((10, 20, 3, 2, 0.7), (50, 5, 10, 4, 0.9)), **SIZE)
    first, second = regions
    assert (first.x, first.y, first.width, first.height) == (400, 40, 80, 32)
    assert first.area == 40 * 64
    assert first.confidence == pytest.approx(0.9)
    assert (first.center_x, first.center_y) == (439.5, 55.5)
    assert (second.x, second.y, second.width, second.height) == (80, 160, 24, 16)


def test_confidence_is_of_the_region_alone_not_of_its_box():
    mask, probability = paint((10, 10, 6, 1, 0.6), (10, 10, 1, 6, 0.6), (13, 13, 2, 2, 0.99))
    regions = find_regions(mask, probability, **SIZE)
    assert [r.confidence for r in regions] == pytest.approx([0.6, 0.99])


def test_diagonal_pixels_are_connected():
    mask, probability = paint((10, 10, 1, 1, 0.9), (11, 11, 1, 1, 0.9))
    assert len(find_regions(mask, probability, **SIZE)) == 1


def test_small_regions_are_left_out():
    boxes = paint((10, 20, 2, 2, 0.7), (50, 5, 10, 4, 0.9), (80, 50, 1, 1, 0.9))
    areas = [r.area for r in find_regions(*boxes, **SIZE, min_area=256)]
    assert areas == [40 * 64, 4 * 64]


def test_box_stays_inside_an_image_that_is_no_multiple_of_the_mask():
    mask, probability = paint((0, 0, 160, 90, 0.9))
    (region,) = find_regions(mask, probability, image_width=1001, image_height=333)
    assert (region.x, region.y, region.width, region.height) == (0, 0, 1001, 333)
    assert region.area == 1001 * 333


def test_empty_mask_has_no_region():
    assert find_regions(*paint(), **SIZE) == []


def test_specks_without_number_are_cut_off():
    boxes = [(x, y, 1, 1, 0.9) for x in range(0, 160, 2) for y in range(0, 90, 2)]
    assert len(find_regions(*paint(*boxes), **SIZE)) == MAX_REGIONS
