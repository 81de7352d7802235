"""Track ids: the same physical defect keeps its number from frame to frame and window to window."""

import math
from dataclasses import dataclass, replace
from statistics import median

from weld_inspection.inspection.regions import Region
from weld_inspection.inspection.seam import SeamGeometry
from weld_inspection.stamps import NANOSECONDS

# A defect that is not seen for this long has left, or comes back as another (s).
MAX_AGE = 2.0
# The same where nothing tells how the seam moves: a guess soon fits anything (s).
MAX_AGE_BLIND = 0.5
# Room left to a prediction, as a part of the image's width: two pixels of a 160 pixel mask, which
# covers vibration and a region whose edge comes and goes.
SLACK = 1 / 80
# The same as a part of the predicted way, where the speed is only estimated.
SPEED_SLACK = 0.25
# Fastest travel expected before anything is known, image widths a second (0.07 m/s at 48 mm).
MAX_SPEED = 1.5
# Weight of a new measurement in the estimated speed.
SPEED_WEIGHT = 0.4


@dataclass(frozen=True, slots=True)
class _Box:
    """A box in pixels of the camera's image."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, region: Region) -> "_Box":
        return cls(region.x, region.y, region.x + region.width, region.y + region.height)

    def moved(self, dx: float) -> "_Box":
        return _Box(self.left + dx, self.top, self.right + dx, self.bottom)

    def grown(self, x: float, y: float) -> "_Box":
        return _Box(self.left - x, self.top - y, self.right + x, self.bottom + y)

    def joined(self, other: "_Box") -> "_Box":
        return _Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def intersection(self, other: "_Box") -> float:
        return _Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area()

    def iou(self, other: "_Box") -> float:
        both = self.intersection(other)
        return both / (self.area() + other.area() - both) if both else 0.0

    def distance(self, other: "_Box") -> float:
        return math.hypot(
            (self.left + self.right - other.left - other.right) / 2,
            (self.top + self.bottom - other.top - other.bottom) / 2,
        )


@dataclass(slots=True)
class _Track:
    """A physical defect: where it was seen last."""

    track_id: int
    box: _Box
    stamp_ns: int
    carriage: float


class DefectTracks:
    """Follows defects through the frames by where the seam has carried them.

    The way of the seam through the image is the carriage's, where its position is known; else it
    is estimated from the defects that were followed so far, all of which move alike. Regions and
    predictions are matched one to one, best overlap first. A further region inside the place of a
    defect that already has one is a piece of it and gets its number. Numbers start at 1.
    """

    def __init__(self, geometry: SeamGeometry | None = None) -> None:
        """Starts with no defect.

        Args:
            geometry: How the camera sits on the carriage.
        """
        self._geometry = geometry or SeamGeometry()
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._speed: float | None = None  # of the seam through the image, pixels/s along x

    def update(
        self,
        regions: list[Region],
        stamp_ns: int,
        *,
        image_width: int,
        carriage: float = math.nan,
    ) -> list[Region]:
        """Numbers the regions of the next frame.

        Args:
            regions: The frame's regions.
            stamp_ns: The frame's capture time in nanoseconds.
            image_width: Width of the camera's image in pixels.
            carriage: Position of the carriage at that time in metres, NaN where not known.

        Returns:
            The regions in the same order, with their track ids.
        """
        boxes = [_Box.of(region) for region in regions]
        predictions = self._predict(stamp_ns, image_width, carriage)
        ids = self._match(boxes, predictions)
        self._measure_speed(boxes, ids, stamp_ns, image_width)
        self._join_pieces(boxes, ids, predictions)
        for index, track_id in enumerate(ids):
            if track_id == 0:
                ids[index] = self._next_id
                self._next_id += 1
        self._store(boxes, ids, stamp_ns, carriage)
        return [
            replace(region, track_id=track_id)
            for region, track_id in zip(regions, ids, strict=True)
        ]

    def _predict(
        self, stamp_ns: int, image_width: int, carriage: float
    ) -> dict[int, tuple[_Box, _Box]]:
        """Where each defect should be now, and the same with room; forgets those that have left."""
        predictions = {}
        kept = []
        for track in self._tracks:
            age = (stamp_ns - track.stamp_ns) / NANOSECONDS
            slack = SLACK * image_width
            shift = self._geometry.shift(track.carriage, carriage)
            max_age, room = MAX_AGE, slack
            if shift is None and self._speed is not None:
                shift = self._speed * age
                room += SPEED_SLACK * abs(shift)
            elif shift is None:
                shift, max_age = 0.0, MAX_AGE_BLIND
                room += MAX_SPEED * image_width * age
            box = track.box.moved(shift)
            near = box.grown(room, 2 * slack)
            if not 0 <= age <= max_age or near.right < 0 or near.left > image_width:
                continue
            kept.append(track)
            predictions[track.track_id] = (box, near)
        self._tracks = kept
        return predictions

    @staticmethod
    def _match(boxes: list[_Box], predictions: dict[int, tuple[_Box, _Box]]) -> list[int]:
        """Matches regions and predictions one to one, best first; returns ids, 0 for none."""
        pairs = []
        for index, box in enumerate(boxes):
            for track_id, (predicted, near) in predictions.items():
                if near.intersection(box) > 0:
                    key = (-predicted.iou(box), predicted.distance(box))
                    pairs.append((*key, index, track_id))
        ids = [0] * len(boxes)
        taken = set()
        for _, _, index, track_id in sorted(pairs):
            if ids[index] == 0 and track_id not in taken:
                ids[index] = track_id
                taken.add(track_id)
        return ids

    def _measure_speed(
        self, boxes: list[_Box], ids: list[int], stamp_ns: int, image_width: int
    ) -> None:
        """Learns the seam's speed through the image from boxes that are wholly in view."""
        tracks = {track.track_id: track for track in self._tracks}
        speeds = []
        for box, track_id in zip(boxes, ids, strict=True):
            if track_id == 0:
                continue
            track = tracks[track_id]
            inside = all(b.left > 0 and b.right < image_width for b in (box, track.box))
            if inside and stamp_ns > track.stamp_ns:
                way = (box.left + box.right - track.box.left - track.box.right) / 2
                speeds.append(way * NANOSECONDS / (stamp_ns - track.stamp_ns))
        if speeds:
            measured = median(speeds)
            if self._speed is None:
                self._speed = measured
            else:
                self._speed += SPEED_WEIGHT * (measured - self._speed)

    @staticmethod
    def _join_pieces(
        boxes: list[_Box], ids: list[int], predictions: dict[int, tuple[_Box, _Box]]
    ) -> None:
        """Gives a region that is left over the number of the defect in whose place it lies."""
        matched = {track_id for track_id in ids if track_id}
        for index, box in enumerate(boxes):
            if ids[index]:
                continue
            overlap, track_id = max(
                ((predictions[i][0].intersection(box), i) for i in matched), default=(0.0, 0)
            )
            if overlap > box.area() / 2:
                ids[index] = track_id

    def _store(self, boxes: list[_Box], ids: list[int], stamp_ns: int, carriage: float) -> None:
        """Remembers where each defect was seen in this frame."""
        seen: dict[int, _Box] = {}
        for box, track_id in zip(boxes, ids, strict=True):
            seen[track_id] = seen[track_id].joined(box) if track_id in seen else box
        self._tracks = [track for track in self._tracks if track.track_id not in seen]
        self._tracks += [_Track(i, box, stamp_ns, carriage) for i, box in seen.items()]
