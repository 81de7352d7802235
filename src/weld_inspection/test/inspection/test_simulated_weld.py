"""Planted defects through windows, regions and tracks, with the planted masks for a network."""

from collections import defaultdict

import cv2
import numpy as np
import pytest

from weld_inspection.inspection.inspector import Inspector
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry
from weld_inspection.simulation.weld import SimulatedWeld

RATE = 20.0


@pytest.mark.parametrize("carriage_known", [True, False])
def test_each_planted_defect_keeps_its_track_and_lies_where_it_was_planted(
    brightness_engine, carriage_known
):
    weld = SimulatedWeld(seed=2, rig="manual", duration=6.0, frame_rate=RATE)
    carriage = CarriagePositions()
    inspector = Inspector(
        brightness_engine(),
        carriage=carriage,
        geometry=SeamGeometry(weld.rig.metres_per_pixel),
    )
    places, stamps = defaultdict(list), defaultdict(set)
    for k in range(weld.frame_count):
        stamp_ns = round(k / RATE * 1e9)
        if carriage_known:
            carriage.add(stamp_ns, weld.position(k / RATE), weld.speed(k / RATE))
        for result in inspector.add(cv2.merge([weld.mask(k)] * 3), stamp_ns):
            for frame in result.frames:
                at = weld.position(frame.stamp_ns / 1e9)
                for region in frame.regions:
                    place = at + (region.center_x - 639.5) * weld.rig.metres_per_pixel
                    if carriage_known:
                        assert region.seam_position == pytest.approx(place)
                    places[region.track_id].append(place)
                    stamps[region.track_id].add(frame.stamp_ns)
    # What has been in the middle of the view has come in and gone out.
    passed = weld.position(weld.duration) - 0.024
    ids = defaultdict(list)
    for track_id, seen in places.items():
        middle = float(np.median(seen))
        owners = [d for d in weld.defects if d.start - 0.002 <= middle <= d.end + 0.002]
        if middle < passed:
            assert owners, f"track {track_id} at {middle:.3f} m is no planted defect's"
            ids[owners[0].start].append(track_id)
    solid = [d for d in weld.defects if d.code not in ("2013", "2017", "602") and d.end < passed]
    assert len(solid) >= 2
    for defect in solid:  # pores and spatter may be many regions, the others are one
        assert len(ids[defect.start]) == 1, f"{defect.name} has tracks {ids[defect.start]}"
        assert len(stamps[ids[defect.start][0]]) > 15
