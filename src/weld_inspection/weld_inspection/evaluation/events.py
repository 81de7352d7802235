"""Scores what was reported along a seam against what was planted there."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

EVENT_GAP = 1  # sound windows that do not end an event
VIEW = 0.048  # m of seam across the image of the simulated automatic rig
TOLERANCE = 0.010  # m; half a network pixel is 0.16 mm, but a defect's edge may be all that is seen


class Planted(Protocol):
    """A defect whose place is known."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """What one window's report says about places.

    Attributes:
        defective: Eq. (9).
        confidence: Highest defect probability in the window.
        seam_positions: Of the window's regions, m; NaN where unknown.
    """

    defective: bool
    confidence: float
    seam_positions: tuple[float, ...]


@dataclass(slots=True)
class Event:
    """A run of defective windows with at most EVENT_GAP sound ones between them.

    Attributes:
        first: Index of the first defective window.
        last: Index of the last one.
        confidence: Highest of its windows.
        seam_positions: Of all regions in its defective windows, m.
    """

    first: int
    last: int
    confidence: float
    seam_positions: list[float] = field(default_factory=list)

    @property
    def start(self) -> float:
        """First place along the seam, m; NaN where none is known."""
        return min(self.seam_positions, default=math.nan)

    @property
    def end(self) -> float:
        """Last place along the seam, m; NaN where none is known."""
        return max(self.seam_positions, default=math.nan)


def find_events(windows: Iterable[WindowFinding]) -> list[Event]:
    """Groups the windows of a weld, in order of time, into events."""
    events: list[Event] = []
    for index, window in enumerate(windows):
        if not window.defective:
            continue
        if not events or index - events[-1].last > EVENT_GAP + 1:
            events.append(Event(index, index, window.confidence))
        event = events[-1]
        event.last = index
        event.confidence = max(event.confidence, window.confidence)
        event.seam_positions += [p for p in window.seam_positions if not math.isnan(p)]
    return events


@dataclass(frozen=True, slots=True)
class EventScore:
    """How events and planted defects meet.

    Attributes:
        found: Indices of planted defects at which some event has a region.
        missed: Indices of the others.
        false: Indices of events without a region at any planted defect.
        offsets: For each of `found`, how far the middle one of its regions' places lies from the
            middle of the defect, m.
    """

    found: tuple[int, ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    offsets: tuple[float, ...]


def visible(
    planted: Iterable[Planted], first: float, last: float, view: float = VIEW
) -> list[Planted]:
    """Returns the planted defects that come into view whole while a camera travels.

    Args:
        planted: Of a weld.
        first: Place of the image's centre at the beginning, m.
        last: Place of the image's centre at the end, m.
        view: Width of the view along the seam, m.
    """
    return [d for d in planted if first - view / 2 <= d.start and d.end <= last + view / 2]


def score_events(
    events: Sequence[Event],
    planted: Sequence[Planted],
    excused: Sequence[Planted] = (),
    tolerance: float = TOLERANCE,
) -> EventScore:
    """Tells which planted defects were found by an event, and which events are false.

    Args:
        events: Of one weld.
        planted: Defects of the same weld that should be found.
        excused: Defects at which an event is not false either, such as those that the view's edge
            cuts at the beginning and the end.
        tolerance: A region this near to a defect's extent is at the defect, m.
    """
    places: dict[int, list[float]] = {}  # of the regions at each planted defect that has some
    false = []
    for index, event in enumerate(events):
        at = {number: _at(event, defect, tolerance) for number, defect in enumerate(planted)}
        for number, positions in at.items():
            if positions:
                places.setdefault(number, []).extend(positions)
        if not any(at.values()) and not any(_at(event, item, tolerance) for item in excused):
            false.append(index)
    found = tuple(sorted(places))
    return EventScore(
        found,
        tuple(number for number in range(len(planted)) if number not in places),
        tuple(false),
        tuple(
            abs(median(places[number]) - (planted[number].start + planted[number].end) / 2)
            for number in found
        ),
    )


def _at(event: Event, defect: Planted, tolerance: float) -> list[float]:
    """The places of an event's regions that are at a defect."""
    low, high = defect.start - tolerance, defect.end + tolerance
    return [position for position in event.seam_positions if low <= position <= high]
