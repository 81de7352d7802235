"""Which messages go into which bag.

An event is a defective report, or the operator's wish. A bag holds every frame from `pre_roll`
before an event's first window to `post_roll` after its last one, moved outwards to whole windows.
Events whose bags would overlap share one. A frame is in at most one bag, and each topic keeps its
order. Reports come later than the frames they are about, so frames that may not belong wait in the
ring until it is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from weld_inspection.frame_losses import LONGEST_PAUSE_NS, FrameLosses
from weld_inspection.recording.bag_plan import (
    Action,
    BagContext,
    BagSummary,
    CloseBag,
    OpenBag,
    PlannedBag,
    WriteMessages,
)
from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.report import Report
from weld_inspection.recording.ring import Ring
from weld_inspection.recording.rules import NANOSECONDS, RecordingRules
from weld_inspection.recording.standing_states import StandingStates
from weld_inspection.recording.topics import Role
from weld_inspection.recording.window_grid import WindowGrid

# A frame's stamp this much before the newest one is another clock (a source that starts over), not
# a frame out of order; a report this far ahead of the frames is of another clock, too.
CLOCK_JUMP_NS = NANOSECONDS

# Lost frames are counted once in so many that came, so that late ones are told from lost ones.
FRAMES_BETWEEN_COUNTS = 10

DEFECT = "defect"
BY_HAND = "by hand"


@dataclass(slots=True)
class EventCounts:
    """What happened so far.

    Attributes:
        events: Bags that were begun, by a defect or by hand.
        clock_jumps: Times at which the frames' stamps went back by more than a second.
        stray_reports: Reports whose frames were never seen.
        frames_lost: Frames that never came, estimated from the usual interval of their stamps.
    """

    events: int = 0
    clock_jumps: int = 0
    stray_reports: int = 0
    frames_lost: int = 0


class EventRecorder:
    """Turns messages, reports and the operator's wishes into actions for the writer.

    Every call returns what the writer has to do now. Not thread-safe: one thread calls it. No call
    takes longer than a few passes over the ring.
    """

    def __init__(
        self,
        roles: Mapping[str, Role],
        rules: RecordingRules,
        context: Callable[[], BagContext] = BagContext,
    ) -> None:
        """Starts with an empty ring and no bag.

        Args:
            roles: How the messages of each topic are chosen.
            rules: How much is recorded.
            context: Asked for what a bag says of the run, each time one is opened.
        """
        self._roles = dict(roles)
        self._rules = rules
        self._context = context
        self._ring = Ring(rules.ring_duration_ns, rules.ring_bytes)
        self._grid = WindowGrid()
        self._states = StandingStates()
        self._newest_ns: int | None = None  # highest stamp of a frame
        self._renewed_at_ns = 0  # when the frame of that stamp arrived
        self._arrived: RecordedMessage | None = None  # the frame that arrived last
        self._received_ns = 0  # when the last message arrived
        self._losses = FrameLosses()
        self._counted_frames = 0
        self._bags: list[PlannedBag] = []  # the last one may grow, others wait to be closed
        self._taken_until_ns: int | None = None
        self._by_hand = False
        self._next_number = 1
        self._actions: list[Action] = []
        self.counts = EventCounts()

    @property
    def ring(self) -> Ring:
        """The messages that belong to no bag yet."""
        return self._ring

    @property
    def by_hand(self) -> bool:
        """Whether the operator wants a recording."""
        return self._by_hand

    @property
    def causes(self) -> tuple[str, ...]:
        """Why the newest bag that is not closed is recorded; empty where there is none."""
        if not self._bags:
            return (BY_HAND,) if self._by_hand else ()
        return tuple(self._bags[-1].summary.causes)

    @property
    def growing(self) -> PlannedBag | None:
        """The bag whose end is not known yet, None while there is none."""
        return self._bags[-1] if self._bags and self._bags[-1].end_ns is None else None

    def receive(self, message: RecordedMessage) -> list[Action]:
        """Takes a message of one of the topics."""
        role = self._roles[message.topic]
        if message.received_ns < self._received_ns:
            self._date_back_states()
        self._received_ns = message.received_ns
        if role is Role.FRAME:
            self._follow_clock(message)
        bag = self._bag_of_arrival(message, role)
        if bag is not None:
            self._write(bag, [message])
        else:
            for gone in self._ring.push(message):
                self._remember_state(gone)
        self._advance(message.received_ns)
        return self._take_actions()

    def report(self, report: Report, now_ns: int) -> list[Action]:
        """Takes what a DefectReport says; its message comes by `receive` before."""
        if self._newest_ns is not None and report.window.end_ns > self._newest_ns + CLOCK_JUMP_NS:
            self.counts.stray_reports += 1
            return []
        self._grid.add(report.window, report.stride)
        self._advance(now_ns)
        if report.defective:
            bag = self._bag_from(report.window.start_ns - self._rules.pre_roll_ns, now_ns, DEFECT)
            bag.until_ns = max(bag.until_ns, report.window.end_ns + self._rules.post_roll_ns)
            summary = bag.summary
            summary.defective_windows += 1
            summary.most_defect_pixels = max(summary.most_defect_pixels, report.defect_pixels)
            summary.confidence = max(summary.confidence, report.confidence)
            self._collect()
        self._advance(now_ns)
        return self._take_actions()

    def start(self, now_ns: int) -> list[Action]:
        """Begins to record by hand, the pre-roll included."""
        if not self._by_hand:
            self._by_hand = True
            if self._newest_ns is None:
                return []  # the bag begins with the first frame: only frames tell their clock
            bag = self._bag_from(self._newest_ns - self._rules.pre_roll_ns, now_ns, BY_HAND)
            bag.by_hand = True
            self._collect()
            self._advance(now_ns)
        return self._take_actions()

    def stop(self, now_ns: int) -> list[Action]:
        """Ends what was begun by hand, with the window that holds the newest frame.

        An event's post-roll is recorded all the same.
        """
        self._by_hand = False
        for bag in self._bags:
            if bag.by_hand:
                bag.by_hand = False
                bag.until_ns = max(bag.until_ns, self._newest_ns)
        self._advance(now_ns)
        return self._take_actions()

    def tick(self, now_ns: int) -> list[Action]:
        """Lets time pass: ends what waits for messages that do not come."""
        self._advance(now_ns)
        return self._take_actions()

    def finish(self) -> list[Action]:
        """Closes every bag with the frames it has and forgets the stream."""
        self._cut()
        self._by_hand = False
        self._newest_ns = None
        self._arrived = None
        self._states.clear()
        return self._take_actions()

    # The bags.

    def _bag_from(self, from_ns: int, now_ns: int, cause: str) -> PlannedBag:
        """The bag for an event: the last one if the event overlaps it, else a new one."""
        if self._bags:
            last = self._bags[-1]
            aligned = self._grid.start_around(from_ns)
            reach = last.wanted_ns if last.end_ns is None else last.end_ns
            if (from_ns if aligned is None else aligned) <= reach:
                last.reopen()
                if from_ns < last.begin_ns:  # begun by hand between a defect and its report
                    last.begin_ns = min(last.begin_ns, self._begin_for(from_ns))
                if cause not in last.summary.causes:
                    last.summary.causes.append(cause)
                return last
            last.end(round(last.horizon_ns), now_ns)
        self.counts.events += 1
        begin = self._begin_for(from_ns)
        return self._begin(begin, begin, now_ns, BagSummary(causes=[cause]))

    def _begin_for(self, from_ns: int) -> int:
        """Where a bag for an event begins, by what is in the ring."""
        waiting = (m.stamp_ns for m in self._ring if self._roles[m.topic] is Role.FRAME)
        taken_until = self._bags[-1].end_ns if self._bags else self._taken_until_ns
        return self._grid.begin(from_ns, min(waiting, default=from_ns), taken_until)

    def _begin(self, begin_ns: int, until_ns: int, now_ns: int, summary: BagSummary) -> PlannedBag:
        limit = begin_ns + self._rules.max_duration_ns
        bag = PlannedBag(self._next_number, begin_ns, limit, summary, now_ns, until_ns)
        self._next_number += 1
        self._bags.append(bag)
        return bag

    def _advance(self, now_ns: int) -> None:
        """Finds ends that are known by now, splits what is too long, closes what is complete."""
        while (growing := self.growing) is not None:
            end = self._find_end(growing, now_ns)
            if end is None:
                break
            growing.end(end, now_ns)
            begin = self._begin_after(end)
            if end >= growing.limit_ns and growing.wanted_ns >= begin:
                before = growing.summary
                summary = BagSummary(causes=list(before.causes), part=before.part + 1)
                following = self._begin(begin, growing.until_ns, now_ns, summary)
                following.by_hand = growing.by_hand
            self._collect()
        for bag in [bag for bag in self._bags if self._is_complete(bag, now_ns)]:
            self._close(bag)

    def _begin_after(self, end_ns: int) -> int:
        """First stamp of the part behind an end: a gap, however long, is in no part."""
        waiting = (m.stamp_ns for m in self._ring if self._roles[m.topic] is Role.FRAME)
        beyond = (stamp for stamp in waiting if stamp > end_ns)
        first = min(beyond, default=self._newest_ns or 0)
        # Frames out of order may still come before the first one behind the gap.
        return max(end_ns + 1, first - CLOCK_JUMP_NS)

    def _find_end(self, bag: PlannedBag, now_ns: int) -> int | None:
        """Last stamp of a growing bag, None while it cannot be told."""
        if self._newest_ns is None:  # no camera: there are only reports to keep
            patience = self._rules.post_roll_ns + self._rules.report_timeout_ns
            waited = now_ns - bag.begun_at_ns > patience
            return bag.until_ns if waited and not bag.by_hand else None
        goal = round(bag.horizon_ns)
        late = self._newest_ns > goal + self._rules.report_timeout_ns
        if late or self._grid.reaching(goal) is not None:
            return self._grid.end(goal)
        if self._is_silent(now_ns) and not bag.by_hand:
            return min(goal, self._newest_ns)
        return None

    def _is_silent(self, now_ns: int) -> bool:
        """Whether frames have stopped coming, or come with stamps that stand still."""
        return now_ns - self._renewed_at_ns > self._rules.report_timeout_ns

    def _is_complete(self, bag: PlannedBag, now_ns: int) -> bool:
        """Whether nothing that belongs to a bag can come any more."""
        if bag.end_ns is None or now_ns - bag.ended_at_ns < self._rules.settle_ns:
            return False
        if bag is not self._bags[-1] or self._newest_ns is None or self._is_silent(now_ns):
            return True
        # No event may come whose pre-roll reaches into this bag.
        if self._newest_ns > bag.end_ns + self._rules.pre_roll_ns + self._rules.report_timeout_ns:
            return True
        newest_start = self._grid.newest_start_ns
        if newest_start is None:
            return False
        earliest = newest_start - self._rules.pre_roll_ns
        aligned = self._grid.start_around(earliest)
        return (earliest if aligned is None else aligned) > bag.end_ns

    def _close(self, bag: PlannedBag) -> None:
        self._bags.remove(bag)
        self._taken_until_ns = bag.end_ns
        bag.summary.begin_ns = bag.begin_ns
        bag.summary.end_ns = bag.begin_ns if bag.end_ns is None else bag.end_ns
        if bag.opened:
            self._actions.append(CloseBag(bag.number, bag.summary))

    # The messages.

    def _follow_clock(self, frame: RecordedMessage) -> None:
        """Notes the newest frame; starts anew where the frames' clock has gone back."""
        if self._newest_ns is not None and frame.stamp_ns < self._newest_ns - CLOCK_JUMP_NS:
            self.counts.clock_jumps += 1
            self._cut()
            self._newest_ns = None
        if self._newest_ns is None and self._by_hand:
            summary = BagSummary(causes=[BY_HAND])
            bag = self._begin(frame.stamp_ns, frame.stamp_ns, frame.received_ns, summary)
            bag.by_hand = True
            self.counts.events += 1
        self._count_losses(frame.stamp_ns)
        if self._newest_ns is None or frame.stamp_ns > self._newest_ns:
            self._newest_ns = frame.stamp_ns
            self._renewed_at_ns = frame.received_ns
        self._grid.see(frame.stamp_ns)
        self._arrived = frame

    def _count_losses(self, stamp_ns: int) -> None:
        """Tells by a frame's stamp how many before it never came."""
        losses = self._losses
        interval = None if self._newest_ns is None else stamp_ns - self._newest_ns
        if interval == 0:
            return  # a repeat
        if interval is not None and interval < 0:
            losses.add_late()
            return
        if interval is None or interval > LONGEST_PAUSE_NS:
            losses.begin_anew()
        else:
            if interval > losses.gap_ns:
                losses.pause()
            losses.follow(interval)
        losses.add(stamp_ns)
        self._counted_frames += 1
        if self._counted_frames % FRAMES_BETWEEN_COUNTS == 0:
            self.counts.frames_lost = losses.count()

    def _cut(self) -> None:
        """Closes every bag as it is and empties the ring."""
        for bag in list(self._bags):
            newest = bag.begin_ns if self._newest_ns is None else self._newest_ns
            bag.end(round(min(bag.horizon_ns, newest)), bag.begun_at_ns)
            self._close(bag)
        for message in self._ring:
            self._remember_state(message)
        self._ring.clear()
        self._grid.clear()
        self._taken_until_ns = None

    def _bag_of(self, stamp_ns: int) -> PlannedBag | None:
        return next((bag for bag in self._bags if bag.holds(stamp_ns)), None)

    def _bag_of_arrival(self, message: RecordedMessage, role: Role) -> PlannedBag | None:
        """The bag of a message that has just come; a state goes with the frame before it."""
        if role is not Role.STATE:
            return self._bag_of(message.stamp_ns)
        bag = None if self._arrived is None else self._bag_of(self._arrived.stamp_ns)
        return bag if bag is not None and bag.opened else None

    def _collect(self) -> None:
        """Moves from the ring into the bags what belongs there by now."""
        chosen: dict[PlannedBag, list[RecordedMessage]] = {bag: [] for bag in self._bags}
        covering: PlannedBag | None = None  # the bag of the last frame passed

        def belongs(message: RecordedMessage) -> bool:
            nonlocal covering
            role = self._roles[message.topic]
            if role is Role.STATE:
                bag = covering
            else:
                bag = self._bag_of(message.stamp_ns)
            if role is Role.FRAME:
                covering = bag
            if bag is None:
                return False
            chosen[bag].append(message)
            return True

        self._ring.take(belongs)
        for bag, messages in chosen.items():
            if messages:
                self._write(bag, messages)

    def _write(self, bag: PlannedBag, messages: list[RecordedMessage]) -> None:
        if not bag.opened:
            bag.opened = True
            first_ns = messages[0].received_ns
            causes = tuple(bag.summary.causes)
            self._actions.append(OpenBag(bag.number, first_ns, causes, self._context()))
            waiting = filter(self._is_state, self._ring)
            messages = self._states.before(first_ns, waiting) + messages
        for message in messages:
            self._remember_state(message)
        self._actions.append(WriteMessages(bag.number, messages))

    def _remember_state(self, message: RecordedMessage) -> None:
        if self._is_state(message):
            self._states.remember(message)

    def _date_back_states(self) -> None:
        """Tells old states from new ones by their order where the node's clock has gone back."""
        for state in self._ring.take(self._is_state):
            self._states.remember(state)
        self._states.date_back()

    def _is_state(self, message: RecordedMessage) -> bool:
        return self._roles[message.topic] is Role.STATE

    def _take_actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
