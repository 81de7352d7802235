"""The alarm's state machine: reports and the operator's answers in, state and tone out.

Pure: the time is an argument of every call (seconds of any clock that does not go back), so that
it is tested without waiting. The order of causes and its reasons stand in `causes`.

    cause appears          -> ACTIVE, BLIND or FAULT, the tone of the cause sounds
    cause passes           -> with `latch` the alarm stays until acknowledged, else IDLE
    acknowledge            -> no sound; ACKNOWLEDGED while a defect persists, BLIND and FAULT while
                              they do; a reminder after `reminder_interval`
    silence(s)             -> no sound of the causes now outstanding; any other cause still sounds;
                              0 ends the silence
    alarm nobody answers   -> `tone_duration` of tone every `repeat_interval`
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from weld_inspection.alarm.alarm_point import AlarmPoint
from weld_inspection.alarm.alarm_settings import AlarmSettings
from weld_inspection.alarm.causes import Cause, State


@dataclass(frozen=True, slots=True)
class AlarmView:
    """What the alarm says at one time.

    Attributes:
        state: State for machines.
        cause: The cause that the state is about; None when there is none.
        reason: The same for people.
        since: Time (s) at which this state of this cause began.
        sounding: The cause whose tone sounds now; None is no tone.
        evidence: What was handed in with the cause.
    """

    state: State
    cause: Cause | None
    reason: str
    since: float
    sounding: Cause | None
    evidence: object | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of something that the operator asked for."""

    accepted: bool
    message: str


class AlarmStateMachine:
    """Decides what the alarm shows and sounds."""

    def __init__(self, settings: AlarmSettings | None = None) -> None:
        """Begin idle and not watching.

        Args:
            settings: How to react; None takes the defaults.
        """
        self.settings = settings or AlarmSettings()
        self._reset(-math.inf)

    def _reset(self, now: float) -> None:
        self._points = {cause: AlarmPoint(cause) for cause in Cause}
        self._now = now
        self._watching_since: float | None = None
        self._heard = False
        self._last_sign = -math.inf
        self._last_evidence: object | None = None
        self._inactive_since: float | None = None
        self._inactive_text = ""
        self._defective_row = 0
        self._sound_row = 0
        self._burst_start = -math.inf
        self._shown: tuple[State, Cause | None] = (State.IDLE, None)
        self._since = now

    def start(self, now: float) -> None:
        """Watch from the time `now` (s) on, without a memory of what was before."""
        self._reset(now)
        self._watching_since = self._last_sign = now

    def stop(self, now: float) -> None:
        """Stop watching at the time `now` (s): idle, no sound."""
        self._reset(now)

    def report(
        self, now: float, defective: bool, description: str = "", evidence: object | None = None
    ) -> None:
        """Take in the verdict on one window.

        Args:
            now: Time, s.
            defective: The verdict by eq. (9).
            description: What was found, for the operator; used if this report raises the alarm.
            evidence: Handed through to the view.
        """
        self._advance(now)
        if self._watching_since is None:
            return
        blind = self._points[Cause.BLIND]
        if blind.present:
            gap = self._now - self._last_sign
            blind.clear(
                self.settings.latch,
                f"blind for {gap:.1f} s: what was welded meanwhile is not inspected",
            )
        self._heard = True
        self._last_sign = self._now
        self._last_evidence = evidence
        defect = self._points[Cause.DEFECT]
        if defective:
            self._defective_row += 1
            self._sound_row = 0
            if self._defective_row >= self.settings.windows_on and not defect.present:
                self._raise(Cause.DEFECT, description or "defect", evidence)
        else:
            self._sound_row += 1
            self._defective_row = 0
            if self._sound_row >= self.settings.windows_off and defect.present:
                defect.clear(self.settings.latch)
        self._settle()

    def detector(self, now: float, inspecting: bool, description: str = "") -> None:
        """Take in what the detector says about itself.

        Args:
            now: Time, s.
            inspecting: It is at work.
            description: Who says so, for the operator.
        """
        self._advance(now)
        if not inspecting:
            if self._inactive_since is None:
                self._inactive_since = self._now
            self._inactive_text = description or "the detector does not inspect"
        elif self._inactive_since is not None:
            self._inactive_since = None
            self._last_sign = max(self._last_sign, self._now)  # time to fill the first window
            if self._points[Cause.FAULT].present:
                self._points[Cause.FAULT].clear(
                    self.settings.latch,
                    f"{self._inactive_text}, for a time: what was welded then is not inspected",
                )
        self._advance(now)

    def tick(self, now: float) -> None:
        """Let the time pass up to `now` (s)."""
        self._advance(now)

    def acknowledge(self, now: float) -> Answer:
        """The operator takes note of all alarms there were up to now.

        Args:
            now: Time, s.

        Returns:
            Refused if there is nothing to acknowledge.
        """
        # Before the time goes on: what falls due in this very call was not seen by anybody yet.
        taken = self._unacknowledged()
        message = "acknowledged: " + "; ".join(p.description for p in taken)
        for point in taken:
            point.acknowledge(max(now, self._now))
        self._advance(now)
        return Answer(True, message) if taken else Answer(False, "there is no alarm to acknowledge")

    def silence(self, now: float, seconds: float) -> Answer:
        """The operator wants quiet for a while, from the alarms there were up to now.

        Args:
            now: Time, s.
            seconds: For how long, at most `silence_limit`; 0 ends the silence.

        Returns:
            Refused if the time is out of range or there is nothing to silence: a silence in
            advance would hide an alarm that nobody has heard.
        """
        points = self._unacknowledged()
        self._advance(now)
        limit = self.settings.silence_limit
        if not 0 <= seconds <= limit:  # false for NaN too
            return Answer(False, f"silence must be 0 s to {limit:g} s, not {seconds:g} s")
        if seconds == 0:
            points = [p for p in points if p.silenced(self._now)]
        if not points:
            return Answer(
                False, "no alarm is silenced" if seconds == 0 else "there is no alarm to silence"
            )
        for point in points:
            point.silenced_until = self._now + seconds
        if seconds == 0:
            self._burst_start = self._now
        self._settle()
        what = "; ".join(p.description for p in points)
        return Answer(True, f"silent for {seconds:g} s: {what}" if seconds else f"heard: {what}")

    def view(self) -> AlarmView:
        """Return what the alarm says at the time of the last call."""
        head = self._head()
        state, cause = self._shown
        return AlarmView(
            state=state,
            cause=cause,
            reason=self._reason(head),
            since=self._since,
            sounding=self._sounding(),
            evidence=None if head is None else head.evidence,
        )

    def _advance(self, now: float) -> None:
        """Let the time pass: raise what is overdue, end silences, remind."""
        before, self._now = self._now, max(self._now, now)
        if self._watching_since is None:
            return
        settings = self.settings
        past_grace = self._heard or self._now >= self._watching_since + settings.startup_grace
        if self._inactive_since is not None:
            overdue = self._now >= self._inactive_since + settings.fault_after
            if overdue and past_grace and not self._points[Cause.FAULT].present:
                self._raise(Cause.FAULT, self._inactive_text, self._last_evidence)
        elif not self._points[Cause.BLIND].present:
            limit = settings.blind_after if self._heard else settings.startup_grace
            # The sum, as a caller reckons when it is due: a difference may round below the limit.
            if self._now >= self._last_sign + limit:
                last = "no report" if self._heard else "not one report since the start"
                self._raise(Cause.BLIND, f"blind: {last} for {limit:g} s", self._last_evidence)
        for point in self._points.values():
            if point.unacknowledged and before < point.silenced_until <= self._now:
                self._burst_start = self._now
            due = point.acknowledged_at + settings.reminder_interval
            reminding = settings.reminder_interval > 0 and self._now >= due
            if point.present and not point.unacknowledged and reminding:
                point.remind()
                self._burst_start = self._now
        self._settle()

    def _raise(self, cause: Cause, description: str, evidence: object | None) -> None:
        self._points[cause].raise_alarm(description, evidence)
        self._burst_start = self._now

    def _ordered(self) -> list[AlarmPoint]:
        """Return the outstanding alarms, the one to show first.

        What wants to be heard comes before what is silenced, that before what is acknowledged;
        then what persists before what has passed; then the more urgent cause.
        """
        points = [p for p in self._points.values() if p.outstanding]
        return sorted(points, key=lambda p: (self._standing(p), p.present, p.cause), reverse=True)

    def _unacknowledged(self) -> list[AlarmPoint]:
        return [p for p in self._ordered() if p.unacknowledged]

    def _standing(self, point: AlarmPoint) -> int:
        return 2 if point.audible(self._now) else 1 if point.unacknowledged else 0

    def _head(self) -> AlarmPoint | None:
        ordered = self._ordered()
        return ordered[0] if ordered else None

    def _state_of(self, head: AlarmPoint | None) -> State:
        if head is None:
            return State.IDLE
        if head.present and head.cause is Cause.FAULT:
            return State.FAULT
        if head.present and head.cause is Cause.BLIND:
            return State.BLIND
        if not head.unacknowledged:
            return State.ACKNOWLEDGED
        return State.SILENCED if head.silenced(self._now) else State.ACTIVE

    def _settle(self) -> None:
        """Note when the state or its cause has changed."""
        head = self._head()
        shown = (self._state_of(head), None if head is None else head.cause)
        if shown != self._shown:
            self._shown = shown
            self._since = self._now

    def _sounding(self) -> Cause | None:
        head = self._head()
        if head is None or not head.audible(self._now):
            return None
        duration = self.settings.tone_duration
        phase = math.fmod(self._now - self._burst_start, self.settings.repeat_interval)
        return head.cause if duration == 0 or phase < duration else None

    def _reason(self, head: AlarmPoint | None) -> str:
        if self._watching_since is None:
            return "not watching: the alarm is not active"
        if head is None:
            return "watching" if self._heard else "waiting for the first report"
        return "; also ".join(self._sentence(p) for p in self._ordered())

    def _sentence(self, point: AlarmPoint) -> str:
        if point.silenced(self._now):
            left = math.ceil(point.silenced_until - self._now)
            answer = f"silenced for {left} s more"
        else:
            answer = "not acknowledged" if point.unacknowledged else "acknowledged"
        passed = "" if point.present else ", passed"
        return f"{point.description} ({answer}{passed})"
