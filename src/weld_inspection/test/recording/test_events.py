"""Which frames, masks and states go into which bag."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_run import MS, PERIOD, ROLES, SECOND, START, Recorded, Run, play

from weld_inspection.recording.bag_plan import BagContext
from weld_inspection.recording.events import EventRecorder
from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.report import Report
from weld_inspection.recording.rules import RecordingRules
from weld_inspection.recording.window_grid import Window


def recorder(**rules) -> EventRecorder:
    return EventRecorder(ROLES, RecordingRules(**rules))


def test_a_sound_seam_leaves_no_bag():
    made = recorder()
    assert play(made, Run(frames=200)).bags == {}
    assert len(made.ring) > 0


def test_an_event_is_recorded_with_its_surroundings_in_whole_windows():
    run = Run(frames=400, defective={12})
    recorded = play(recorder(), run)
    assert list(recorded.bags) == [1]
    # Window 12 is 6.0 to 6.45 s; 4.0 s begins window 8; 8.45 s is the end of window 16.
    expected = [run.stamp(k) for k in range(80, 170)]
    assert recorded.stamps(1) == expected
    assert recorded.stamps(1, "mask") == expected
    assert recorded.stamps(1, "defects") == [run.stamp(k) for k in range(89, 170, 10)]
    summary = recorded.closed[1].summary
    assert (summary.begin_ns, summary.end_ns) == (expected[0], expected[-1])
    assert summary.causes == ["defect"]
    assert (summary.defective_windows, summary.most_defect_pixels) == (1, 2000)


def test_rolls_that_are_no_multiple_of_the_window_are_moved_outwards():
    run = Run(frames=400, defective={12})
    recorded = play(recorder(pre_roll_ns=1200 * MS, post_roll_ns=700 * MS), run)
    stamps = recorded.stamps(1)
    assert stamps[0] == run.window_of(9).start_ns  # 4.8 s lies in window 9
    assert stamps[-1] == run.window_of(14).end_ns  # 7.15 s lies in window 14


def test_the_bag_is_open_while_frames_come_and_closed_when_no_event_can_join():
    made = recorder()
    run = Run(frames=400, defective={12})
    recorded, open_at, closed_at = Recorded(), None, None
    for received, message, report in run.arrivals():
        recorded.take(made.receive(message))
        if report is not None:
            recorded.take(made.report(report, received))
        if recorded.opened and open_at is None:
            open_at = received
        if recorded.closed and closed_at is None:
            closed_at = received
    assert open_at == run.window_of(12).end_ns + 612 * MS  # with the report, not later
    assert closed_at < run.window_of(16).end_ns + 4 * SECOND


def test_overlapping_events_share_a_bag():
    recorded = play(recorder(), Run(frames=500, defective={12, 20}))  # 4.0 s between them
    assert list(recorded.bags) == [1]
    assert recorded.closed[1].summary.defective_windows == 2


def test_an_event_just_behind_has_its_full_pre_roll_in_a_bag_of_its_own():
    run = Run(frames=600, defective={12, 21})
    recorded = play(recorder(), run)
    assert list(recorded.bags) == [1, 2]
    assert recorded.stamps(1)[-1] == run.window_of(16).end_ns
    assert recorded.stamps(2)[0] == run.window_of(17).start_ns
    assert recorded.stamps(2)[0] == run.window_of(21).start_ns - 2 * SECOND


def test_frames_before_the_first_report_are_taken_in_whole_windows():
    run = Run(frames=300, defective={0}, first_window=37)
    recorded = play(recorder(), run)
    # 37 frames before the detector began: 3 windows of 10 fit, and the bag begins with one.
    assert recorded.stamps(1)[0] == run.stamp(7)


def test_a_window_the_detector_dropped_may_begin_a_bag():
    run = Run(frames=400, defective={12}, lost={7, 8, 9})
    assert play(recorder(), run).stamps(1)[0] == run.window_of(8).start_ns


def test_latched_and_standing_states_come_first_in_every_bag():
    recorded = play(recorder(), Run(frames=900, defective={12, 50}))
    assert list(recorded.bags) == [1, 2]
    for number, messages in recorded.bags.items():
        first_frame = next(m for m in messages if m.topic == "image")
        leading = messages[: messages.index(first_frame)]
        topics = [m.topic for m in leading]
        assert topics.count("info") == 1
        assert topics.count("carriage") >= 2
        positions = [m.stamp_ns for m in messages if m.topic == "carriage"]
        assert positions == sorted(set(positions))
        assert positions[0] < first_frame.stamp_ns
        assert positions[-1] > recorded.stamps(number)[-1]
        assert all(m.received_ns >= first_frame.received_ns - SECOND // 4 for m in messages)


def test_by_hand_from_pre_roll_to_the_window_of_the_stop():
    run = Run(frames=400)
    recorded = play(recorder(), run, {100: "start", 203: "stop"})
    assert recorded.stamps(1) == [run.stamp(k) for k in range(60, 210)]
    assert recorded.closed[1].summary.causes == ["by hand"]


def test_by_hand_before_the_first_frame_begins_with_it_whatever_its_clock():
    made = recorder()
    recorded = Recorded()
    recorded.take(made.start(START + 10**6 * SECOND))
    assert made.causes == ("by hand",)
    for _, message, _ in Run(frames=30).arrivals():
        recorded.take(made.receive(message))
    recorded.take(made.stop(message.received_ns))
    recorded.take(made.finish())
    assert recorded.stamps(1) == [Run(0).stamp(k) for k in range(30)]
    assert made.start(START) == made.stop(START) == made.finish() == []


def test_by_hand_and_a_defect_share_a_bag_and_the_post_roll_stays():
    run = Run(frames=500, defective={18})
    recorded = play(recorder(), run, {150: "start", 205: "stop"})
    assert list(recorded.bags) == [1]
    assert recorded.closed[1].summary.causes == ["by hand", "defect"]
    assert recorded.stamps(1)[-1] == run.window_of(22).end_ns


def test_by_hand_works_without_a_detector():
    run = Run(frames=400, lost=set(range(100)))
    recorded = play(recorder(), run, {100: "start", 200: "stop"})
    assert recorded.stamps(1) == [run.stamp(k) for k in range(60, 201)]


def test_a_long_recording_is_split_without_losing_a_message():
    run = Run(frames=900)
    recorded = play(recorder(max_duration_ns=10 * SECOND), run, {50: "start", 750: "stop"})
    assert len(recorded.bags) == 4
    for topic in ("image", "mask"):
        stamps = [s for number in recorded.bags for s in recorded.stamps(number, topic)]
        assert stamps == [run.stamp(k) for k in range(10, 760)]
    assert [close.summary.part for close in recorded.closed.values()] == [1, 2, 3, 4]
    for number in recorded.bags:
        assert "info" in {m.topic for m in recorded.bags[number]}
        first, last = recorded.stamps(number)[0], recorded.stamps(number)[-1]
        assert (first - START) % (10 * PERIOD) == 0
        assert (last - START) % (10 * PERIOD) == 9 * PERIOD
        assert last - first < 10 * SECOND + 10 * PERIOD


def test_the_camera_stops_after_a_defect():
    made = recorder()
    run = Run(frames=130, defective={12})
    recorded = play(made, run)
    assert recorded.closed == {}
    recorded.take(made.tick(run.stamp(129) + 10 * SECOND))
    recorded.take(made.tick(run.stamp(129) + 11 * SECOND))
    assert recorded.stamps(1) == [run.stamp(k) for k in range(80, 130)]
    assert list(recorded.closed) == [1]


def test_the_detector_stops_after_a_defect():
    run = Run(frames=400, defective={12}, lost=set(range(13, 100)))
    recorded = play(recorder(), run)
    end = run.window_of(12).end_ns + 2 * SECOND
    assert recorded.stamps(1)[-1] == end
    assert list(recorded.closed) == [1]


def test_finish_closes_with_the_frames_there_are():
    made = recorder()
    recorded = play(made, Run(frames=135, defective={10}))
    recorded.take(made.finish())
    assert list(recorded.closed) == [1]
    assert recorded.stamps(1)[-1] == Run(0).stamp(134)
    assert len(made.ring) == 0


def test_a_clock_that_goes_back_ends_the_bag_and_starts_anew():
    made = recorder()
    first = Run(frames=150, defective={12})
    recorded = play(made, first)
    # The same stamps once more, as of a recording that is looped, arriving later.
    shift = 150 * PERIOD
    for received, message, report in first.arrivals():
        later = dataclasses.replace(message, received_ns=received + shift)
        recorded.take(made.receive(later))
        if report is not None:
            recorded.take(made.report(report, received + shift))
    recorded.take(made.finish())
    assert made.counts.clock_jumps == 1
    assert len(recorded.closed) == 2
    assert recorded.stamps(1) == recorded.stamps(2) == [first.stamp(k) for k in range(80, 150)]


@pytest.mark.parametrize("frames_first", [0, 20])
def test_after_the_clock_went_back_a_bag_has_the_state_that_came_last(frames_first):
    made = recorder()
    made.receive(RecordedMessage("info", START, START, b"old"))
    for k in range(20):
        made.receive(RecordedMessage("image", START + k * PERIOD, START + k * PERIOD, b""))
    back = START - 3600 * SECOND
    for k in range(300):
        now = back + k * PERIOD
        if k == frames_first:
            made.receive(RecordedMessage("info", now, now, b"new"))
        made.receive(RecordedMessage("image", now, now, b""))
    recorded = Recorded()
    recorded.take(made.start(now))
    assert [m.data for m in recorded.bags[1] if m.topic == "info"] == [b"new"]


def test_a_state_that_waits_in_the_ring_does_not_replace_a_newer_one():
    made = recorder()
    recorded = Recorded()
    made.receive(RecordedMessage("info", START, START, b"old"))
    for k in range(200):
        now = START + SECOND + k * PERIOD
        recorded.take(made.receive(RecordedMessage("image", now, now, b"")))
        if k == 10:
            recorded.take(made.start(now))
            recorded.take(made.receive(RecordedMessage("info", now, now, b"new")))
        if k == 20:
            recorded.take(made.stop(now))
    recorded.take(made.start(now))
    assert [m.data for m in recorded.bags[2] if m.topic == "info"] == [b"new"]


def test_a_clock_that_begins_with_0_gives_no_negative_time():
    made = recorder()
    recorded = Recorded()
    made.receive(RecordedMessage("info", 100 * SECOND, 100 * SECOND, b""))
    made.receive(RecordedMessage("image", 100 * SECOND, 100 * SECOND, b""))
    recorded.take(made.start(100 * SECOND))
    recorded.take(made.receive(RecordedMessage("image", PERIOD, PERIOD, b"")))
    assert [(m.topic, m.received_ns) for m in recorded.bags[2]] == [("info", 0), ("image", PERIOD)]


def test_a_gap_of_days_while_recording_by_hand_is_in_no_part():
    made = recorder()
    recorded = Recorded()
    recorded.take(made.start(START))
    stamps = [START + gap + k * PERIOD for gap in (0, 10**6 * SECOND) for k in range(100)]
    for stamp in stamps:
        recorded.take(made.receive(RecordedMessage("image", stamp, stamp + MS, b"")))
    recorded.take(made.stop(stamp))
    recorded.take(made.finish())
    assert recorded.stamps(1) + recorded.stamps(2) == stamps
    assert [close.summary.part for close in recorded.closed.values()] == [1, 2]
    assert recorded.closed[2].summary.begin_ns >= stamps[100] - SECOND


def test_a_defect_before_a_gap_whose_report_comes_after_it_is_recorded():
    made = recorder(report_timeout_ns=30 * SECOND)
    run = Run(frames=100)
    recorded = play(made, run, {30: "start", 40: "stop"})
    after = run.stamp(99) + 20 * SECOND
    recorded.take(made.receive(RecordedMessage("image", after, after, b"")))
    recorded.take(made.report(Report(run.window_of(9), True, 10), after))
    recorded.take(made.finish())
    taken = [stamp for number in recorded.bags for stamp in recorded.stamps(number)]
    assert set(taken) >= {run.stamp(k) for k in range(50, 100)}


def test_a_recording_by_hand_ends_even_where_the_stamps_stand_still():
    made = recorder()
    recorded = Recorded()
    for k in range(300):
        now = START + k * PERIOD
        recorded.take(made.receive(RecordedMessage("image", 0, now, b"")))
        if k == 40:
            recorded.take(made.start(now))
        if k == 200:
            recorded.take(made.stop(now))
    assert list(recorded.closed) == [1]
    assert 200 < len(recorded.bags[1]) < 220


def test_one_frame_out_of_order_is_recorded_as_it_came():
    made = recorder()
    recorded = Recorded()
    recorded.take(made.start(START))
    for arrival, k in enumerate((0, 1, 3, 2, 4)):
        received = START + arrival * PERIOD + MS
        recorded.take(made.receive(RecordedMessage("image", START + k * PERIOD, received, b"")))
    assert recorded.stamps(1) == [START + k * PERIOD for k in (0, 1, 3, 2, 4)]
    assert made.counts.clock_jumps == 0


def test_frames_that_never_come_are_counted():
    made = recorder()
    assert made.counts.frames_lost == 0
    gone = {57, *range(120, 131), 296}  # one, half a second, and one before the stamps go back
    came = [k for k in range(300) if k not in gone]
    came[70], came[71] = came[71], came[70]  # out of order
    came.insert(200, came[200])  # a repeat
    for again in range(2):
        for arrival, k in enumerate(came):
            late = 20 * MS if k % 40 == 7 else 0  # stamped by a busy computer
            received = START + (again * 300 + arrival) * PERIOD
            made.receive(RecordedMessage("image", START + k * PERIOD + late, received, b""))
    made.receive(RecordedMessage("image", START, START + 600 * PERIOD, b""))  # back once more
    for k in range(1, 10):
        made.receive(RecordedMessage("image", START + k * PERIOD, START + (600 + k) * PERIOD, b""))
    assert made.counts.frames_lost == 2 * len(gone)


def test_a_source_that_pauses_loses_nothing():
    made = recorder()
    for k in range(200):
        pause = 11 * SECOND if k >= 100 else 0
        stamp = START + k * PERIOD + pause
        made.receive(RecordedMessage("image", stamp, stamp + MS, b""))
    assert made.counts.frames_lost == 0


def test_a_start_by_hand_between_a_defect_and_its_report_keeps_the_defects_pre_roll():
    run = Run(frames=400, defective={12}, lag_ns=900 * MS)
    recorded = play(recorder(), run, {145: "start", 160: "stop"})  # the report comes at 7.36 s
    assert list(recorded.bags) == [1]
    assert recorded.stamps(1) == [run.stamp(k) for k in range(80, 170)]


def test_a_split_in_a_window_the_detector_dropped_is_at_its_end():
    run = Run(frames=500, lost={26, 27})
    recorded = play(recorder(max_duration_ns=10 * SECOND), run, {110: "start", 400: "stop"})
    assert recorded.stamps(1)[-1] == run.window_of(27).end_ns
    assert recorded.stamps(2)[0] == run.window_of(28).start_ns


def test_a_report_from_another_clock_opens_nothing():
    made = recorder()
    play(made, Run(frames=20))
    future = START + 1000 * SECOND
    assert made.report(Report(Window(future, future + 1), True, 10), START + 2 * SECOND) == []
    assert made.counts.stray_reports == 1
    assert made.growing is None


def test_the_ring_is_bounded_in_bytes_and_says_so():
    made = recorder(ring_bytes=10_000)
    run = Run(frames=200, frame_bytes=1000, defective={12})
    recorded = play(made, run)
    assert made.ring.bytes <= 10_000
    assert made.ring.crowded_out > 0
    assert recorded.stamps(1)[-1] == run.window_of(16).end_ns  # what was still there, to the end


def test_a_bag_says_which_run_it_is_from():
    context = BagContext(weld_id="W7", model_id="m")
    made = EventRecorder(ROLES, RecordingRules(), lambda: context)
    recorded = play(made, Run(frames=300, defective={10}))
    assert recorded.opened[0].context == context
    assert recorded.opened[0].causes == ("defect",)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_every_wanted_frame_is_in_exactly_one_bag_in_order(data):
    window = data.draw(st.sampled_from([1, 4, 10]))
    count = 400 // window
    run = Run(
        frames=400,
        window=window,
        defective=data.draw(st.sets(st.integers(0, count - 1), max_size=6)),
        lost=data.draw(st.sets(st.integers(0, count - 1), max_size=10)),
        lag_ns=data.draw(st.integers(0, 1400)) * MS,
        first_window=data.draw(st.integers(0, 60)),
    )
    rules = RecordingRules(
        pre_roll_ns=data.draw(st.integers(0, 3000)) * MS,
        post_roll_ns=data.draw(st.integers(0, 3000)) * MS,
        max_duration_ns=data.draw(st.sampled_from([5, 7, 60])) * SECOND,
    )
    wish = st.tuples(st.integers(5, 390), st.sampled_from(["start", "stop"]))
    by_hand = dict(data.draw(st.lists(wish, max_size=4)))
    made = EventRecorder(ROLES, rules)
    recorded = play(made, run, by_hand)
    recorded.take(made.finish())

    taken = [stamp for number in recorded.bags for stamp in recorded.stamps(number)]
    assert taken == sorted(set(taken)), "a frame twice, or out of order"
    masks = [stamp for number in recorded.bags for stamp in recorded.stamps(number, "mask")]
    assert masks == sorted(set(masks))
    # Less than a window may be missing at the very begin, so that the first one is whole.
    kept_from = run.stamp(run.first_window % window)
    reported = {
        n for n in run.defective - run.lost if n < (run.frames - run.first_window) // window
    }
    for number in reported:
        of = run.window_of(number)
        if of.end_ns + 12 * MS + run.lag_ns > run.stamp(run.frames - 1):
            continue  # the stream ends before this report
        begin, end = of.start_ns - rules.pre_roll_ns, of.end_ns + rules.post_roll_ns
        wanted = [run.stamp(k) for k in range(run.frames) if begin <= run.stamp(k) <= end]
        missing = [stamp for stamp in wanted if stamp >= kept_from and stamp not in taken]
        assert missing == []
    assert set(recorded.closed) == set(recorded.bags)
    for number in recorded.bags:
        messages = recorded.bags[number]
        assert "info" in {m.topic for m in messages}
        if not by_hand:
            first = (recorded.stamps(number)[0] - run.stamp(run.first_window)) // PERIOD
            assert first % window == 0, "the bag does not begin with a window"


@pytest.mark.parametrize("lag_ms", [0, 300, 900, 1500])
def test_the_ring_forgets_nothing_that_a_late_report_asks_for(lag_ms):
    run = Run(frames=400, defective={20}, lag_ns=lag_ms * MS)
    recorded = play(recorder(), run)
    assert recorded.stamps(1) == [run.stamp(k) for k in range(160, 250)]
