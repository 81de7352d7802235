"""A bag as the event logic plans it, and what the writer is told to do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from weld_inspection.recording.message import RecordedMessage


@dataclass(frozen=True, slots=True)
class BagContext:
    """What a bag says of the run it was cut from.

    Attributes:
        weld_id: Of CarriageState or DefectReport; empty where nobody said.
        model_id: Of DetectorInfo; empty where no detector was heard.
        threshold: Probability from which a pixel counts as defect; None where not known.
        pixel_threshold: Defect pixels from which a window is defective (eq. 9); None likewise.
    """

    weld_id: str = ""
    model_id: str = ""
    threshold: float | None = None
    pixel_threshold: int | None = None


@dataclass(slots=True)
class BagSummary:
    """What is known of a bag when it is closed.

    Attributes:
        causes: Why it was recorded: `defect`, `by hand`, in the order in which they came up.
        part: 1, or more where a recording longer than the longest bag goes on in the next one.
        defective_windows: Number of defective reports.
        most_defect_pixels: Highest number of defect pixels of a report.
        confidence: Highest confidence of a report.
        begin_ns: First stamp of its frames, aligned to a window.
        end_ns: Last stamp of its frames.
    """

    causes: list[str] = field(default_factory=list)
    part: int = 1
    defective_windows: int = 0
    most_defect_pixels: int = 0
    confidence: float = 0.0
    begin_ns: int = 0
    end_ns: int = 0


@dataclass(frozen=True, slots=True)
class OpenBag:
    """Begin a bag.

    Attributes:
        number: Number of the bag in this run; the other actions name it.
        received_ns: When its first message arrived; names the bag.
        causes: Why it is recorded, as far as known by now.
        context: What it says of the run.
    """

    number: int
    received_ns: int
    causes: tuple[str, ...]
    context: BagContext


@dataclass(frozen=True, slots=True)
class WriteMessages:
    """Write messages into an open bag, in this order."""

    number: int
    messages: Sequence[RecordedMessage]


@dataclass(frozen=True, slots=True)
class CloseBag:
    """Finish a bag."""

    number: int
    summary: BagSummary


Action = OpenBag | WriteMessages | CloseBag


@dataclass(slots=True, eq=False)
class PlannedBag:
    """A bag that is being planned.

    Attributes:
        number: Its number.
        begin_ns: First stamp that belongs to it.
        limit_ns: It is not to go beyond the window that holds this stamp.
        summary: What will be said of it.
        begun_at_ns: Arrival time at which it was planned.
        until_ns: Last stamp that its events want.
        by_hand: The operator wants all that comes.
        end_ns: Last stamp that belongs to it, None while that is open.
        ended_at_ns: Arrival time at which the end was found.
        opened: Something was written.
    """

    number: int
    begin_ns: int
    limit_ns: int
    summary: BagSummary
    begun_at_ns: int
    until_ns: int
    by_hand: bool = False
    end_ns: int | None = None
    ended_at_ns: int = 0
    opened: bool = False

    @property
    def wanted_ns(self) -> float:
        """Last stamp that is wanted, in this bag or the next."""
        return math.inf if self.by_hand else self.until_ns

    @property
    def horizon_ns(self) -> float:
        """Last stamp that surely belongs to the bag."""
        return min(self.wanted_ns, self.limit_ns) if self.end_ns is None else self.end_ns

    def holds(self, stamp_ns: int) -> bool:
        """Whether a message about a frame surely belongs to the bag."""
        return self.begin_ns <= stamp_ns <= self.horizon_ns

    def end(self, end_ns: int, now_ns: int) -> None:
        """Fixes the last stamp, unless that was done before."""
        if self.end_ns is None:
            self.end_ns = end_ns
            self.ended_at_ns = now_ns

    def reopen(self) -> None:
        """Lets the bag grow again for an event that overlaps it."""
        self.end_ns = None
