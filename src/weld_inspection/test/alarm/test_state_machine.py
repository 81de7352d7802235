"""The alarm's state machine, one rule after another, and its whole transition table."""

import math

import pytest

from weld_inspection.alarm.alarm_settings import AlarmSettings
from weld_inspection.alarm.causes import Cause, State
from weld_inspection.alarm.state_machine import AlarmStateMachine
from weld_inspection.errors import InspectionError

SETTINGS = AlarmSettings(
    windows_on=2,
    windows_off=2,
    blind_after=2.0,
    startup_grace=10.0,
    fault_after=1.0,
    tone_duration=3.0,
    repeat_interval=5.0,
    reminder_interval=20.0,
    silence_limit=100.0,
)


class Driver:
    """A machine and a clock, with an operator's and a detector's doings by name."""

    def __init__(self, **changes):
        values = {f: getattr(SETTINGS, f) for f in SETTINGS.__slots__} | changes
        self.machine = AlarmStateMachine(AlarmSettings(**values))
        self.now = 100.0
        self.machine.start(self.now)

    def wait(self, seconds, reports=None):
        """Let time pass in steps of 0.5 s, with or without a report at each."""
        for _ in range(round(seconds / 0.5)):
            self.now += 0.5
            if reports is None:
                self.machine.tick(self.now)
            else:
                self.machine.report(self.now, reports, "a pore" if reports else "")
        return self

    def defect(self, count=2, evidence=None):
        for _ in range(count):
            self.now += 0.1
            self.machine.report(self.now, True, "a pore", evidence)
        return self

    def sound(self, count=2):
        for _ in range(count):
            self.now += 0.1
            self.machine.report(self.now, False)
        return self

    def detector(self, inspecting):
        self.machine.detector(self.now, inspecting, "detector says it is inactive")
        return self

    def acknowledge(self):
        assert self.machine.acknowledge(self.now).accepted
        return self

    def silence(self, seconds=10.0):
        assert self.machine.silence(self.now, seconds).accepted
        return self

    @property
    def view(self):
        return self.machine.view()

    @property
    def state(self):
        return self.view.state

    @property
    def sounding(self):
        return self.view.sounding


def idle(**changes):
    return Driver(**changes).sound()


# Ways into each state, and the state that each event then leads to. Every state by every event.
WAYS = {
    "idle": lambda: idle(),
    "waiting": lambda: Driver(),
    "active": lambda: idle().defect(),
    "active, passed": lambda: idle().defect().sound(),
    "acknowledged": lambda: idle().defect().acknowledge(),
    "silenced": lambda: idle().defect().silence(),
    "silenced, passed": lambda: idle().defect().silence().sound(),
    "blind": lambda: idle().wait(2.0),
    "blind, acknowledged": lambda: idle().wait(2.0).acknowledge(),
    "blind, silenced": lambda: idle().wait(2.0).silence(),
    "blind, passed": lambda: idle().wait(2.0).sound(1),
    "fault": lambda: idle().detector(False).wait(1.0),
    "fault, acknowledged": lambda: idle().detector(False).wait(1.0).acknowledge(),
    "fault, silenced": lambda: idle().detector(False).wait(1.0).silence(),
    "fault, passed": lambda: idle().detector(False).wait(1.0).detector(True).sound(1),
}
EVENTS = {
    "one defective": lambda d: d.defect(1),
    "defective row": lambda d: d.defect(2),
    "sound row": lambda d: d.sound(2),
    "no report": lambda d: d.wait(2.5),
    "inactive": lambda d: d.detector(False).wait(1.0),
    "inactive, at once": lambda d: d.detector(False),
    "active again": lambda d: d.detector(True),
    "acknowledge": lambda d: d.machine.acknowledge(d.now),
    "silence": lambda d: d.machine.silence(d.now, 10.0),
    "silence over": lambda d: d.wait(10.0, reports=False),
    "stop": lambda d: d.machine.stop(d.now),
    "start": lambda d: d.machine.start(d.now),
}
N, A, K, S, B, F = State  # IDLE (nothing), ACTIVE, ACKNOWLEDGED, SILENCED, BLIND, FAULT
TABLE = {  # in the order of EVENTS
    #                      1def row snd  no  inact now act ack sil over stop start
    "idle": (N, A, N, B, F, N, N, N, N, N, N, N),
    "waiting": (N, A, N, N, N, N, N, N, N, N, N, N),
    "active": (A, A, A, B, F, A, A, K, S, A, N, N),
    "active, passed": (A, A, A, B, F, A, A, N, S, A, N, N),
    "acknowledged": (K, K, N, B, F, K, K, K, K, N, N, N),
    "silenced": (S, S, S, B, F, S, S, K, S, A, N, N),
    "silenced, passed": (S, S, S, B, F, S, S, N, S, A, N, N),
    "blind": (A, A, A, B, F, B, B, B, B, A, N, N),
    "blind, acknowledged": (N, A, N, B, F, B, B, B, B, N, N, N),
    "blind, silenced": (S, A, S, B, F, B, B, B, B, A, N, N),
    "blind, passed": (A, A, A, B, F, A, A, N, S, A, N, N),
    "fault": (F, F, F, F, F, F, A, F, F, F, N, N),
    "fault, acknowledged": (F, A, F, F, F, F, N, F, F, F, N, N),
    "fault, silenced": (F, A, F, F, F, F, S, F, F, F, N, N),
    "fault, passed": (A, A, A, B, F, A, A, N, S, A, N, N),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("way", WAYS)
def test_transition_table(way, event):
    driver = WAYS[way]()
    EVENTS[event](driver)
    assert driver.state is TABLE[way][list(EVENTS).index(event)]


def test_table_reaches_every_state_and_is_complete():
    assert {state for row in TABLE.values() for state in row} == set(State)
    assert TABLE.keys() == WAYS.keys()
    assert all(len(row) == len(EVENTS) for row in TABLE.values())


@pytest.mark.parametrize("way", WAYS)
def test_sound_only_where_the_operator_is_wanted(way):
    quiet = {"idle", "waiting"} | {w for w in WAYS if "acknowledged" in w or "silenced" in w}
    assert (WAYS[way]().sounding is None) == (way in quiet)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_sounds_as_itself(cause):
    way = {Cause.DEFECT: "active", Cause.BLIND: "blind", Cause.FAULT: "fault"}[cause]
    view = WAYS[way]().view
    assert view.sounding is view.cause is cause


def test_without_latch_the_alarm_ends_with_its_cause():
    assert idle(latch=False).defect().sound().state is State.IDLE
    assert idle(latch=False).wait(2.0).sound(1).state is State.IDLE
    assert idle(latch=False).detector(False).wait(1.0).detector(True).state is State.IDLE


def test_hysteresis_counts_windows_in_a_row():
    driver = idle(windows_on=3, windows_off=3, latch=False)
    assert driver.defect(2).sound(1).defect(2).state is State.IDLE
    assert driver.defect(1).state is State.ACTIVE
    assert driver.sound(2).defect(1).sound(2).state is State.ACTIVE
    assert driver.sound(1).state is State.IDLE


def test_tone_repeats_while_nobody_acknowledges():
    driver = idle().defect()
    heard = [driver.wait(0.5, reports=False).sounding is not None for _ in range(20)]
    assert heard == [True] * 5 + [False] * 4 + [True] * 6 + [False] * 4 + [True]


def test_tone_without_pause():
    driver = idle(tone_duration=0.0).defect()
    assert all(driver.wait(0.5, reports=False).sounding for _ in range(40))


def test_new_defect_sounds_at_once_in_the_pause_of_the_tone():
    driver = idle().defect().wait(4.0, reports=False)
    assert driver.sounding is None
    assert driver.defect().sounding is Cause.DEFECT


def test_acknowledged_alarm_reminds_while_it_persists():
    driver = idle().defect().acknowledge().wait(19.5, reports=True)
    assert driver.state is State.ACKNOWLEDGED
    driver.wait(0.5, reports=True)
    assert driver.state is State.ACTIVE and driver.sounding is Cause.DEFECT


def test_no_reminder_when_switched_off():
    driver = idle(reminder_interval=0.0).defect().acknowledge().wait(60, reports=True)
    assert driver.state is State.ACKNOWLEDGED


def test_silence_ends_with_sound():
    driver = idle().defect().silence(4.0).wait(3.5, reports=False)
    assert driver.state is State.SILENCED and driver.sounding is None
    assert driver.wait(0.5, reports=False).sounding is Cause.DEFECT


def test_silence_of_no_time_ends_the_silence():
    driver = idle().defect().silence(60.0)
    assert driver.silence(0.0).sounding is Cause.DEFECT
    assert not driver.machine.silence(driver.now, 0.0).accepted


def test_acknowledgement_takes_no_alarm_that_nobody_has_seen():
    driver = idle().defect()
    driver.now += 2.0
    assert driver.acknowledge().sounding is Cause.BLIND
    driver = idle().wait(2.0).sound(1)  # a blindness that is over, and one that falls due
    driver.now += 2.0
    assert driver.acknowledge().sounding is Cause.BLIND


def test_silence_covers_the_same_cause_only():
    driver = idle().defect().silence(60.0)
    assert driver.sound().defect().sounding is None
    assert driver.wait(2.0).sounding is Cause.BLIND
    driver.silence(60.0)
    assert driver.detector(False).wait(1.0).sounding is Cause.FAULT


def test_silence_of_a_blindness_does_not_hide_a_defect():
    assert idle().wait(2.0).silence(60.0).defect().sounding is Cause.DEFECT


def test_silence_dies_with_its_alarm():
    driver = idle().defect().silence(60.0).sound().acknowledge()
    assert driver.defect().sounding is Cause.DEFECT


def test_silence_dies_with_its_alarm_without_latch():
    driver = idle(latch=False).defect().silence(60.0).sound()
    assert driver.defect().sounding is Cause.DEFECT


def test_silence_does_not_outlive_the_acknowledgement():
    driver = idle().defect().silence(60.0).acknowledge()
    assert driver.wait(20.0, reports=True).sounding is Cause.DEFECT


@pytest.mark.parametrize("seconds", [-1.0, 100.1, math.nan, math.inf, -math.inf])
def test_silence_out_of_range_is_refused(seconds):
    driver = idle().defect()
    answer = driver.machine.silence(driver.now, seconds)
    assert not answer.accepted and "100 s" in answer.message
    assert driver.state is State.ACTIVE


def test_nothing_to_silence_or_acknowledge():
    driver = idle()
    assert not driver.machine.silence(driver.now, 5.0).accepted
    assert not driver.machine.acknowledge(driver.now).accepted
    driver.defect().acknowledge()
    assert not driver.machine.acknowledge(driver.now).accepted


def test_start_up_waits_for_the_detector_but_not_for_ever():
    driver = Driver().wait(9.5)
    assert driver.state is State.IDLE and "first report" in driver.view.reason
    assert driver.wait(0.5).state is State.BLIND
    assert "not one report" in driver.view.reason


def test_detector_that_never_starts_is_a_fault_after_the_grace():
    assert Driver().detector(False).wait(9.5).state is State.IDLE
    assert Driver().detector(False).wait(10.0).state is State.FAULT


def test_fault_is_not_doubled_by_the_blindness_it_brings():
    driver = idle().detector(False).wait(30.0)
    assert driver.view.cause is Cause.FAULT and "blind" not in driver.view.reason


def test_blindness_after_a_fault_is_counted_from_its_end():
    driver = idle().detector(False).wait(30.0).detector(True).acknowledge()
    assert driver.wait(1.5).state is State.IDLE
    assert driver.wait(0.5).state is State.BLIND


def test_reason_names_every_alarm_and_what_was_missed():
    driver = idle().defect().wait(2.0).wait(1.0)
    reason = driver.view.reason
    assert reason.startswith("blind: no report for 2 s (not acknowledged)")
    assert "also a pore" in reason
    reason = driver.sound(1).view.reason
    assert "blind for 3.1 s: what was welded meanwhile is not inspected" in reason


def test_evidence_is_that_of_the_cause_shown():
    driver = idle().defect(evidence="the report")
    assert driver.view.evidence == "the report"
    assert driver.acknowledge().sound().view.evidence is None


def test_since_is_the_time_of_the_last_change():
    driver = idle()
    began = driver.now + 0.2
    driver.defect().wait(5.0, reports=True)
    assert driver.view.since == pytest.approx(began)
    driver.acknowledge()
    assert driver.view.since == driver.now


def test_stopped_machine_is_deaf():
    driver = idle()
    driver.machine.stop(driver.now)
    driver.defect(5).detector(False).wait(50.0)
    assert driver.state is State.IDLE and driver.sounding is None
    assert "not watching" in driver.view.reason


def test_a_clock_that_goes_back_counts_as_standing_still():
    driver = idle()
    for _ in range(2):
        driver.machine.report(driver.now - 1000.0, True)
    assert driver.view.since == driver.now
    assert driver.wait(2.0).state is State.BLIND


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows_on": 0},
        {"blind_after": -1.0},
        {"repeat_interval": 0.0},
        {"startup_grace": math.nan},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InspectionError, match=next(iter(wrong))):
        AlarmSettings(**wrong)
