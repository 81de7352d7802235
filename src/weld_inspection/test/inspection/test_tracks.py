import math

import numpy as np
import pytest

from weld_inspection.inspection.regions import Region
from weld_inspection.inspection.seam import SeamGeometry
from weld_inspection.inspection.tracks import DefectTracks

WIDTH = 1280
PERIOD = 50_000_000
GEOMETRY = SeamGeometry(3.75e-5)
SPEED = 0.02  # m/s: 27 pixels a frame


def region(x, y=300, width=80, height=60):
    """A region cut at the image's edges, None where nothing of it is in view."""
    left, right = max(0, round(x)), min(WIDTH, round(x + width))
    if right <= left:
        return None
    return Region(
        x=left,
        y=y,
        width=right - left,
        height=height,
        area=(right - left) * height,
        confidence=0.9,
        center_x=(left + right) / 2,
        center_y=y + height / 2,
    )


class Rig:
    """A camera that travels over defects at given places of the seam, in pixels."""

    def __init__(self, *, known=True, speed=SPEED, direction=1):
        geometry = SeamGeometry(3.75e-5, direction=direction)
        self.tracks = DefectTracks(geometry)
        self.known, self.speed, self.direction = known, speed, direction

    def look(self, k, boxes):
        """Returns the ids of the boxes in view in frame k, keyed by box."""
        travelled = k * PERIOD / 1e9 * self.speed / 3.75e-5 * self.direction
        regions = {box: region(box[0] - travelled, *box[1:]) for box in boxes}
        regions = {box: r for box, r in regions.items() if r}
        carriage = k * PERIOD / 1e9 * self.speed if self.known else math.nan
        found = self.tracks.update(
            list(regions.values()), k * PERIOD, image_width=WIDTH, carriage=carriage
        )
        return dict(zip(regions, (r.track_id for r in found), strict=True))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("speed", [0.0, 0.02, 0.06])
def test_defect_keeps_its_id_across_the_view(known, direction, speed):
    rig = Rig(known=known, speed=speed, direction=direction)
    start = 1300 if direction == 1 else -100
    boxes = [(start, 300), (start + direction * 300, 200, 40, 40)]
    ids = {box: set() for box in boxes}
    for k in range(120):
        for box, track_id in rig.look(k, boxes).items():
            ids[box].add(track_id)
    if speed:
        assert [len(found) for found in ids.values()] == [1, 1]
        assert ids[boxes[0]] == {1} and ids[boxes[1]] == {2}
    else:
        assert ids == {box: set() for box in boxes}


def test_ids_start_at_1_in_the_order_of_the_regions():
    assert Rig().look(0, [(100, 100), (500, 300)]) == {(100, 100): 1, (500, 300): 2}


@pytest.mark.parametrize("known", [True, False])
def test_neighbours_are_not_swapped(known):
    """As far apart as they move from frame to frame: a still comparison would take one for
    the other."""
    rig = Rig(known=known)
    step = PERIOD / 1e9 * SPEED / 3.75e-5
    boxes = [(700 + n * step, 300, 16, 16) for n in range(4)]
    # Until the speed is known a lone pore must teach it.
    rig.look(-2, [(1000, 100, 40, 40)])
    rig.look(-1, [(1000, 100, 40, 40)])
    first = rig.look(0, boxes)
    assert len(set(first.values())) == 4
    for k in range(1, 12):
        assert rig.look(k, boxes) == first


@pytest.mark.parametrize("known", [True, False])
def test_crowd_keeps_its_numbers(known):
    """As many specks as a frame may have, each seen in three frames of four."""
    random = np.random.default_rng(3)
    places = [(700 + 60 * column, 40 + 80 * row) for column in range(8) for row in range(8)]
    boxes = [(x, y, *random.integers(10, 30, 2).tolist()) for x, y in places]
    rig = Rig(known=known)
    for k in (-2, -1):  # until the speed is known a lone pore must teach it
        rig.look(k, [(1200, 700, 16, 16)])
    ids = {box: set() for box in boxes}
    for k in range(16):
        for box, track_id in rig.look(k, [b for n, b in enumerate(boxes) if (n + k) % 4]).items():
            ids[box].add(track_id)
    assert all(len(found) == 1 for found in ids.values())
    assert set.union(*ids.values()) == set(range(2, 66))


def test_defect_is_found_again_after_dropped_windows():
    rig = Rig()
    box = (900, 300, 40, 40)
    rig.look(0, [box])
    assert rig.look(20, [box]) == {box: 1}  # 1 s and 533 pixels later


def test_where_nothing_tells_how_the_seam_moves_a_defect_is_another_sooner():
    box = (900, 300, 40, 40)
    for frames, expected in ((8, 1), (12, 2)):
        rig = Rig(known=False, speed=0.0)
        rig.look(0, [box])
        assert rig.look(frames, [box]) == {box: expected}


def test_stamps_that_go_back_begin_anew():
    rig = Rig(speed=0.0)
    box = (900, 300, 40, 40)
    rig.look(5, [box])
    assert rig.look(4, [box]) == {box: 2}


def test_beside_a_defect_is_another():
    """Both lie where it may be, and none is a piece of it."""
    rig = Rig()
    box, beside = (900, 300, 40, 40), (945, 300, 40, 40)
    rig.look(0, [box])
    assert rig.look(1, [box, beside]) == {box: 1, beside: 2}


def test_speed_is_what_most_defects_show():
    rig = Rig(known=False)
    a, b, spark = (900, 300, 40, 40), (600, 200, 40, 40), (300, 600, 24, 24)
    rig.look(0, [a, b, spark])
    elsewhere = (390, 600, 24, 24)
    assert rig.look(1, [a, b, elsewhere]) == {a: 1, b: 2, elsewhere: 3}
    assert rig.look(2, [a, b]) == {a: 1, b: 2}


def test_defect_that_was_out_of_sight_too_long_is_another():
    rig = Rig(speed=0.0)
    box = (900, 300, 40, 40)
    rig.look(0, [box])
    assert rig.look(60, [box]) == {box: 2}


def test_new_defect_where_an_old_one_has_left_is_another():
    rig = Rig()
    rig.look(0, [(0, 300)])
    assert rig.look(8, [(8 * 26.7, 300)]) == {(8 * 26.7, 300): 2}


def test_pieces_of_a_defect_keep_its_number():
    rig = Rig()
    whole, left, right = (600, 300, 200, 40), (600, 300, 120, 40), (740, 300, 60, 40)
    assert rig.look(0, [whole]) == {whole: 1}
    assert rig.look(1, [left, right]) == {left: 1, right: 1}
    assert rig.look(2, [whole]) == {whole: 1}


def test_defects_that_merge_for_a_while_keep_their_numbers():
    rig = Rig()
    a, b, both = (600, 300, 60, 60), (680, 300, 60, 60), (600, 300, 140, 60)
    assert rig.look(0, [a, b]) == {a: 1, b: 2}
    assert len(set(rig.look(1, [both]).values()) & {1, 2}) == 1
    assert rig.look(2, [a, b]) == {a: 1, b: 2}


def test_spark_elsewhere_gets_its_own_number():
    rig = Rig()
    pore, spark = (900, 300), (300, 600, 24, 24)
    rig.look(0, [pore])
    assert rig.look(1, [pore, spark]) == {pore: 1, spark: 2}
    assert rig.look(2, [pore]) == {pore: 1}
