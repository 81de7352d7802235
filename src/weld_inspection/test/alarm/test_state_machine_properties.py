"""What must hold for every history of reports, silences, faults and operators."""

from hypothesis import given, settings
from hypothesis import strategies as st

from weld_inspection.alarm.alarm_settings import AlarmSettings
from weld_inspection.alarm.causes import Cause, State
from weld_inspection.alarm.state_machine import AlarmStateMachine

SETTINGS = st.builds(
    AlarmSettings,
    latch=st.booleans(),
    windows_on=st.integers(1, 4),
    windows_off=st.integers(1, 4),
    blind_after=st.floats(0.5, 5.0),
    startup_grace=st.floats(0.5, 20.0),
    fault_after=st.floats(0.0, 2.0),
    tone_duration=st.just(0.0) | st.floats(0.5, 5.0),
    repeat_interval=st.floats(0.5, 20.0),
    reminder_interval=st.sampled_from([0.0, 5.0, 30.0]),
)
STEP = st.tuples(
    st.floats(0.0, 4.0),
    st.sampled_from(
        ["defective", "sound", "tick", "inactive", "inspecting", "acknowledge", "silence"]
    ),
)
HISTORY = st.lists(STEP, max_size=40)
UNHURRIED = settings(deadline=None)


def do(machine, now, event):
    """Let one event happen."""
    if event in ("defective", "sound"):
        machine.report(now, event == "defective", event)
    elif event in ("inactive", "inspecting"):
        machine.detector(now, event == "inspecting")
    elif event == "acknowledge":
        machine.acknowledge(now)
    elif event == "silence":
        machine.silence(now, 30.0)
    else:
        machine.tick(now)


def live(config, history):
    """Run a history; yields (machine, now, event) after every step."""
    machine, now = AlarmStateMachine(config), 0.0
    machine.start(now)
    for wait, event in history:
        now += wait
        do(machine, now, event)
        yield machine, now, event


def after(config, history):
    machine, now = AlarmStateMachine(config), 0.0
    machine.start(now)
    for machine, now, _ in live(config, history):  # noqa: B007  the last one is wanted
        pass
    return machine, now


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_a_defective_streak_always_shows(config, history):
    machine, now = after(config, history)
    for _ in range(config.windows_on):
        machine.report(now, True, "streak")
    shown = machine.view()
    assert shown.state is not State.IDLE
    assert shown.state in (State.ACTIVE, State.ACKNOWLEDGED, State.SILENCED) or (
        shown.cause > Cause.DEFECT and ("streak" in shown.reason or "defective" in shown.reason)
    )


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_a_defective_streak_is_heard_unless_the_operator_answered_a_defect(config, history):
    machine, now = after(config, [h for h in history if h[1] not in ("acknowledge", "silence")])
    for _ in range(config.windows_on):
        machine.report(now, True, "streak")
    if not machine.view().sounding:  # the defect is an old one and its tone pauses
        assert config.tone_duration > 0
        machine.tick(now + config.repeat_interval)
        assert any(
            _tick(machine, now + config.repeat_interval * (1 + k / 50)).sounding for k in range(51)
        )


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_no_silence_hides_another_cause(config, history):
    """A cause that appears is heard at once, itself or a more urgent one, if not silenced."""
    silenced, seen = set(), set()
    machine = AlarmStateMachine(config)
    now = 0.0
    machine.start(now)
    for wait, event in history:
        # Small steps, as the node ticks, so that each appearance is seen when it happens.
        for moment in [now + wait * k / 8 for k in range(1, 8)] + [now + wait]:
            now_event = event if moment == now + wait else "tick"
            if now_event == "silence":  # covers what there is, should it appear anew
                silenced |= {c for c, p in machine._points.items() if p.unacknowledged}
            do(machine, moment, now_event)
            present = {c for c, p in machine._points.items() if p.present}
            for cause in present - seen:
                if cause not in silenced:
                    sounding = machine.view().sounding
                    assert sounding is not None and sounding >= cause
            seen = present
            silenced = {c for c, p in machine._points.items() if p.silenced(machine._now)}
        now += wait


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_never_stuck(config, history):
    """A sound weld, a working detector and one acknowledgement lead back to idle from anywhere."""
    machine, now = after(config, history)
    machine.detector(now, True)
    for _ in range(config.windows_off):
        machine.report(now, False)
    machine.acknowledge(now)
    assert machine.view().state is State.IDLE
    assert machine.view().sounding is None


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_acknowledgement_is_quiet_and_idle_is_silent(config, history):
    for machine, now, event in live(config, history):
        view = machine.view()
        assert view.sounding is None or view.state not in (State.IDLE, State.ACKNOWLEDGED)
        assert view.state is not State.SILENCED or view.sounding is None
        if event == "acknowledge":  # what fell due by then is a new alarm
            machine.acknowledge(now)
            assert machine.view().sounding is None
        assert (view.state is State.IDLE) == (view.cause is None)


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_a_latched_alarm_goes_only_by_acknowledgement(config, history):
    latched = set()
    for machine, _, event in live(config, history):
        if not config.latch:
            return
        unacknowledged = {c for c, p in machine._points.items() if p.unacknowledged}
        assert event == "acknowledge" or latched <= unacknowledged
        latched = unacknowledged


@UNHURRIED
@given(SETTINGS, HISTORY)
def test_nobody_looks_is_always_said(config, history):
    machine, now = after(config, history)
    limit = max(config.blind_after, config.startup_grace, config.fault_after)
    view = _tick(machine, now + limit + 1.0)
    causes = {c for c, p in machine._points.items() if p.present}
    assert causes & {Cause.BLIND, Cause.FAULT}
    assert view.state is not State.IDLE


def _tick(machine, now):
    machine.tick(now)
    return machine.view()
