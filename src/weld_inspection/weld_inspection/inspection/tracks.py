"""Track ids: the same physical defect keeps its number from frame to frame and window to window."""

import math
from dataclasses import dataclass, replace

import numpy as np

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
# Columns of boxes, (n, 4) float64, in pixels of the camera's image.
LEFT, TOP, RIGHT, BOTTOM = range(4)
ALONG = np.array([1.0, 0.0, 1.0, 0.0])  # moves a box
WIDER = np.array([-1.0, 0.0, 1.0, 0.0])
HIGHER = np.array([0.0, -1.0, 0.0, 1.0])
NOWHERE = np.array([np.inf, np.inf, -np.inf, -np.inf])  # joined with a box, is that box


def _boxes_of(regions: list[Region]) -> np.ndarray:
    sides = [(r.x, r.y, r.x + r.width, r.y + r.height) for r in regions]
    return np.array(sides, np.float64).reshape(-1, 4)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., RIGHT] - boxes[..., LEFT]) * (boxes[..., BOTTOM] - boxes[..., TOP])


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area that boxes have in common, row by row."""
    low = np.maximum(a[..., :2], b[..., :2])
    size = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - low, 0.0)
    return size[..., 0] * size[..., 1]


def _intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area that each of n boxes has in common with each of m, (n, m)."""
    return _overlap(a[:, None], b[None])


def number_there(region: Region, others: list[Region]) -> int:
    """Returns the number of what a region has most in common with; 0 where that is nothing.

    Args:
        region: Has no number.
        others: Numbered ones of the same frame.
    """
    if not others:
        return 0
    common = _intersections(_boxes_of([region]), _boxes_of(others))[0]
    best = int(common.argmax())
    return others[best].track_id if common[best] > 0 else 0


@dataclass(frozen=True, slots=True)
class _Tracks:
    """Physical defects: where each was seen last.

    Attributes:
        ids: (m,) their numbers.
        boxes: (m, 4) what of them was in view.
        stamps: (m,) when, nanoseconds.
        carriages: (m,) where the carriage was, metres; NaN where not known.
    """

    ids: np.ndarray
    boxes: np.ndarray
    stamps: np.ndarray
    carriages: np.ndarray

    @classmethod
    def none(cls) -> "_Tracks":
        integers = np.zeros(0, np.int64)
        return cls(integers, np.zeros((0, 4)), integers, np.zeros(0))

    def where(self, chosen: np.ndarray) -> "_Tracks":
        """Those that a mask chooses."""
        values = (self.ids, self.boxes, self.stamps, self.carriages)
        return _Tracks(*(value[chosen] for value in values))

    def longer(self, count: int) -> "_Tracks":
        """A copy with room for more at its end."""
        values = (self.ids, self.boxes, self.stamps, self.carriages)
        rooms = (np.zeros((count, *value.shape[1:]), value.dtype) for value in values)
        return _Tracks(*(np.concatenate(pair) for pair in zip(values, rooms, strict=True)))


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
        self._tracks = _Tracks.none()
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
        if not regions and not len(self._tracks.ids):
            return []  # most frames have none
        boxes = _boxes_of(regions)
        predicted, near = self._predict(stamp_ns, image_width, carriage)
        matches = self._match(boxes, predicted, near)
        self._measure_speed(boxes, matches, stamp_ns, image_width)
        self._join_pieces(boxes, matches, predicted)
        ids = self._store(boxes, matches, stamp_ns, carriage)
        return [
            replace(region, track_id=track_id)
            for region, track_id in zip(regions, ids.tolist(), strict=True)
        ]

    @property
    def next_number(self) -> int:
        """The number that the next new defect gets."""
        return self._next_id

    def take_number(self) -> int:
        """Takes a number for a defect that is not followed."""
        self._next_id += 1
        return self._next_id - 1

    def renumber(self, number: int, other: int) -> bool:
        """Gives a defect that is followed a number that was taken before it was.

        Args:
            number: That it has.
            other: That it shall have.

        Returns:
            Whether it has it now: not where another defect is followed by it.
        """
        if other in self._tracks.ids:
            return False
        ids = np.where(self._tracks.ids == number, other, self._tracks.ids)
        self._tracks = replace(self._tracks, ids=ids)
        return True

    def _predict(
        self, stamp_ns: int, image_width: int, carriage: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where each defect should be now, and the same with room; forgets those that have left."""
        tracks = self._tracks
        age = (stamp_ns - tracks.stamps) / NANOSECONDS
        slack = SLACK * image_width
        shift = self._geometry.shift(tracks.carriages, carriage)
        room, max_age = np.full(len(age), slack), MAX_AGE
        unknown = np.isnan(shift)
        if unknown.any() and self._speed is not None:
            shift = np.where(unknown, self._speed * age, shift)
            room += np.where(unknown, SPEED_SLACK * np.abs(shift), 0.0)
        elif unknown.any():
            shift = np.where(unknown, 0.0, shift)
            room += np.where(unknown, MAX_SPEED * image_width * age, 0.0)
            max_age = np.where(unknown, MAX_AGE_BLIND, MAX_AGE)
        predicted = tracks.boxes + shift[:, None] * ALONG
        near = predicted + room[:, None] * WIDER + 2 * slack * HIGHER
        kept = (age >= 0) & (age <= max_age)
        kept &= (near[:, RIGHT] >= 0) & (near[:, LEFT] <= image_width)
        if not kept.all():
            self._tracks = tracks.where(kept)
            predicted, near = predicted[kept], near[kept]
        return predicted, near

    def _match(self, boxes: np.ndarray, predicted: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Matches regions and predictions one to one, best first.

        Returns:
            (n,) int: for each region the index of its track, -1 for none.
        """
        matches = [-1] * len(boxes)
        regions, tracks = np.nonzero(_intersections(boxes, near) > 0)
        a, b = boxes[regions], predicted[tracks]
        both = _overlap(a, b)
        iou = both / (_areas(a) + _areas(b) - both)
        way = a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]
        distance = np.hypot(way[:, 0], way[:, 1]) / 2
        best_first = np.lexsort((self._tracks.ids[tracks], regions, distance, -iou))
        pairs = zip(regions[best_first].tolist(), tracks[best_first].tolist(), strict=True)
        taken = set()
        for region, track in pairs:
            if matches[region] < 0 and track not in taken:
                matches[region] = track
                taken.add(track)
        return np.array(matches, np.int64)

    def _measure_speed(
        self, boxes: np.ndarray, matches: np.ndarray, stamp_ns: int, image_width: int
    ) -> None:
        """Learns the seam's speed through the image from boxes that are wholly in view."""
        matched = matches[matches >= 0]
        now, before = boxes[matches >= 0], self._tracks.boxes[matched]
        seconds = (stamp_ns - self._tracks.stamps[matched]) / NANOSECONDS
        usable = (seconds > 0) & (np.minimum(now, before)[:, LEFT] > 0)
        usable &= np.maximum(now, before)[:, RIGHT] < image_width
        if not usable.any():
            return
        ways = (now - before)[:, LEFT] + (now - before)[:, RIGHT]
        measured = float(np.median(ways[usable] / 2 / seconds[usable]))
        if self._speed is None:
            self._speed = measured
        else:
            self._speed += SPEED_WEIGHT * (measured - self._speed)

    def _join_pieces(self, boxes: np.ndarray, matches: np.ndarray, predicted: np.ndarray) -> None:
        """Gives a region that is left over, in `matches`, the track in whose place it lies."""
        left_over = np.flatnonzero(matches < 0)
        matched = matches[matches >= 0]
        if not len(left_over) or not len(matched):
            return
        # Of two that it lies in alike, the newer one.
        matched = matched[np.argsort(-self._tracks.ids[matched])]
        overlaps = _intersections(boxes[left_over], predicted[matched])
        best = overlaps.argmax(axis=1)
        inside = overlaps.max(axis=1) > _areas(boxes[left_over]) / 2
        matches[left_over[inside]] = matched[best[inside]]

    def _store(
        self, boxes: np.ndarray, matches: np.ndarray, stamp_ns: int, carriage: float
    ) -> np.ndarray:
        """Remembers where each defect was seen in this frame; returns each region's number."""
        new = np.flatnonzero(matches < 0)
        known = len(self._tracks.ids)
        tracks = self._tracks.longer(len(new))
        matches[new] = np.arange(known, known + len(new))
        tracks.ids[known:] = np.arange(self._next_id, self._next_id + len(new))
        self._next_id += len(new)
        tracks.boxes[matches] = NOWHERE
        np.minimum.at(tracks.boxes[:, :2], matches, boxes[:, :2])
        np.maximum.at(tracks.boxes[:, 2:], matches, boxes[:, 2:])
        tracks.stamps[matches] = stamp_ns
        tracks.carriages[matches] = carriage
        self._tracks = tracks
        return tracks.ids[matches]
