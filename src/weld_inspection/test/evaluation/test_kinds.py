"""What is found is told by the kind of defect that it is of."""

import numpy as np

from weld_inspection.evaluation.kinds import Kinds, find_patches
from weld_inspection.inspection.seam import SeamGeometry
from weld_inspection.training.clip_metadata import ClipDefect

GEOMETRY = SeamGeometry(metres_per_pixel=0.001)  # an image 41 pixels wide shows 41 mm
CENTER = 1.0  # m; column 20 is there
CRACK = ClipDefect("101", "longitudinal crack", 0.982, 0.990)  # columns 2 to 10
PORE = ClipDefect("2017", "surface pore", 1.010, 1.014)  # columns 30 to 34
UNDERCUT = ClipDefect("501", "undercut", 1.000, 1.019)  # columns 20 to 39, the pore's too


def mask(*patches: tuple[slice, slice]) -> np.ndarray:
    image = np.zeros((12, 41), bool)
    for rows, columns in patches:
        image[rows, columns] = True
    return image


def add(kinds: Kinds, truth: np.ndarray, found: np.ndarray, *defects: ClipDefect) -> None:
    kinds.add_mask(find_patches(truth, defects, CENTER, GEOMETRY), found)


def test_a_patch_is_of_the_defect_at_its_place():
    kinds = Kinds()
    crack, pore = (slice(5, 7), slice(2, 11)), (slice(4, 8), slice(30, 34))
    half = mask((slice(5, 6), slice(2, 11)), (slice(10, 12), slice(0, 41)))  # and what is none
    add(kinds, mask(crack, pore), half, CRACK, PORE)
    add(kinds, mask(pore), mask(pore), CRACK, PORE)
    kinds.add_defects([CRACK, PORE, CRACK], [1, 2])
    assert kinds.result() == {
        "surface pore": {"pixels": 32, "recall": 0.5, "planted": 1, "found": 1},
        "longitudinal crack": {"pixels": 18, "recall": 0.5, "planted": 2, "found": 1},
    }


def test_where_defects_overlap_a_patch_is_of_the_one_whose_middle_is_nearer():
    kinds = Kinds()
    patches = mask((slice(0, 2), slice(20, 40)), (slice(5, 8), slice(31, 34)))
    add(kinds, patches, mask((slice(0, 2), slice(20, 40))), UNDERCUT, PORE)
    assert kinds.result() == {
        "undercut": {"pixels": 40, "recall": 1.0, "planted": 0, "found": 0},
        "surface pore": {"pixels": 9, "recall": 0.0, "planted": 0, "found": 0},
    }


def test_a_patch_within_a_long_defect_is_not_of_a_near_neighbour():
    kinds = Kinds()
    gap = ClipDefect("602", "spatter", 0.997, 0.999)  # columns 17 to 19, before the undercut
    add(kinds, mask((slice(0, 2), slice(20, 23))), mask(), gap, UNDERCUT)
    assert list(kinds.result()) == ["undercut"]


def test_a_kind_without_pixels_is_told_too():
    kinds = Kinds()
    kinds.add_defects([PORE], [])
    assert kinds.result()["surface pore"] == {
        "pixels": 0,
        "recall": None,
        "planted": 1,
        "found": 0,
    }


def test_what_the_images_edge_cuts_is_of_the_nearest():
    kinds = Kinds()
    add(kinds, mask((slice(5, 7), slice(0, 2))), mask(), CRACK, PORE)
    assert list(kinds.result()) == ["longitudinal crack"]


def test_nothing_is_told_of_nothing():
    assert Kinds().result() == {}
